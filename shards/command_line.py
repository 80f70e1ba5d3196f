"""What both command lines are made of: commands imported when they are named, and errors told in one line.

Exit codes: 0 done; 1 refused, or something wrong was found; 2 a call that `--help` does not describe; 130 interrupted;
143 asked to end (SIGTERM).
An exception that nobody expected keeps its traceback: it is a fault of this project.
"""

import errno
import importlib
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata
from itertools import islice
from typing import Any, NoReturn

import click

from shards import interrupts
from shards.errors import AvsError, of_a_store
from shards.interrupts import Terminated

DISTRIBUTION = "avs-data"
FOUND_WRONG, USAGE, INTERRUPTED, TERMINATED = 1, 2, 130, 143
RESUMES = "the same command resumes from what is written"
NOTHING = "nothing is written; the same command begins again"
_QUIET = "avs_data.quiet"
_MOST = 2**53  # of numbers that options take: up to there a float holds every whole one
CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
# Packages whose import is not called as the package is.
_IMPORTED_AS = {"cv2": "opencv-python-headless", "PIL": "pillow"}
_ID = re.compile(r"-[\w-]{10}(_\d+)*", re.ASCII)  # of a YouTube video, or of a clip, that begins with a dash


class Interrupted(KeyboardInterrupt):
    """Ctrl-C in a command that knows what is kept."""


def is_quiet() -> bool:
    """Whether the command that runs was called with --quiet."""
    context = click.get_current_context(silent=True)
    return bool(context and context.meta.get(_QUIET))


def _be_quiet(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    context.meta[_QUIET] = value


class Command(click.Command):
    """A command with --quiet, which takes no number that is none, and says after Ctrl-C what is kept.

    Args:
        kept: what is there after Ctrl-C and how to go on, after "interrupted; "; `{out}` is the value of --out.
    """

    def __init__(self, *args: Any, kept: str = RESUMES, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.kept = kept
        self.params.append(
            click.Option(
                ["-q", "--quiet"],
                is_flag=True,
                expose_value=False,
                callback=_be_quiet,
                help="Say nothing but results, warnings and errors.",
            )
        )

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        rest = super().parse_args(ctx, args)
        for parameter in self.params:
            value = ctx.params.get(parameter.name or "")
            if isinstance(value, int | float) and not -_MOST <= value <= _MOST:  # nan is neither
                raise click.BadParameter(f"{value} is not a number up to {_MOST:,}.", ctx, parameter)
        return rest

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise Interrupted(self.kept.format(**ctx.params)) from error


class CommandGroup(click.Group):
    """The commands of one package, a module each.

    Args:
        package: holds the modules; each has a `command`. A `-` in a command's name is `_` in its module's.
        about: name of a command -> one line of help, shown without importing its module.
        moved: name of a command that is gone -> how to call it now.
    """

    command_class = Command

    def __init__(
        self,
        *args: Any,
        package: str = "",
        about: Mapping[str, str] | None = None,
        moved: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **{"context_settings": CONTEXT, **kwargs})
        self._package, self._about, self._moved = package, about or {}, moved or {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*self._about, *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name in self._about:
            found: click.Command = importlib.import_module(
                f"{self._package}.{name.replace('-', '_')}"
            ).command
            return found
        return super().get_command(ctx, name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self.list_commands(ctx) and not args[0].startswith("-"):
            raise click.UsageError(self.unknown(ctx, args), ctx)
        return super().resolve_command(ctx, args)

    def unknown(self, ctx: click.Context, args: Sequence[str]) -> str:
        """What to say of a call whose first word is no command."""
        if args[0] in self._moved:
            return f"`{ctx.command_path} {args[0]}` is now `{self._moved[args[0]]}`"
        return f"no command {args[0]!r}; there are {', '.join(self.list_commands(ctx))}"

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        lines = {
            name: self._about.get(name) or self.commands[name].get_short_help_str(200)
            for name in self.list_commands(ctx)
        }
        with formatter.section("Commands"):
            formatter.write_dl(list(lines.items()))

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command and exit; every error that a person can act on becomes one line on stderr."""

        def call() -> Any:
            return super(CommandGroup, self).main(args, prog_name, complete_var, False, **extra)

        if not standalone_mode:
            return call()
        for stream in (sys.stdout, sys.stderr):  # a name that the terminal cannot show ends no command
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        try:
            with _terminable():
                sys.exit(call() or 0)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            sys.exit(USAGE)
        except click.UsageError as error:
            path = error.ctx.command_path if error.ctx else self.name
            said = error.format_message().rstrip(".").replace("a valid integer range", "a whole number")
            said = said.replace("a valid float range", "a number")
            _fail(f"{said} (see `{path} --help`)", USAGE)
        except (click.Abort, KeyboardInterrupt) as error:
            if isinstance(error.__cause__, EOFError):  # click takes one for Ctrl-D; nothing here asks
                raise error.__cause__ from None
            cause = error if isinstance(error, Interrupted) else error.__cause__
            then = cause if isinstance(cause, Interrupted) else RESUMES
            if _asked_to_end(error):
                _fail(f"ended by SIGTERM; {then}", TERMINATED)
            _fail(f"interrupted; {then}", INTERRUPTED)
        except click.ClickException as error:
            _fail(error.format_message(), error.exit_code)
        except AvsError as error:
            _fail(str(error), FOUND_WRONG)
        except ModuleNotFoundError as error:
            package = (error.name or "").partition(".")[0]
            half = self._package.partition(".")[0].rpartition("_")[2]
            if not (wanted := extra_of(package, [*(sys.argv[1:] if args is None else args)[:1], half])):
                raise
            _fail(
                f"{package} is not installed; it comes with: pip install '{DISTRIBUTION}[{wanted}]'",
                FOUND_WRONG,
            )
        except Exception as error:
            if not of_a_store(type(error)) and not _of_a_disk(error):
                raise
            if (
                isinstance(error, OSError) and error.errno == errno.EPIPE
            ):  # the reader of a pipe has gone, as `head` does
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                sys.exit(FOUND_WRONG)
            _fail(told(error), FOUND_WRONG)


@contextmanager
def _terminable() -> Iterator[None]:
    """Raise Terminated at the first SIGTERM; where Python takes signals, in the main thread."""

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupts.handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _asked_to_end(error: BaseException | None) -> bool:
    """Whether SIGTERM is behind an error."""
    while error is not None and not isinstance(error, Terminated):
        error = error.__cause__ or error.__context__
    return error is not None


class IdCommand(Command):
    """A command whose arguments may be ids that begin with a dash, as one in fifty YouTube ids does."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        options = [each for each in self.get_params(ctx) if isinstance(each, click.Option)]
        with_value = {name for option in options if not option.is_flag for name in option.opts}
        known: list[str] = []
        values: list[str] = []
        words = iter(args)
        for word in words:
            if word == "--":
                values += words
            elif word in with_value:
                known += [word, *islice(words, 1)]
            elif word.startswith("-") and not _ID.fullmatch(word):
                known.append(word)
            else:
                values.append(word)
        return super().parse_args(ctx, [*known, "--", *values])


def told(error: Exception) -> str:
    """One line that names the file. Stores raise errors that hold a path and nothing else."""
    if isinstance(error, OSError) and error.filename is not None:
        remedy = _REMEDIES.get(error.errno or 0, "")
        return f"{os.fsdecode(error.filename)}: {error.strerror or type(error).__name__}{remedy}"
    text = str(error)
    return text if " " in text else f"{text}: {_REASONS.get(type(error), type(error).__name__)}"


_REMEDIES = {
    errno.ENOENT: "; put the file there, or correct the name",
    errno.ENOTDIR: "; correct the name",
    errno.EISDIR: "; name a file",
    errno.EACCES: "; check its rights",
    errno.EPERM: "; check its rights",
    errno.EROFS: "; name a place that can be written to",
    errno.ENOSPC: "; make room, and run the same command again",
}
_REASONS: dict[type, str] = {
    FileNotFoundError: "no such file or folder",
    IsADirectoryError: "is a folder, not a file",
    NotADirectoryError: "is a file, not a folder",
    PermissionError: "access is refused; check the credentials or the file's rights",
}


def _of_a_disk(error: Exception) -> bool:
    """Whether SQLite met a disk that is full, broken or not to be written to."""
    if not (sqlite3 := sys.modules.get("sqlite3")) or not isinstance(error, sqlite3.Error):
        return False
    names = ("FULL", "IOERR", "CORRUPT", "NOTADB", "READONLY", "CANTOPEN", "PERM", "BUSY", "LOCKED")
    code = getattr(error, "sqlite_errorcode", 0)  # of errors that SQLite reports
    return code & 0xFF in {getattr(sqlite3, f"SQLITE_{name}") for name in names}


def extra_of(package: str, preferred: Sequence[str] = ()) -> str | None:
    """The extra of this distribution that installs an imported package; None where none does.

    Args:
        preferred: of several extras one with such a name: `fetch` for `avs-data fetch`.
    """
    wanted = re.sub(r"[-_.]+", "-", _IMPORTED_AS.get(package, package)).lower()
    found = []
    for requirement in metadata.requires(DISTRIBUTION) or ():
        name, _, condition = requirement.partition(";")
        extra = re.search(r"extra\s*==\s*['\"]([\w-]+)['\"]", condition)
        name = re.match(r"[\w.-]+", name)[0]  # type: ignore[index]
        if extra and extra[1] not in ("all", "test") and re.sub(r"[-_.]+", "-", name).lower() == wanted:
            found.append(extra[1])
    return min(found, key=lambda extra: extra not in preferred, default=None)


def _fail(text: str, code: int) -> NoReturn:
    click.echo(f"Error: {printable(text)}", err=True)
    sys.exit(code)


def printable(text: str) -> str:
    """Text of files and people without what a terminal would act on; its lines stay lines."""
    return "".join(
        each
        if each.isprintable() or each == "\n"
        else each.encode("unicode_escape", "surrogatepass").decode()
        for each in text
    )
