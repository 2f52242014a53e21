"""Where commands meet the terminal: shared options, errors as messages and exit codes, one JSON document."""

from __future__ import annotations

import contextlib
import functools
import inspect
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol, TypeVar

import typer

from tito.cli.quick import QuickCommand, QuickGroup
from tito.errors import EnvironmentFault, Exit, Interrupted, TitoError, UsageError
from tito.render.blocks import Block, Next, Text, to_ascii

if TYPE_CHECKING:
    from tito.config import Setting
    from tito.course import Course, Module
    from tito.workspace import Workspace

ERROR_SCHEMA = "tito.error/1"


class Facts(Protocol):
    """Something to show: it knows its JSON form, whose "schema" names it."""

    def to_json(self) -> dict[str, Any]: ...


F = TypeVar("F", bound=Facts)


class Color(StrEnum):
    """When to colour."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


@dataclass
class Session:
    """What one command was asked for, and where it shows its answer."""

    json: bool = False
    plain: bool = False
    color: Color | None = None

    @functools.cached_property
    def workspace(self) -> Workspace:
        """The workspace or course repository that the current directory is in."""
        from tito.workspace import find_workspace

        return find_workspace(Path.cwd())

    @property
    def course(self) -> Course:
        """The course of that workspace."""
        return self.workspace.course

    def module(self, name: str) -> Module:
        """The module that a learner's word means: one of this release or, for its author, one that has a lesson."""
        module = self.course.resolve(name)
        if self.workspace.is_course and self.workspace.lesson(module).exists():
            return module
        return self.course.resolve_released(name)

    @functools.cached_property
    def settings(self) -> dict[str, Setting]:
        """The settings that hold here; outside a workspace, those of the environment."""
        from tito.config import load_settings

        try:
            root = self.workspace.root
        except TitoError:
            root = None
        return load_settings(root)

    def show(self, facts: F, view: Callable[[F], Iterable[Block]]) -> None:
        """Print the answer on stdout: one JSON document, or the view's blocks."""
        if self.json:
            print_json(facts.to_json())
        else:
            self.draw(view(facts), sys.stdout)

    def say(self, text: str, next_command: str = "") -> None:
        """Print a short answer: a line, and the command to run next."""
        if self.json:
            print_json({"schema": "tito.message/1", "message": text, "next": next_command})
        else:
            self.draw([Text(text), *([Next(next_command)] if next_command else [])], sys.stdout)

    def line(self, facts: Facts) -> None:
        """Print one of many answers as a line of JSON, at once."""
        sys.stdout.write(json.dumps(facts.to_json()) + "\n")
        sys.stdout.flush()

    def confirm(self, question: str, yes: bool) -> None:
        """Ask before something is overwritten; UsageError when there is nobody to ask and no --yes."""
        if yes:
            return
        if self.json or sys.stdin is None or not sys.stdin.isatty():
            raise UsageError(question, "say --yes to go ahead without being asked")
        sys.stderr.write(f"{question} [y/N] ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise Interrupted("left as it is; nothing was changed")

    @contextlib.contextmanager
    def working(self, total: int = 0) -> Iterator[Callable[[str, bool], None]]:
        """Show on stderr what is going on: a bar on a terminal, otherwise a line for each finished step.

        Yields a function of (what, finished).
        """
        if self.json or not sys.stderr.isatty():
            lines = total and not self.json
            yield lambda what, finished: self.note(what) if lines and finished else None
            return
        from tito.render.progress import live

        with live(sys.stderr, self._color, total) as tell:
            yield tell

    @property
    def _color(self) -> str:
        return self.color.value if self.color is not None else self._looks["color"]

    @functools.cached_property
    def _looks(self) -> dict[str, str]:
        """The settings that an answer is drawn with; the defaults, with a remark, when these cannot be used."""
        try:
            return {name: setting.value for name, setting in self.settings.items()}
        except TitoError as error:
            self.note(error.message)
            return {"color": "auto", "plain": "false"}

    def draw(self, blocks: Iterable[Block], stream: IO[str]) -> None:
        """Print blocks on a stream as this session wants them."""
        listed = list(blocks)
        plain_wanted = self.plain or self._looks["plain"] == "true"
        if not plain_wanted and self._pretty(listed, stream):
            return
        from tito.render import plain

        for line in plain.lines(listed):
            stream.write((line if _unicode(stream) else to_ascii(line)) + "\n")

    def _pretty(self, blocks: Sequence[Block], stream: IO[str]) -> bool:
        from tito.render import pretty

        target = pretty.console(stream, self._color, not _unicode(stream))
        if pretty.minimum_width(blocks) > target.width:
            return False
        pretty.draw(target, blocks)
        return True

    def fail(self, error: TitoError) -> None:
        """Print an error: on stderr for people, on stdout as the one document under --json."""
        if self.json:
            print_json(
                {
                    "schema": ERROR_SCHEMA,
                    "error": type(error).__name__,
                    "message": error.message,
                    "hint": error.hint,
                    "exit_code": int(error.exit_code),
                }
            )
            return
        text = f"{error.message}\n" + (f"next: {error.hint}\n" if error.hint else "")
        sys.stderr.write(text if _unicode(sys.stderr) else to_ascii(text))

    def note(self, text: str) -> None:
        """A remark on stderr that is not part of the answer."""
        if not self.json:
            sys.stderr.write((text if _unicode(sys.stderr) else to_ascii(text)) + "\n")


def _unicode(stream: IO[str]) -> bool:
    return (getattr(stream, "encoding", None) or "ascii").lower().replace("-", "") in (
        "utf8",
        "utf16",
        "utf8sig",
    )


def print_json(document: dict[str, Any]) -> None:
    """Print one JSON document on stdout."""
    text = json.dumps(document, indent=2, ensure_ascii=not _unicode(sys.stdout))
    if not text.isascii() and any(
        "\ud800" <= letter <= "\udfff" for letter in text
    ):  # a path with bytes that are no text
        text = json.dumps(document, indent=2)
    sys.stdout.write(text + "\n")


current = Session()  # of the command that runs, for an error raised before or inside it
SHARED_OPTIONS = ("--json", "--plain", "--color")
SHARED_HELP = "Every command also takes --json, --plain and --color auto|always|never."


class _NobodyReads(Exception):
    """Whoever read the answer stopped reading."""


def take_shared_options(arguments: list[str]) -> list[str]:
    """Make the current session what --json, --plain and --color ask for, wherever they stand; the other arguments.

    They may stand anywhere, which typer's parser does not offer.
    """
    global current
    current, rest = Session(), []
    colors = []
    queue = iter(arguments)
    for word in queue:
        if word == "--":
            rest += [word, *queue]
        elif word in ("--json", "--plain"):
            setattr(current, word.removeprefix("--"), True)
        elif word == "--color" or word.startswith("--color="):
            colors.append(next(queue, "") if word == "--color" else word.partition("=")[2])
        else:
            rest.append(word)
    for value in colors:
        if value not in [*Color]:
            raise UsageError(f"--color takes auto, always or never, not {value!r}.", "tito --help")
        current.color = Color(value)
    return rest


def command(
    app: typer.Typer, name: str | None = None, **settings: Any
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a function whose first parameter is a Session as a command; the others are typer's to fill."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        def run(**arguments: Any) -> None:
            try:
                function(current, **arguments)
            except KeyboardInterrupt:  # these two typer would turn into exit codes of its own, without a word
                raise Interrupted("interrupted; nothing was left half done") from None
            except BrokenPipeError:
                raise _NobodyReads from None

        parameters = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        run.__name__, run.__doc__ = function.__name__, function.__doc__
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        app.command(name, **{"cls": QuickCommand, "epilog": SHARED_HELP, **settings})(run)
        return function

    return register


def new_app(help_text: str) -> typer.Typer:
    """A command group in the house style."""
    return typer.Typer(
        help=help_text,
        epilog=SHARED_HELP,
        rich_markup_mode=None,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        cls=QuickGroup,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )


def run(app: typer.Typer, arguments: list[str]) -> int:
    """Run the command line and return its exit code; every error becomes a message here."""
    _ready_streams()
    try:
        code = _answer(app, arguments)
        sys.stdout.flush()
        return code
    except (BrokenPipeError, _NobodyReads):
        _silence()
        return Exit.PIPE
    except OSError as error:  # the answer itself could not be written
        _silence()
        sys.stderr.write(f"the answer could not be written: {error.strerror or error}\n")
        return Exit.ENVIRONMENT


def _answer(app: typer.Typer, arguments: list[str]) -> int:
    try:
        arguments = take_shared_options(arguments)
        # Without its help option, a command that takes no arguments runs without pydantic: half of its start-up time.
        helps = ["-h", "--help"] if not arguments or {"-h", "--help"} & set(arguments) else []
        return int(app(args=arguments, prog_name="tito", standalone_mode=False, help_option_names=helps) or 0)
    except typer.Exit as stop:
        return int(stop.exit_code)
    except (BrokenPipeError, _NobodyReads):
        raise
    except Exception as error:
        told = _told(error)
        if told is None:
            raise
        current.fail(told)
        return int(told.exit_code)


def _told(error: Exception) -> TitoError | None:
    """What a person is told about an error; None for one that nobody foresaw."""
    if isinstance(error, TitoError):
        return error
    if isinstance(error, typer.Abort):
        return Interrupted("interrupted; nothing was left half done")
    if isinstance(error, OSError):
        return _from_os(error)
    if type(error).__name__ == "NoArgsIsHelpError" and not current.json:
        return UsageError(str(error))
    return _from_usage(error)


def _ready_streams() -> None:
    """Streams that are there and that can carry anything, such as a path with bytes that are no text."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by whoever started this
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123
        elif stream.errors == "strict" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _silence() -> None:
    """Send what is still buffered to nowhere, so that the interpreter's last flush does not fail too."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _from_os(error: OSError) -> TitoError:
    where = f"{error.filename}: " if error.filename else ""
    return EnvironmentFault(
        f"{where}{error.strerror or error}.", "check the permissions and the free space there: tito doctor"
    )


def _from_usage(error: Exception) -> TitoError | None:
    """The usage errors of typer's parser, told apart by what they offer: it exports no class for them."""
    describe = getattr(error, "format_message", None)
    if describe is None:
        return None
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "tito"
    message = str(describe())
    if homes := _homes(context, message):
        return UsageError(message.partition(" Did you mean")[0], " or ".join(homes))
    return UsageError(message, f"{path} --help")


def _homes(context: Any, message: str) -> list[str]:
    """The full names of the commands of groups that somebody typed without the group, such as `tito hint`."""
    wanted = re.match(r"No such command '(.+?)'", message)
    if context is None or wanted is None:
        return []
    groups = getattr(context.command, "commands", {}).items()
    found = [name for name, group in groups if wanted[1] in getattr(group, "commands", {})]
    return [f"{context.command_path} {name} {wanted[1]}" for name in found]
