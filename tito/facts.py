"""Base of the values that commands answer with."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar


@dataclass(frozen=True)
class Facts:
    """A frozen dataclass whose JSON form is its fields under a schema name."""

    schema: ClassVar[str] = ""

    def to_json(self) -> dict[str, Any]:
        """The fields as plain data, with the schema first."""
        return {"schema": self.schema, **asdict(self)}
