"""formgrader itself, served on a gradebook that tito wrote."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import pytest
from grading_made import course_folder, layers, record, unreadable

from tito.errors import EnvironmentFault
from tito.grading.books.autograded import Pages, write_config, write_page
from tito.grading.books.formgrader import formgrader
from tito.grading.books.gradebook import open_gradebook, read, write
from tito.grading.place import Place

DEPTH = "reflection-depth-width"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = course_folder(tmp_path_factory.mktemp("formgrader"))
    pages, records = Pages(layers()), [record("ada", lost=("test-linear",)), record("bob"), unreadable("cem")]
    with open_gradebook(place.database, "tinytorch") as gradebook:
        write(gradebook, layers(), records)
    for each in records:
        write_page(place, place.course.resolve("03"), pages, each)
    write_config(place, "tinytorch")
    return place


class Browser:
    """Whoever grades: opens the address, and has nothing but its cookies from then on."""

    def __init__(self, address: str) -> None:
        self.root = address.partition("/login")[0] + "/formgrader"
        self.cookies = CookieJar()
        self.opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(self.cookies)
        )
        with self.opener.open(address, timeout=60) as answer:
            self.first = answer.url

    def ask(self, path: str, data: Any = None) -> str:
        secret = next((cookie.value for cookie in self.cookies if cookie.name == "_xsrf"), "")
        body = None if data is None else json.dumps(data).encode()
        request = urllib.request.Request(
            self.root + path, body, {"X-XSRFToken": str(secret)}, method="PUT" if body else "GET"
        )
        with self.opener.open(request, timeout=60) as answer:
            return str(answer.read().decode())

    def json(self, path: str) -> Any:
        return json.loads(self.ask(path))


@pytest.mark.slow
def test_a_person_grades_an_answer_and_the_next_run_keeps_it(place: Place) -> None:
    """Catches pages that formgrader cannot show, and a score from formgrader that autograding takes away."""
    with formgrader(place) as (address, _):
        client = Browser(address)
        assert client.first == client.root + "/gradebook"
        assert address.startswith("http://127.0.0.1:")
        assert "03_layers" in client.ask("/api/assignments")
        notebooks = client.json("/api/submitted_notebooks/03_layers/layers_dev")
        assert {row["student"]: row["score"] for row in notebooks} == {"ada": 45, "bob": 50, "cem": 0}
        ids = {row["student"]: row["id"] for row in notebooks}
        for path in ("/gradebook", "/gradebook/03_layers", "/gradebook/03_layers/layers_dev", "/manage_students"):
            assert "nbgrader formgrade</title>" in client.ask(path)
        page = client.ask(f"/submissions/{ids['ada']}/")
        assert page.count('class="score tabbable"') == 14
        assert "ada says: width" in page
        assert "expected (2, 3), got (3, 2)" in page
        assert "it is a picture" in client.ask(f"/submissions/{ids['cem']}/")
        grades = {row["name"]: row for row in client.json(f"/api/grades?submission_id={ids['ada']}")}
        assert len(grades) == 14
        client.ask(f"/api/grade/{grades[DEPTH]['id']}", {"manual_score": 8.5, "extra_credit": 1})
        comments = {row["name"]: row for row in client.json(f"/api/comments?submission_id={ids['ada']}")}
        client.ask(f"/api/comment/{comments[DEPTH]['id']}", {"manual_comment": "well argued"})
        with open_gradebook(place.database, "tinytorch") as gradebook:  # while the server has the database open
            write(gradebook, layers(), [record("ada"), record("bob")])
            grade = read(gradebook, "03_layers")["ada"]
    (answer,) = (cell for cell in grade.cells if cell.grade_id == DEPTH)
    assert (answer.score, answer.manual_comment, answer.needs_manual_grade) == (9.5, "well argued", False)
    assert (grade.automatic, grade.manual) == (50, 9.5)


@pytest.mark.slow
def test_nobody_gets_in_without_the_key(place: Place) -> None:
    """Catches a gradebook that every user of the machine can read and change."""
    with formgrader(place) as (address, server):
        key = address.partition("token=")[2].partition("&")[0]
        assert len(key) > 20
        assert "ada" in Browser(address).ask("/api/submitted_notebooks/03_layers/layers_dev")
        stranger = Browser(address.replace(key, "guess"))
        page = stranger.ask("/api/submitted_notebooks/03_layers/layers_dev")
        assert "Token authentication is enabled" in page  # the page on which to enter it
        with pytest.raises(urllib.error.HTTPError) as refused:
            stranger.ask("/api/grade/0123456789abcdef", {"manual_score": 10})
        refused.value.close()
        assert refused.value.code == 403
        assert key not in Path(f"/proc/{server.pid}/cmdline").read_text(encoding="utf-8")
    assert server.poll() is not None


def test_a_port_that_is_taken_is_a_sentence(place: Place) -> None:
    """Catches an address that leads to somebody else's server."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(EnvironmentFault, match="cannot be used"), formgrader(place, taken.getsockname()[1]):
            raise AssertionError
