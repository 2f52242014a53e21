"""Opening nbgrader's gradebook: the first use of a database made safe, in one process and without a shell."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from tito.errors import EnvironmentFault

if TYPE_CHECKING:
    from sqlalchemy import Table
    from sqlalchemy.engine import URL, Connection
    from sqlalchemy.orm import Session

_PATIENCE = 60  # seconds to wait for another process that writes
_ANSWER = 15  # seconds to wait for a server to answer
_ADVISORY = 7281123  # of PostgreSQL's lock that one process holds while it writes
_PAGES = tuple(
    f"nbgrader.server_extensions.{name}"
    for name in ("assignment_list", "course_list", "formgrader", "validate_assignment")
)
_POSTGRES_HINT = (
    "check that the server runs, that the database was made (createdb NAME) and may be written, "
    "and the password: PGPASSWORD or ~/.pgpass"
)


def nbgrader_api() -> Any:
    """The module nbgrader.api; EnvironmentFault when the extra is not installed."""
    # Jupyter's schemas ask for this package to check addresses that grading has none of; it takes seconds to import.
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    try:
        with _without_pages():
            from nbgrader import api
    except ImportError as error:
        raise EnvironmentFault(
            f"The gradebook needs nbgrader, which cannot be imported ({error}).", "pip install 'tito[grade]'"
        ) from None
    return api


@cache
def told_answers() -> Table:
    """Our own table in nbgrader's gradebook: the SHA-256 of each answer as the gradebook was last told of it.

    It is written with the scores in one transaction, so that no kill comes between the two.
    """
    from sqlalchemy import Column, MetaData, String, Table

    return Table(
        "tito_answer",
        MetaData(),
        Column("id", String(32), primary_key=True, default=lambda: uuid4().hex),
        Column("notebook_id", String(32), nullable=False, index=True),  # no foreign keys: nbgrader deletes its rows
        Column("cell_id", String(32), nullable=False),
        Column("digest", String(64), nullable=False),
    )


@contextlib.contextmanager
def _without_pages() -> Iterator[None]:
    """nbgrader's package imports its pages in Jupyter: half a second for what a gradebook has no use for.

    Others stand in their places meanwhile, and are gone afterwards, so that they can still be imported.
    """
    pages: dict[str, ModuleType] = {}
    if "nbgrader" not in sys.modules:
        for name in _PAGES:
            pages[name] = ModuleType(name)
            vars(pages[name])["__getattr__"] = lambda _name: None  # whatever the package takes from them
    sys.modules.update(pages)
    try:
        yield
    finally:
        for name, page in pages.items():
            if sys.modules.get(name) is page:
                del sys.modules[name]


def open_gradebook(url: str, course_id: str, *, new: bool = True) -> Any:
    """nbgrader's Gradebook on a database, which is created when it is new.

    new: whether a file of SQLite may be created. Raises EnvironmentFault when nbgrader or the database's driver is
    missing, when there is no such database, or when another nbgrader made it. No message has the address's password.
    """
    api = nbgrader_api()
    from sqlalchemy import create_engine
    from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

    try:
        url = _patient(url)
        engine = create_engine(url)
        if not new:
            _check_file(engine.url)
        try:
            with engine.begin() as connection:
                _prepare(connection, api, course_id)
        finally:
            engine.dispose()
        return api.Gradebook(url, course_id)
    except (ArgumentError, ValueError):  # a port that is no number is a ValueError, with a part of the address
        raise EnvironmentFault(
            f"{shown(url)!r} is no address of a database that can be used here.",
            "write it as sqlite:///path/gradebook.db or postgresql+psycopg://host/name, an @ in a password as %40",
        ) from None
    except ImportError as error:
        raise EnvironmentFault(
            f"The gradebook {shown(url)} cannot be opened: {_first_line(error)}.",
            "install the database's driver; for PostgreSQL pip install 'tito[postgres]', "
            "and write the address as postgresql+psycopg://host/name",
        ) from None
    except SQLAlchemyError as error:
        hint = _POSTGRES_HINT if url.startswith("postgresql") and isinstance(error, DBAPIError) else ""
        raise EnvironmentFault(
            f"The gradebook {shown(url)} cannot be opened: {said(error)}.", hint or "check the address given with --db"
        ) from None


def _check_file(url: URL) -> None:
    """Refuse a file of SQLite that is not there: reading would make an empty one, in which nobody has a grade."""
    file = url.database or ""
    if url.get_backend_name() == "sqlite" and not file.startswith("file:") and not Path(file).is_file():
        raise EnvironmentFault(
            f"There is no gradebook {file or 'in memory'}.",
            "check the address given with --db; tito grade autograde makes one",
        )


def said(error: Exception) -> str:
    """What a database said of a failure, in one line and without a full stop."""
    return _first_line(getattr(error, "orig", None) or error)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].removesuffix(".")


def _patient(url: str) -> str:
    """The address with times to wait: for other writers where SQLite has 5 s, for a server where psycopg has 130 s.

    Raises ValueError where a password has an @: what follows it would be taken for the host, and named in errors.
    """
    from sqlalchemy.engine import make_url

    parsed = make_url(url)
    if "@" in (parsed.host or ""):
        raise ValueError
    if parsed.get_backend_name() == "sqlite":
        more = {"timeout": str(_PATIENCE)}
    elif parsed.drivername in ("postgresql", "postgresql+psycopg", "postgresql+psycopg2"):
        more = {"connect_timeout": str(_ANSWER), "client_encoding": "utf8"}
    else:
        more = {}
    wanted = {**more, **parsed.query}
    return parsed.set(query=wanted).render_as_string(hide_password=False)


def shown(url: str) -> str:
    """An address for people: without a password, wherever somebody wrote it, and without settings."""
    scheme, slashes, _ = url.partition("://")
    head, at, tail = url.rpartition("@")
    if scheme == "sqlite" or not at:
        return url.partition("?")[0]
    place = tail.partition("?")[0]
    if not slashes:  # no address, and no way to say where the password begins
        return f"***@{place}"
    user, *rest = re.split("[:/?]", head.removeprefix(f"{scheme}://"), maxsplit=1)
    return f"{scheme}://{user}{':***' if rest else ''}@{place}"


def take_turns(connection: Connection | Session) -> None:
    """Wait until no other tito writes into this PostgreSQL database, and keep others out until the transaction ends."""
    from sqlalchemy import text

    connection.execute(text(f"SET LOCAL lock_timeout = '{_PATIENCE}s'"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY})


def _prepare(connection: Connection, api: Any, course_id: str) -> None:
    """Bring a database to nbgrader's schema in one transaction: all of it is there afterwards, or nothing.

    nbgrader itself asks a shell for `alembic`, and when that is not on the PATH it leaves tables without a version;
    two processes that start together get in each other's way. Here the second waits for the first.
    """
    from sqlalchemy import inspect, text

    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    elif connection.dialect.name == "postgresql":
        take_turns(connection)
        _check_encoding(connection)
    tables = set(inspect(connection).get_table_names())
    if "assignment" in tables:
        _check_columns(connection, api)
    api.Base.metadata.create_all(connection)
    told_answers().create(connection, checkfirst=True)
    if "alembic_version" not in tables:
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"))
    head = _head()
    version = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if version is None:
        connection.execute(text("INSERT INTO alembic_version (version_num) VALUES (:head)"), {"head": head})
    elif version != head:
        raise _other_version(connection, f"has version {version}, and this nbgrader works with {head}")
    course = api.Course.__table__
    if connection.execute(course.select().where(course.c.id == course_id)).first() is None:
        connection.execute(course.insert().values(id=course_id))


def _check_encoding(connection: Connection) -> None:
    """Refuse a database that cannot hold what students write."""
    from sqlalchemy import text

    encoding = connection.execute(text("SELECT getdatabaseencoding()")).scalar()
    encoding = encoding.decode() if isinstance(encoding, bytes) else encoding  # SQL_ASCII has no text
    if encoding != "UTF8":
        raise EnvironmentFault(
            f"The gradebook's database has the encoding {encoding}, which cannot hold every text.",
            "make one that can: createdb --encoding UTF8 --template template0 NAME",
        )


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
            raise _other_version(connection, f"lacks {table.name}.{missing[0]}")


def _other_version(connection: Connection, how: str) -> EnvironmentFault:
    copy = "it keeps a copy of the old database" if connection.dialect.name == "sqlite" else "it makes no copy first"
    return EnvironmentFault(f"The gradebook {how}.", f"in grading/: nbgrader db upgrade ({copy})")


def _head() -> str:
    """The version of the schema that the installed nbgrader works with."""
    from alembic.script import ScriptDirectory
    from nbgrader.dbutil import ALEMBIC_DIR

    return str(ScriptDirectory(ALEMBIC_DIR).get_current_head())
