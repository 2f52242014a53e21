"""Collecting: whose a file is, which file counts, and what is there afterwards, whatever comes between."""

from __future__ import annotations

import io
import os
import threading
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from grading.lessons import course, ipynb, percent, released, solved

from tito.course import Module
from tito.errors import EnvironmentFault
from tito.grading.intake import keeping
from tito.grading.intake.collect import Collected, collect
from tito.grading.intake.keeping import Action, seconds_of, stamp
from tito.grading.intake.students import Roster, Sender, Student, UnknownStudent, derived_id, sender_of, student_id
from tito.grading.place import Place
from tito.grading.submission.reading import read_submission
from tito.render import grade_views
from tito.render.plain import lines

MODULE: Module = course().resolve("03")
PY, NOTEBOOK = percent(solved("03")), ipynb(solved("03"))
WRITTEN = 1_700_000_000.0  # 2023-11-14 22:13:20 UTC


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "grading", course())


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    return folder


def fill(folder: Path, files: Mapping[str, bytes], at: float = WRITTEN) -> None:
    """Write files below a folder."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        os.utime(path, (at, at))


def zipped(files: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2023, 11, 14, 22, 13, 20)), data, zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def submitted(place: Place) -> dict[str, bytes]:
    """What lies in submitted/, without the timestamps."""
    root = place.root / "submitted"
    found = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    return {name: data for name, data in found.items() if not name.endswith("timestamp.txt")}


def roster(place: Place, *rows: str) -> None:
    place.root.mkdir(exist_ok=True)
    text = "\n".join(["id,first_name,last_name,email,lms_id", *rows]) + "\n"
    (place.root / "students.csv").write_text(text, encoding="utf-8")


def reasons(collected: Collected) -> str:
    return "\n".join(each.reason for each in collected.quarantined)


# A file as it lies in the source, and where it belongs afterwards.
LAYOUTS = [
    ("alice/layers_dev.py", "alice/03_layers/layers_dev.py"),
    ("alice.py", "alice/03_layers/layers_dev.py"),
    ("alice.IPYNB", "alice/03_layers/layers_dev.ipynb"),
    ("alice/03_layers/layers_dev.ipynb", "alice/03_layers/layers_dev.ipynb"),
    ("alice_layers_dev.ipynb", "alice/03_layers/layers_dev.ipynb"),
    ("layers_dev_alice.py", "alice/03_layers/layers_dev.py"),
    ("alice-03_layers.py", "alice/03_layers/layers_dev.py"),
    ("alice/modules/03_layers/layers_dev.py", "alice/03_layers/layers_dev.py"),
    ("submissions/03_layers/alice.py", "alice/03_layers/layers_dev.py"),
    ("submissions/alice/layers_dev.py", "alice/03_layers/layers_dev.py"),
    ("alice/my homework.py", "alice/03_layers/layers_dev.py"),
    ("alice/layers_dev (1).py", "alice/03_layers/layers_dev.py"),
    ("alice/layers_dev-Copy1.ipynb", "alice/03_layers/layers_dev.ipynb"),
    ("a.b-c_d@uni.edu/layers_dev.py", "a.b-c_d@uni.edu/03_layers/layers_dev.py"),
    ("Zoë/layers_dev.py", "Zoë/03_layers/layers_dev.py"),
    ("Zoe\u0308/layers_dev.py", "Zoë/03_layers/layers_dev.py"),
    ("doejane_12345_67890_layers_dev-1.ipynb", "doejane/03_layers/layers_dev.ipynb"),
    ("doejane_LATE_12345_67890_layers_dev.py", "doejane/03_layers/layers_dev.py"),
    ("doejane_12345_67890_Homework 3.py", "doejane/03_layers/layers_dev.py"),
    ("Jane Doe_123456_assignsubmission_file_/layers_dev.ipynb", "Jane-Doe/03_layers/layers_dev.ipynb"),
    ("Jane Doe_123456_assignsubmission_file/layers_dev.py", "Jane-Doe/03_layers/layers_dev.py"),
    ("Jane O'Neil_1_assignsubmission_file_layers_dev.py", "Jane-ONeil/03_layers/layers_dev.py"),
]


@pytest.mark.parametrize(("name", "target"), LAYOUTS)
@pytest.mark.parametrize("packed", [False, True])
def test_each_layout_finds_its_student(name: str, target: str, packed: bool, place: Place, source: Path) -> None:
    """Catches a file that goes to nobody, or to a folder that is not the student's."""
    data = NOTEBOOK if name.lower().endswith("ipynb") else PY
    if packed:
        (source / "all.zip").write_bytes(zipped({name: data}))
    else:
        fill(source, {name: data})
    collected = collect(place, MODULE, source / "all.zip" if packed else source)
    assert submitted(place) == {target: data}, collected
    (taken,) = collected.submissions
    assert (taken.action, taken.late) == (Action.NEW, "LATE" in name)
    assert collected.quarantined == () and collected.missing == () and collected.enrolled is None


def test_archives_of_students_are_opened(place: Place, source: Path) -> None:
    """Catches a student's ZIP that is not looked into: alone, inside an LMS's ZIP, or inside another."""
    own = zipped({"work/layers_dev.py": PY, "work/.git/config": b"", "__MACOSX/work/._layers_dev.py": b"\0"})
    canvas = zipped({"doejane_1_2_hw.zip": own, "roerichard_3_4_layers_dev.py": PY})
    moodle = zipped({"Al Bo_7_assignsubmission_file_/hw.zip": zipped({"in.zip": own})})
    fill(source, {"alice.zip": own, "canvas.zip": canvas, "moodle.zip": moodle})
    collected = collect(place, MODULE, source)
    assert reasons(collected) == ""
    students = ["alice", "doejane", "roerichard", "Al-Bo"]
    assert submitted(place) == {f"{student}/03_layers/layers_dev.py": PY for student in students}


def test_one_bad_entry_of_an_lms_does_not_stop_the_rest(place: Place, source: Path) -> None:
    """Catches a class that is not collected because of one file."""
    (source / "all.zip").write_bytes(
        zipped({"a_1_2_layers_dev.py": PY, "../b_3_4_layers_dev.py": PY, "c_5_6_hw.zip": b"no", "d_7_8_x.docx": b""})
    )
    collected = collect(place, MODULE, source / "all.zip")
    assert [taken.student for taken in collected.submissions] == ["a"]
    assert "leads out of the archive" in reasons(collected) and "no ZIP archive" in reasons(collected)
    assert "there is no layers_dev.py or layers_dev.ipynb among d_7_8_x.docx" in reasons(collected)
    assert not (source.parent / "b_3_4_layers_dev.py").exists()


def test_a_damaged_download_is_said(place: Place, source: Path) -> None:
    """Catches a broken download that looks like a class that handed in nothing."""
    (source / "all.zip").write_bytes(zipped({"a_1_2_layers_dev.py": PY})[:-40])
    collected = collect(place, MODULE, source / "all.zip")
    assert collected.submissions == () and "breaks off before its end" in reasons(collected)


# What a student handed in, the ending that counts (empty: none), and what is said of it.
FILES: list[tuple[dict[str, bytes], str, str]] = [
    ({"layers_dev.py": PY, "notes.py": b"x"}, "py", ""),
    ({"layers_dev.py": PY, "activations_dev.py": b"x"}, "py", ""),
    ({"layers_dev.py": PY, "layers_dev.ipynb": NOTEBOOK}, "py", "have the same cells; layers_dev.py was taken"),
    ({"layers_dev.py": PY, "layers_dev.ipynb": ipynb([])}, "", "2 different files that can be layers_dev"),
    ({"modules/03_layers/layers_dev.py": PY, "backup/layers_dev.py": b"x"}, "py", ""),
    ({"modules/03_layers/layers_dev.py": PY, "tinytorch/core/layers.py": b"x", "tests/test_layers.py": b"x"}, "py", ""),
    ({"hw.py": PY, "activations_dev.py": b"x", "tinytorch/core/layers.py": b"x"}, "py", "it is the only file"),
    ({"a.py": PY, "b.py": b"x"}, "", "2 different files that can be layers_dev: a.py, b.py"),
    ({"a.py": PY, "b.py": PY}, "py", ""),
    ({"x/layers_dev.py": PY, "y/layers_dev.py": b"x"}, "", "2 different files"),
    ({"layers_dev.py": PY, "old/layers_dev.py": b"x"}, "py", ""),
    ({"layers_dev-1.py": b"x", "layers_dev-2.py": PY}, "py", "the highest number of 2 versions"),
    ({"layers_dev.py": b"x", "layers_dev (1).py": PY}, "py", "the highest number of 2 versions"),
    ({"report.pdf": b"x", "timestamp.txt": b"2026-01-01 00:00:00 UTC"}, "", "there is no layers_dev.py"),
    ({"layers_dev.py.txt": PY}, "py", ""),
    ({"layers_dev (1).py.TXT": PY, "notes.txt": b"x"}, "py", ""),
    ({"layers_dev.txt": PY}, "", "there is no layers_dev.py or layers_dev.ipynb among layers_dev.txt"),
    ({"activations_dev.py": b"x"}, "", "there is no layers_dev.py or layers_dev.ipynb among activations_dev.py"),
]


@pytest.mark.parametrize(("files", "ending", "said"), FILES)
def test_the_right_file_is_chosen(files: dict[str, bytes], ending: str, said: str, place: Place, source: Path) -> None:
    """Catches another file that is graded in the lesson's place, and a guess where no choice is sure."""
    fill(source / "alice", files)
    collected = collect(place, MODULE, source)
    assert submitted(place) == ({f"alice/03_layers/layers_dev.{ending}": PY} if ending else {})
    told = [*(note for taken in collected.submissions for note in taken.notes), reasons(collected)]
    assert said in "".join(told) if said else "".join(told) == ""


def test_of_two_formats_the_newer_counts(place: Place, source: Path) -> None:
    """Catches the older of a .py and an .ipynb that is graded."""
    fill(source / "alice", {"layers_dev.py": PY})
    fill(source / "alice", {"layers_dev.ipynb": ipynb([])}, WRITTEN + 5)
    collected = collect(place, MODULE, source)
    assert list(submitted(place)) == ["alice/03_layers/layers_dev.ipynb"]
    assert "the newer, layers_dev.ipynb, was taken" in collected.submissions[0].notes[0]


@pytest.mark.parametrize("later", [0, 5])
def test_the_format_that_was_worked_in_counts(later: int, place: Place, source: Path) -> None:
    """Catches no points for a student beside whose notebook the released .py lies, untouched and newer."""
    fill(source / "alice", {"layers_dev.ipynb": NOTEBOOK})
    fill(source / "alice", {"layers_dev.py": percent(released("03"))}, WRITTEN + later)
    collected = collect(place, MODULE, source)
    assert list(submitted(place)) == ["alice/03_layers/layers_dev.ipynb"], reasons(collected)
    assert "layers_dev.py was handed in as it had been released" in collected.submissions[0].notes[0]
    fill(source / "bob", {"layers_dev.py": percent(released("03")), "layers_dev.ipynb": ipynb(released("03"))})
    collect(place, MODULE, source)
    assert "bob/03_layers/layers_dev.py" in submitted(place)


GOOD_IDS = ["alice", "a", "A.B-c_d@uni.edu", "9", "Zoë", "Ωmega", "x" * 64, "a.b", "console"]
BAD_IDS = [
    *("", " ", ".", "..", ".hidden", "-rf", "a/b", "a\\b", "a b", "a\0b", "a\nb", "x" * 65, "\u202ealice", "a:b", "a*"),
    *("CON", "nul", "com1.txt", "a.", "a\u200bb", "²", "名" * 63, "=cmd", "+1", "\ud800", "alice\u0338"),
]


@pytest.mark.parametrize("name", GOOD_IDS)
def test_ids_that_are_used(name: str) -> None:
    """Catches an honest id that is refused or changed."""
    assert student_id(name) == name


@pytest.mark.parametrize("name", BAD_IDS)
def test_ids_that_are_refused(name: str) -> None:
    """Catches an id that would be a path, an option, a formula, a device, or look like another."""
    with pytest.raises(UnknownStudent):
        student_id(name)


def test_an_id_is_one_however_it_is_written() -> None:
    """Catches two students made of one name whose accent is written in two ways."""
    assert student_id("Zoe\u0308") == student_id("Zoë")


def test_ids_that_differ_in_case_alone_are_refused(place: Place, source: Path) -> None:
    """Catches two students in one folder on a disk that knows no case."""
    fill(source, {"alice/layers_dev.py": PY, "ALICE.py": NOTEBOOK})
    collected = collect(place, MODULE, source)
    assert len(submitted(place)) == 1 and "upper and lower case alone" in reasons(collected)
    fill(source, {"Alice/layers_dev.py": PY})
    assert "Alice" not in str(submitted(place))


def test_two_senders_of_one_id_are_refused(place: Place, source: Path) -> None:
    """Catches two students of one name whose work is mixed."""
    fill(source, {"doejane_1_10_layers_dev.py": PY, "doejane_2_11_layers_dev.py": NOTEBOOK})
    collected = collect(place, MODULE, source)
    assert "are both doejane" in reasons(collected) and "students.csv" in reasons(collected)


ROSTER = Roster(
    (
        Student("jd1", "Jane", "Doe", "jane.doe@uni.edu", "12345"),
        Student("rr2", "Zoë", "van der Berg", "zoe@uni.edu", "777"),
        Student("ab3", "Ann", "Bo", "ab@uni.edu", ""),
        Student("ab4", "Ann", "Bo", "ab4@uni.edu", "888"),
    )
)


@pytest.mark.parametrize(
    ("sender", "student"),
    [
        (Sender("jd1"), "jd1"),
        (Sender("whatever", "12345"), "jd1"),
        (Sender("12345"), "jd1"),
        (Sender("doejane", "9"), "jd1"),
        (Sender("Jane Doe", "9"), "jd1"),
        (Sender("Doe, Jane"), "jd1"),
        (Sender("Jane.Doe@uni.edu"), "jd1"),
        (Sender("jane.doe"), "jd1"),
        (Sender("vanderbergzoe"), "rr2"),
        (Sender("Zoe van der Berg"), "rr2"),
        (Sender("annbo", "888"), "ab4"),
        (Sender("Ann Bo"), ""),
        (Sender("nobody", "1"), ""),
    ],
)
def test_the_roster_knows_who_it_is(sender: Sender, student: str) -> None:
    """Catches a submission that is given to another student, or a guess between two of one name."""
    if student:
        assert ROSTER.find(sender).id == student
        return
    with pytest.raises(UnknownStudent):
        ROSTER.find(sender)


def test_with_a_roster_strangers_are_refused_and_the_missing_are_named(place: Place, source: Path) -> None:
    """Catches a student who is forgotten, and a submission of nobody in the course."""
    roster(place, "jd1,Jane,Doe,,12345", "rr2,Richard,Roe,,", "ms3,Mary,Sue,,")
    fill(source, {"doejane_12345_1_layers_dev.py": PY, "stranger.py": PY, "roerichard_4_2_layers_dev.py": PY})
    collected = collect(place, MODULE, source)
    assert [taken.student for taken in collected.submissions] == ["jd1", "rr2"]
    assert collected.missing == ("ms3",) and collected.enrolled == 3
    assert "'stranger' is nobody in grading/students.csv" in reasons(collected)
    assert collect(place, MODULE, source).missing == ("ms3",)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["../x,,,,"], "line 2: the student id '../x' has '/'"),
        (["a,,,,", "A,,,,"], "line 3: the id 'A' is used in line 2 already"),
        ([",Jane,Doe,,"], "line 2: a student id is empty"),
    ],
)
def test_a_roster_with_bad_ids_is_refused(rows: list[str], said: str, place: Place, source: Path) -> None:
    """Catches a roster that leads out of the grading folder."""
    roster(place, *rows)
    with pytest.raises(EnvironmentFault) as refused:
        collect(place, MODULE, source)
    assert said in refused.value.message


def test_links_and_pipes_are_not_followed(place: Place, source: Path, tmp_path: Path) -> None:
    """Catches a link that hands in somebody else's file, and a pipe on which the grader waits for ever."""
    fill(tmp_path, {"secret/layers_dev.py": PY})
    (source / "mallory").symlink_to(tmp_path / "secret")
    fill(source, {"bob/notes.txt": b"", "carol.py": PY})
    (source / "bob/layers_dev.py").symlink_to(tmp_path / "secret/layers_dev.py")
    if hasattr(os, "mkfifo"):
        os.mkfifo(source / "dave.py")
    else:
        (source / "dave.py").symlink_to(tmp_path / "a pipe")
    collected = collect(place, MODULE, source)
    assert [taken.student for taken in collected.submissions] == ["carol"]
    assert {each.origin for each in collected.quarantined} == {"mallory", "bob", "dave"}
    assert "symbolic link, which is not followed" in reasons(collected) and "a pipe" in reasons(collected)


def test_times_are_kept_as_nbgrader_writes_them(place: Place, source: Path, tmp_path: Path) -> None:
    """Catches a submission that is late, or early, by a wrong clock."""
    fill(source, {"alice.py": PY, "bob/layers_dev.py": PY, "bob/timestamp.txt": b"2015-02-02 15:58:23.948203 UTC\n"})
    fill(source, {"carol.py": PY})
    table = tmp_path / "times.csv"
    table.write_text("id,timestamp\ncarol,2020-01-02T03:04:05+01:00\n", encoding="utf-8")
    collected = collect(place, MODULE, source, timestamps=table)
    told = {taken.student: taken.at for taken in collected.submissions}
    assert told == {
        "alice": "2023-11-14 22:13:20.000000 UTC",
        "bob": "2015-02-02 15:58:23.948203 UTC",
        "carol": "2020-01-02 02:04:05.000000 UTC",
    }
    for student, at in told.items():
        written = (place.submitted(student, MODULE) / "timestamp.txt").read_text(encoding="utf-8")
        assert written == at + "\n"
    table.write_text("id,timestamp\ncarol,soon\n", encoding="utf-8")
    with pytest.raises(EnvironmentFault, match=r"line 2: 'soon' is no time"):
        collect(place, MODULE, source, timestamps=table)


def test_a_table_of_times_corrects_what_is_there_and_a_later_copy_does_not(
    place: Place, source: Path, tmp_path: Path
) -> None:
    """Catches a collect that shows a time which nothing is graded by, and a copied file that makes its student late."""
    written = place.submitted("alice", MODULE) / "timestamp.txt"
    fill(source, {"alice.py": PY})
    collect(place, MODULE, source)
    fill(source, {"alice.py": PY}, WRITTEN + 60)
    (again,) = collect(place, MODULE, source).submissions
    assert again.action is Action.UNCHANGED
    assert (again.at, written.read_text(encoding="utf-8")) == (stamp(WRITTEN), stamp(WRITTEN) + "\n")
    table = tmp_path / "times.csv"
    table.write_text(f"id,timestamp\nalice,{stamp(WRITTEN + 5)}\n", encoding="utf-8")
    (corrected,) = collect(place, MODULE, source, timestamps=table).submissions
    assert corrected.action is Action.UNCHANGED
    assert (corrected.at, written.read_text(encoding="utf-8")) == (stamp(WRITTEN + 5), stamp(WRITTEN + 5) + "\n")


def test_an_archive_does_not_say_when_it_was_handed_in(place: Place, source: Path) -> None:
    """Catches a student who sets back the times in an archive, and a later version that counts as the older one."""
    told = {"layers_dev.py": PY, "timestamp.txt": b"2015-02-02 15:58:23 UTC\n"}
    fill(source, {"alice.zip": zipped(told)}, WRITTEN + 3600)
    fill(source, {"bob/work.zip": zipped(told)}, WRITTEN + 3600)
    fill(source, {"bob/timestamp.txt": b"2020-01-02 03:04:05 UTC\n"})
    moodle = "Carol Smith_9003_assignsubmission_file_"
    fill(source, {f"{moodle}/{name}": data for name, data in told.items()})
    collected = collect(place, MODULE, source)
    times = {each.student: each.at for each in collected.submissions}
    assert times == {
        "Carol-Smith": stamp(WRITTEN),
        "alice": stamp(WRITTEN + 3600),
        "bob": "2020-01-02 03:04:05.000000 UTC",
    }
    later = {"layers_dev.py": PY + b"\n# more\n", "timestamp.txt": b"2014-01-01 00:00:00 UTC\n"}
    fill(source, {"alice.zip": zipped(later)}, WRITTEN + 7200)
    assert collect(place, MODULE, source).count(Action.REPLACED) == 1
    assert submitted(place)["alice/03_layers/layers_dev.py"] == later["layers_dev.py"]


@pytest.mark.parametrize(("text", "seconds"), [(stamp(WRITTEN + 0.25), WRITTEN + 0.25), ("2023-11-14", 1699920000.0)])
def test_times_are_read(text: str, seconds: float) -> None:
    """Catches a timestamp that is read in another time zone than it was written in."""
    assert seconds_of(text) == seconds
    assert seconds_of("yesterday") is None


def test_a_second_collect_keeps_what_was_there(place: Place, source: Path) -> None:
    """Catches an earlier version that is lost, an older one that wins, and an equal one that is written again."""
    fill(source, {"alice.py": PY})
    assert collect(place, MODULE, source).count(Action.NEW) == 1
    assert collect(place, MODULE, source).count(Action.UNCHANGED) == 1
    (source / "alice.py").unlink()
    fill(source, {"alice.ipynb": NOTEBOOK}, WRITTEN + 60)
    assert collect(place, MODULE, source).count(Action.REPLACED) == 1
    assert submitted(place) == {"alice/03_layers/layers_dev.ipynb": NOTEBOOK}
    (kept,) = keeping.versions(place, "alice", MODULE).iterdir()
    assert (kept / "layers_dev.py").read_bytes() == PY
    assert (kept / "timestamp.txt").read_text(encoding="utf-8") == stamp(WRITTEN) + "\n"
    (source / "alice.ipynb").unlink()
    fill(source, {"alice.py": b"old"}, WRITTEN - 60)
    collected = collect(place, MODULE, source)
    assert collected.count(Action.OLDER) == 1 and collected.submissions[0].at == stamp(WRITTEN - 60)
    assert submitted(place) == {"alice/03_layers/layers_dev.ipynb": NOTEBOOK}
    assert collected.to_json()["counts"] == {"new": 0, "replaced": 0, "unchanged": 0, "older": 1, "quarantined": 0}


@pytest.mark.parametrize("after", range(4))
def test_killed_in_the_middle_nothing_is_lost(
    after: int, place: Place, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches a submission of which half is there, or neither the old nor the new version."""
    fill(source, {"alice.py": PY})
    collect(place, MODULE, source)
    fill(source, {"alice.py": b"# %%\nnew = 1\n"}, WRITTEN + 60)
    renames = 0
    rename = Path.rename

    def killed(self: Path, target: Path) -> Path:
        nonlocal renames
        if renames == after:
            raise KeyboardInterrupt
        renames += 1
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", killed)
    if after < 3:
        with pytest.raises(KeyboardInterrupt):
            collect(place, MODULE, source)
    else:
        collect(place, MODULE, source)
    monkeypatch.setattr(Path, "rename", rename)
    everything = [path.read_bytes() for path in place.root.rglob("layers_dev.py")]
    assert PY in everything
    keeping.finish(place, MODULE)
    assert submitted(place)["alice/03_layers/layers_dev.py"] in (PY, b"# %%\nnew = 1\n")
    collect(place, MODULE, source)
    assert submitted(place) == {"alice/03_layers/layers_dev.py": b"# %%\nnew = 1\n"}
    (kept,) = keeping.versions(place, "alice", MODULE).iterdir()
    assert (kept / "layers_dev.py").read_bytes() == PY


def test_two_collects_at_once(place: Place, source: Path) -> None:
    """Catches two collects that disturb each other."""
    fill(source, {f"s{number}.py": PY + f"# {number}\n".encode() for number in range(30)})
    results: list[Collected] = []
    threads = [threading.Thread(target=lambda: results.append(collect(place, MODULE, source))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(result.count(Action.NEW) for result in results) == 30
    assert sum(result.count(Action.UNCHANGED) for result in results) == 30
    assert len(submitted(place)) == 30 and not (place.root / "versions").exists()


def test_a_place_without_submissions_is_said(place: Place, tmp_path: Path) -> None:
    """Catches a misspelled path that looks like an empty class."""
    with pytest.raises(EnvironmentFault, match="no submissions at"):
        collect(place, MODULE, tmp_path / "nowhere")


def test_a_text_typed_on_the_page_is_no_file(place: Place, source: Path) -> None:
    """Catches an online text that is lost without a word, or that hides the file beside it."""
    text = "Jane Doe_1_assignsubmission_onlinetext_/onlinetext.html"
    fill(source, {text: b"<p>done</p>"})
    assert "a text was typed on the page" in reasons(collect(place, MODULE, source))
    fill(source, {"Jane Doe_1_assignsubmission_file_/layers_dev.py": PY})
    assert [taken.student for taken in collect(place, MODULE, source).submissions] == ["Jane-Doe"]


def test_names_reach_no_terminal_as_they_are(place: Place, source: Path) -> None:
    """Catches a file's name that clears the screen, or writes a line of the report itself."""
    names = {"al\x1b[2Jice": "a", "bob": "\x1b]0;x\x07", "eve\nall: fine": "b\u202e", "Jos\u00e9 \u738b": "c"}
    fill(source, {f"{folder}/{inner}/layers_dev.py": PY for folder, inner in names.items()})
    shown = list(lines(grade_views.collected(collect(place, MODULE, source))))
    assert all(line.isprintable() for line in shown), shown
    assert any("Jos\u00e9 \u738b/c/layers_dev.py" in line for line in shown)
    told = [path.read_text(encoding="utf-8") for path in place.quarantine(MODULE).glob("*.reason.txt")]
    assert told and all(line.isprintable() for text in told for line in text.splitlines())


def test_a_name_may_end_with_a_dot() -> None:
    """Catches an abbreviated last name that is no student id."""
    assert derived_id(Sender("Jane D.")) == "Jane-D" and derived_id(Sender("J. R. Doe Jr.")) == "J.-R.-Doe-Jr"


def test_names_of_an_lms() -> None:
    """Catches a name that is taken apart at the wrong place."""
    assert sender_of("doejane_LATE_1_2_my_file-3") == Sender("doejane", "1", "my_file-3", late=True)
    assert sender_of("José María_42_assignsubmission_file_").name == "José María"
    assert sender_of("jane_doe") == Sender("jane_doe")


def test_what_is_collected_can_be_read(place: Place, source: Path) -> None:
    """Catches a file that is changed on its way."""
    fill(source, {"alice.py": PY.replace(b"\n", b"\r\n")})
    collect(place, MODULE, source)
    found = keeping.submission_file(place, "alice", MODULE)
    assert found is not None and found.read_bytes() == PY.replace(b"\n", b"\r\n")
    assert read_submission(found.read_bytes(), found.name).notes == ()
    assert place.students(MODULE) == ("alice",)


def test_the_table_has_no_empty_microseconds(place: Place, source: Path) -> None:
    """Catches times of which the last seven characters say nothing, or a moment that is cut off."""
    fill(source, {"alice.py": PY})
    fill(source, {"bob.py": PY}, WRITTEN + 0.25)
    shown = "\n".join(lines(grade_views.collected(collect(place, MODULE, source))))
    assert "handed in 2023-11-14 22:13:20 UTC" in shown and "handed in 2023-11-14 22:13:20.250000 UTC" in shown


def test_the_newer_of_one_students_two_folders_is_taken(place: Place, source: Path) -> None:
    """Catches the alphabet deciding which of two versions counts, where the roster says that both are one student's."""
    roster(place, "jdoe,Jane,Doe,,")
    fill(source, {"jdoe/layers_dev.py": PY}, WRITTEN + 60)
    fill(source, {"Jane Doe/layers_dev.py": PY + b"# earlier\n"})
    collected = collect(place, MODULE, source)
    assert submitted(place) == {"jdoe/03_layers/layers_dev.py": PY}
    assert [(each.student, each.origin) for each in collected.submissions] == [("jdoe", "jdoe/layers_dev.py")]
    assert "Jane Doe is the same student's and older than jdoe: not taken" in collected.submissions[0].notes
    assert collected.quarantined == ()
    fill(source, {"Jane Doe/layers_dev.py": PY + b"# later\n"}, WRITTEN + 120)
    assert collect(place, MODULE, source).count(Action.REPLACED) == 1
    assert submitted(place) == {"jdoe/03_layers/layers_dev.py": PY + b"# later\n"}


def test_neither_of_two_folders_is_taken_in_doubt(place: Place, source: Path) -> None:
    """Catches one of two versions that is taken by chance: of one time, or of two accounts with one name."""
    roster(place, "jdoe,Jane,Doe,,", "bob,Bob,Roe,,7")
    fill(source, {"jdoe/layers_dev.py": PY, "Jane Doe/layers_dev.py": PY + b"# other\n"})
    fill(source, {"roebob_7_1_layers_dev.py": PY})
    fill(source, {"roebob_8_2_layers_dev.py": PY}, WRITTEN + 60)
    collected = collect(place, MODULE, source)
    assert submitted(place) == {}
    assert [each.student for each in collected.quarantined].count("jdoe") == 2
    assert "are both jdoe, and neither is the newer" in reasons(collected)
    assert "are both bob (write grading/students.csv with an lms_id for each)" in reasons(collected)


def test_what_cannot_be_read_does_not_hold_back_the_other(place: Place, source: Path) -> None:
    """Catches a student without any submission because a second folder holds nothing that can be graded."""
    roster(place, "jdoe,Jane,Doe,,")
    fill(source, {"jdoe/layers_dev.py": PY, "Jane Doe/essay.docx": b"words"})
    collected = collect(place, MODULE, source)
    assert submitted(place) == {"jdoe/03_layers/layers_dev.py": PY}
    assert [(each.origin, each.student) for each in collected.quarantined] == [("Jane Doe", "jdoe")]
