"""Opening nbgrader's gradebook: the first use of a database made safe, in one process and without a shell."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

from tito.errors import EnvironmentFault

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

_PATIENCE = 60  # seconds to wait for another process that writes to SQLite
_ADVISORY = 7281123  # of PostgreSQL's lock that one process holds while it creates the tables


def nbgrader_api() -> Any:
    """The module nbgrader.api; EnvironmentFault when the extra is not installed."""
    # Jupyter's schemas ask for this package to check addresses that grading has none of; it takes seconds to import.
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    try:
        from nbgrader import api
    except ImportError as error:
        raise EnvironmentFault(
            f"The gradebook needs nbgrader, which cannot be imported ({error}).", "pip install 'tito[grade]'"
        ) from None
    return api


def open_gradebook(url: str, course_id: str) -> Any:
    """nbgrader's Gradebook on a database, which is created when it is new.

    Raises EnvironmentFault when nbgrader is missing, when there is no such database, or when another nbgrader made it.
    """
    api = nbgrader_api()
    from sqlalchemy import create_engine
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError

    try:
        url = _patient(url)
        engine = create_engine(url)
        try:
            with engine.begin() as connection:
                _prepare(connection, api, course_id)
        finally:
            engine.dispose()
        return api.Gradebook(url, course_id)
    except ArgumentError:
        raise EnvironmentFault(
            f"{_shown(url)!r} is no address of a database that can be used here.",
            "write it as sqlite:///path/gradebook.db or postgresql://host/name",
        ) from None
    except (SQLAlchemyError, ImportError) as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise EnvironmentFault(
            f"The gradebook {_shown(url)} cannot be opened: {reason}.", "check the address given with --db"
        ) from None


def _patient(url: str) -> str:
    """The address, with a time to wait for other writers where SQLite has five seconds."""
    from sqlalchemy.engine import make_url

    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or "timeout" in parsed.query:
        return url
    return parsed.update_query_dict({"timeout": str(_PATIENCE)}).render_as_string(hide_password=False)


def _shown(url: str) -> str:
    """The address for people, without its password and without our own settings."""
    return re.sub(r"://([^:/@]*):[^@]*@", r"://\1:***@", url).partition("?")[0]


def _prepare(connection: Connection, api: Any, course_id: str) -> None:
    """Bring a database to nbgrader's schema in one transaction: all of it is there afterwards, or nothing.

    nbgrader itself asks a shell for `alembic`, and when that is not on the PATH it leaves tables without a version;
    two processes that start together get in each other's way. Here the second waits for the first.
    """
    from sqlalchemy import inspect, text

    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    elif connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY})
    tables = set(inspect(connection).get_table_names())
    if "assignment" in tables:
        _check_columns(connection, api)
    api.Base.metadata.create_all(connection)
    if "alembic_version" not in tables:
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"))
    head = _head()
    version = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if version is None:
        connection.execute(text("INSERT INTO alembic_version (version_num) VALUES (:head)"), {"head": head})
    elif version != head:
        raise _other_version(f"has version {version}, and this nbgrader works with {head}")
    course = api.Course.__table__
    if connection.execute(course.select().where(course.c.id == course_id)).first() is None:
        connection.execute(course.insert().values(id=course_id))


def _check_columns(connection: Connection, api: Any) -> None:
    """Refuse tables that an older nbgrader made; create_all would leave them as they are."""
    from sqlalchemy import inspect

    found = inspect(connection)
    for table in api.Base.metadata.sorted_tables:
        if not found.has_table(table.name):
            continue
        have = {column["name"] for column in found.get_columns(table.name)}
        missing = sorted({column.name for column in table.columns} - have)
        if missing:
            raise _other_version(f"lacks {table.name}.{missing[0]}")


def _other_version(how: str) -> EnvironmentFault:
    return EnvironmentFault(
        f"The gradebook {how}.", "in grading/: nbgrader db upgrade (it keeps a copy of the old database)"
    )


def _head() -> str:
    """The version of the schema that the installed nbgrader works with."""
    from alembic.script import ScriptDirectory
    from nbgrader.dbutil import ALEMBIC_DIR

    return str(ScriptDirectory(ALEMBIC_DIR).get_current_head())
