"""A gradebook in PostgreSQL: made, written and read while others do the same, and what is said when it cannot be."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from grading_made import dump, layers, nbgrader_head, record, unreadable
from postgres import PASSWORD, USER, Server

from tito.errors import EnvironmentFault
from tito.grading.books.gradebook import enrol, open_gradebook, read, write
from tito.grading.books.gradebook_schema import shown
from tito.grading.intake.students import Student

pytestmark = pytest.mark.postgres
LINEAR = "test-linear"
WHERE = ("layers_dev", "03_layers")


@pytest.fixture
def url(postgres: Server) -> str:
    return postgres.database()


@pytest.fixture
def gradebook(url: str) -> Iterator[Any]:
    with open_gradebook(url, "course") as opened:
        yield opened


def name_of(url: str) -> str:
    return url.rpartition("/")[2]


def during(postgres: Server, url: str, *statements: str, tasks: list[Callable[[], Any]]) -> list[Any]:
    """Run tasks at once while another connection's transaction holds what its statements lock, then commit that."""
    address = url.replace("+psycopg", "")
    with ThreadPoolExecutor(len(tasks)) as threads, psycopg.connect(address) as other:
        for statement in statements:
            other.execute(statement)
        started: list[Future[Any]] = [threads.submit(task) for task in tasks]
        try:
            postgres.wait_for_locks(name_of(url), len(tasks))
        finally:
            other.commit()
        return [each.result(60) for each in started]


UNASKED = ("indexscan", "bitmapscan", "mergejoin")  # ways of looking up rows that sort them, where that is cheap
LOCK = "SELECT pg_advisory_xact_lock(7281123)"


def test_a_new_database_is_nbgraders(postgres: Server, url: str) -> None:
    """Catches a schema without its version, in which nbgrader's next upgrade would begin ten years ago."""
    from nbgrader.api import Gradebook

    open_gradebook(url, "course").close()
    assert postgres.sql(name_of(url), "SELECT version_num FROM alembic_version") == [(nbgrader_head(),)]
    with Gradebook(url, "course") as theirs:
        theirs.add_student("zoe", first_name="Zoe")
    with open_gradebook(url, "course") as ours:
        assert ours.find_student("zoe").first_name == "Zoe"


def test_commands_that_start_together_make_one_database(postgres: Server, url: str) -> None:
    """Catches two creators that collide over a type or a table, of which one dies."""
    made = during(postgres, url, LOCK, tasks=[lambda: open_gradebook(url, "course")] * 2)
    for each in made:
        each.close()
    assert postgres.sql(name_of(url), "SELECT count(*) FROM alembic_version, course") == [(1,)]


def test_a_database_is_made_whole_or_not_at_all(postgres: Server, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches tables, or types without tables, that a kill leaves behind."""

    def killed() -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("tito.grading.books.gradebook_schema._head", killed)
        with pytest.raises(KeyboardInterrupt):
            open_gradebook(url, "course")
    left = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    types = "SELECT typname FROM pg_type WHERE typnamespace = 'public'::regnamespace"
    assert postgres.sql(name_of(url), left) == postgres.sql(name_of(url), types) == []
    open_gradebook(url, "course").close()


def test_two_graders_write_into_one_database(postgres: Server, gradebook: Any, url: str) -> None:
    """Catches a second machine that grades the same assignment and dies of rows that the first one made meanwhile."""
    ours = [record("ada"), record("bob", lost=(LINEAR,))]
    theirs = [record("bob", lost=(LINEAR,)), record("cem")]
    with open_gradebook(url, "course") as second:
        tasks = [lambda: write(gradebook, layers(), ours), lambda: write(second, layers(), theirs)]
        during(postgres, url, LOCK, tasks=tasks)
    assert {name: grade.raw for name, grade in read(gradebook, "03_layers").items()} == {
        "ada": 50,
        "bob": 45,
        "cem": 50,
    }
    assert len(dump(gradebook)["grade"]) == 3 * 14


def test_a_score_that_a_person_is_entering_is_waited_for(postgres: Server, gradebook: Any, url: str) -> None:
    """Catches a score by hand for an older verdict, which came while the new one was written, and seems settled."""
    write(gradebook, layers(), [record("ada", lost=(LINEAR,))])
    key = gradebook.find_grade(LINEAR, *WHERE, "ada").id
    gradebook.db.remove()
    by_hand = f"UPDATE grade SET manual_score = 2, needs_manual_grade = false WHERE id = '{key}'"
    during(postgres, url, by_hand, tasks=[lambda: write(gradebook, layers(), [record("ada")])])
    grade = gradebook.find_grade(LINEAR, *WHERE, "ada")
    assert (grade.manual_score, grade.auto_score, grade.needs_manual_grade) == (2, 5, True)


def test_a_connection_that_died_in_between_is_made_anew(postgres: Server, gradebook: Any, url: str) -> None:
    """Catches a grader or formgrader that fails after a night because the server was started again."""
    write(gradebook, layers(), [record("ada")])
    postgres.kill_connections(name_of(url))
    assert read(gradebook, "03_layers")["ada"].raw == 50
    postgres.kill_connections(name_of(url))
    write(gradebook, layers(), [record("ada", lost=(LINEAR,))])
    assert read(gradebook, "03_layers")["ada"].raw == 45


def dying(postgres: Server, gradebook: Any, url: str, times: int) -> None:
    """Let the connection die, some times over, when grades are about to be inserted."""
    from sqlalchemy import event

    left = iter(range(times))

    def before(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("INSERT INTO grade ") and next(left, None) is not None:
            postgres.kill_connections(name_of(url))

    event.listen(gradebook.engine, "before_cursor_execute", before)


def test_a_connection_that_dies_half_way_loses_and_doubles_nothing(postgres: Server, gradebook: Any, url: str) -> None:
    """Catches half a batch, and one that is written twice, after the connection broke in the middle."""
    dying(postgres, gradebook, url, times=1)
    write(gradebook, layers(), [record("ada"), unreadable("cem")])
    rows = dump(gradebook)
    assert (len(rows["student"]), len(rows["submitted_notebook"]), len(rows["grade"])) == (2, 2, 2 * 14)


def test_a_server_that_stays_away_is_a_sentence_and_leaves_nothing(postgres: Server, gradebook: Any, url: str) -> None:
    """Catches a stack trace with students' work in it, endless attempts, and half a batch."""
    dying(postgres, gradebook, url, times=2)
    with pytest.raises(EnvironmentFault, match=r"cannot be written: .*connection") as failure:
        write(gradebook, layers(), [record("ada")])
    assert PASSWORD not in failure.value.message and name_of(url) in failure.value.message
    assert "give the same command again" in failure.value.hint
    assert dump(gradebook)["student"] == []


def test_what_the_database_refuses_is_a_sentence(postgres: Server, gradebook: Any, url: str) -> None:
    """Catches a stack trace when the rights to write were taken away."""
    write(gradebook, layers(), [record("ada")])
    postgres.sql(name_of(url), f"ALTER DATABASE {name_of(url)} SET default_transaction_read_only = on")
    with (
        open_gradebook(url, "course") as reader,
        pytest.raises(EnvironmentFault, match="cannot be written: cannot execute INSERT in a read-only transaction"),
    ):
        write(reader, layers(), [record("bob")])


def test_names_are_cut_to_what_the_columns_hold(gradebook: Any) -> None:
    """Catches a long address in the roster, which SQLite takes and PostgreSQL refuses; and half a pair, and a null."""
    people = [Student("ada", "A" * 300, "\ud83d\0L\U0001f600", "a" * 200 + "@example.org", "7")]
    for _ in range(2):
        enrol(gradebook, people)
    found = gradebook.find_student("ada")
    assert (found.first_name, found.last_name, len(found.email)) == ("A" * 128, "?\ufffdL\U0001f600", 128)


def test_grades_come_in_the_same_order_as_from_any_database(postgres: Server, gradebook: Any, url: str) -> None:
    """Catches sums and rows in an order of the server's: of its language, "ada" before "Zoe", or of its tables."""
    names = ["_x", "ada", "Zoe", "eda", "Edgar"]
    assert postgres.sql("postgres", "SELECT 'ada' < 'Zoe'") == [(True,)], "this server sorts as SQLite does"
    write(gradebook, layers(), [record(name) for name in names])
    postgres.sql(name_of(url), *(f"ALTER DATABASE {name_of(url)} SET enable_{way} = off" for way in UNASKED))
    gradebook.engine.dispose()
    found = read(gradebook, "03_layers")
    assert list(found) == sorted(names)
    cells = [cell.grade_id for cell in found["ada"].cells]
    assert cells == sorted(cells) and len(cells) == 14


def refused(url: str) -> EnvironmentFault:
    with pytest.raises(EnvironmentFault) as failure:
        open_gradebook(url, "course")
    assert PASSWORD not in failure.value.message + failure.value.hint
    return failure.value


def test_a_server_that_cannot_be_reached_is_a_sentence(postgres: Server, url: str) -> None:
    """Catches a stack trace, a password in it, and no word on what is wrong."""
    nowhere = refused(url.replace(f":{postgres.port}/", ":1/"))
    assert nowhere.message.startswith(f"The gradebook postgresql+psycopg://{USER}:***@127.0.0.1:1/grades")
    assert "refused" in nowhere.message and "server runs" in nowhere.hint
    missing = refused(postgres.url("nowhere"))
    assert 'database "nowhere" does not exist' in missing.message and "createdb" in missing.hint
    wrong = refused(postgres.url(name_of(url), password="guess"))
    assert f'password authentication failed for user "{USER}"' in wrong.message
    assert "guess" not in wrong.message and "PGPASSWORD or ~/.pgpass" in wrong.hint


def test_a_user_without_rights_is_told(postgres: Server, url: str) -> None:
    """Catches PostgreSQL 15's refusal to let everybody make tables as a stack trace."""
    postgres.sql(
        name_of(url), f"CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'", "REVOKE CREATE ON SCHEMA public FROM PUBLIC"
    )
    assert "permission denied for schema public" in refused(postgres.url(name_of(url), user="reader")).message


def test_a_database_that_cannot_hold_every_text_is_refused(postgres: Server) -> None:
    """Catches a gradebook that fails in the middle of a class, at the first answer in Greek."""
    for encoding in ("LATIN1", "SQL_ASCII"):
        url = postgres.database(f"ENCODING '{encoding}' TEMPLATE template0 LOCALE_PROVIDER libc LOCALE 'C'")
        failure = refused(url)
        assert f"has the encoding {encoding}" in failure.message and "createdb --encoding UTF8" in failure.hint


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch, driver: str) -> None:
    """Catches an ImportError without a word on what to install."""
    monkeypatch.setitem(sys.modules, driver, None)
    failure = refused(f"postgresql+{driver}://{USER}:{PASSWORD}@host/grades")
    assert driver in failure.message and "pip install 'tito[postgres]'" in failure.hint
    assert "postgresql+psycopg://" in failure.hint


@pytest.mark.parametrize(
    "address",
    [
        f"postgresql+psycopg://{USER}:{PASSWORD}@host:port/grades",
        f"postgresql+psycopg://{USER}:x:{PASSWORD}@host:port/grades",
        f"postgresql+psycopg://{USER}:x@{PASSWORD}@host/grades",
        f"postgresql+psycopg://{USER}:x/{PASSWORD}@host:port/grades",
        f"postgresql+psycopg://{USER}:x?{PASSWORD}@host:port/grades",
        f"postgresql:/{USER}:{PASSWORD}@host/grades",
        f"postgres//{USER}:{PASSWORD}@host/grades",
        f"postgres://{USER}:{PASSWORD}@host/grades",
        f"{USER}:{PASSWORD}@host/grades",
        f"postgresql+psycopg://host:port/grades?password={PASSWORD}",
    ],
)
def test_a_mistyped_address_does_not_tell_its_password(address: str) -> None:
    """Catches a password on the screen, and a ValueError, because of a slip in the address."""
    assert "no address of a database" in refused(address).message


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        (
            "postgresql+psycopg://ada:pw@host:5432/grades?sslmode=require",
            "postgresql+psycopg://ada:***@host:5432/grades",
        ),
        ("postgresql+psycopg://ada@host/grades", "postgresql+psycopg://ada@host/grades"),
        ("postgresql+psycopg:///grades?host=/run/postgresql&password=pw", "postgresql+psycopg:///grades"),
        ("postgresql+psycopg://host/grades?password=pw@x", "postgresql+psycopg://host:***@x"),
        ("sqlite:////home/a:b@c/gradebook.db?timeout=60", "sqlite:////home/a:b@c/gradebook.db"),
    ],
)
def test_an_address_is_shown_without_its_password(url: str, seen: str) -> None:
    """Catches an address that nobody recognises, and one with its password."""
    assert shown(url) == seen


@pytest.mark.parametrize("place", ["PGPASSWORD", "PGPASSFILE", "HOME"])
def test_the_password_may_stand_elsewhere(
    postgres: Server, url: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches an address that must carry the password, where every list of processes shows it."""
    for name in ("PGPASSWORD", "PGPASSFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    address = postgres.url(name_of(url), password=None)
    assert "no password supplied" in refused(address).message
    file = tmp_path / ".pgpass"
    file.write_text(f"127.0.0.1:{postgres.port}:*:{USER}:{PASSWORD}\n", encoding="utf-8")
    file.chmod(0o600 if place != "PGPASSWORD" else 0o644)
    if place != "HOME":
        monkeypatch.setenv(place, {"PGPASSWORD": PASSWORD, "PGPASSFILE": str(file)}[place])
        monkeypatch.setenv("HOME", "/nowhere")
    with open_gradebook(address, "course") as gradebook:
        write(gradebook, layers(), [record("ada")])
        assert read(gradebook, "03_layers")["ada"].raw == 50
