"""What a command shows of long work, on stderr: one place that is redrawn on a terminal, plain lines in a log."""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from shards import terminal
from shards.command_line import is_quiet, printable
from shards.terminal import size, spoken

_OFTEN_S, _SELDOM_S = 5.0, 60.0  # between lines in a log: as seldom as a sixtieth of what has passed
_WINDOW_S = 120.0  # a rate is that of so many seconds
_BAR = 24


class _Rate:
    """Items a second of late."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float]] = deque()

    def see(self, done: float, now: float) -> None:
        if not self._seen or now - self._seen[-1][0] >= 0.5:
            self._seen.append((now, done))
        while len(self._seen) > 2 and now - self._seen[0][0] > _WINDOW_S:
            self._seen.popleft()

    def at(self, done: float, now: float) -> float | None:
        """None: too early to say."""
        began, before = self._seen[0]
        return (done - before) / (now - began) if now - began >= 1.0 and done > before else None


class _Part:
    """One count that goes up."""

    def __init__(self, unit: str, now: float) -> None:
        self.done, self.note, self.unit, self.began = 0.0, "", unit, now
        self.total: float | None = None
        self.rate = _Rate()
        self.logged = False  # as complete

    @property
    def is_complete(self) -> bool:
        return self.total is not None and self.done >= self.total

    def text(self, now: float) -> str:
        """ "1,200 of 148,000 clips, 430/s, 6 min left; what is noted"."""
        facts, unit = [], self.unit
        amount = size if unit == "bytes" else lambda number: f"{number:,.0f}"
        word = "" if unit == "bytes" or not unit else f" {unit}"
        if self.total is not None:
            facts.append(f"{amount(self.done)} of {amount(self.total)}{word}")
        elif self.done:
            facts.append(f"{amount(self.done)}{word}")
        each_s = self.rate.at(self.done, now)
        if each_s:
            facts.append(rate(each_s, unit))
        if each_s and self.total is not None and self.total > self.done:
            facts.append(f"{spoken((self.total - self.done) / each_s)} left")
        if not each_s and now - self.began >= (5.0 if facts else 1.0):
            facts.append(f"{spoken(now - self.began)} so far")
        return "; ".join(filter(None, (", ".join(facts), self.note)))


def _end(name: str, room: int) -> str:
    """The end of a name, which tells more than its beginning."""
    room = max(room, 12)
    return name if len(name) <= room else f"…{name[1 - room :]}"


def rate(each_s: float, unit: str) -> str:
    """ "12/s", or by the hour where a second has less than one in ten."""
    if unit == "bytes":
        return f"{size(each_s)}/s"
    return f"{each_s:,.{int(each_s < 10)}f}/s" if each_s >= 0.1 else f"{each_s * 3600:,.0f}/h"


class Display:
    """Says at once what the command does; then the stage, how far it is, its rate and the time left.

    Args:
        title: what the command does, with what.
        stages: what is done in which order, and what is counted ("clips", "bytes", "": nothing).
        shown: False: shows nothing, as on all ranks but the first.
        clock: seconds, for tests.
    """

    def __init__(
        self,
        title: str,
        stages: Mapping[str, str] | None = None,
        *,
        shown: bool = True,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._title, self._stages, self._clock = title, dict(stages or {}), clock
        self._console = console or terminal.console(stderr=True)
        self._shown = shown
        self._drawn = shown and not is_quiet()
        self._stage = ""
        self._parts: dict[str, _Part] = {}
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._live: Live | None = None
        self._ticker: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._began = self._told = self._clock()
        if not self._drawn:
            return self
        self.say(self._title)
        self._stage, self._parts = "Working", {"": _Part("", self._began)}  # until a stage begins
        self._parts[""].rate.see(0, self._began)
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            self._live = Live(
                console=self._console, get_renderable=self._lines, refresh_per_second=4, transient=True,
                redirect_stdout=False,
            )  # fmt: skip
            self._live.start()
        else:
            self._ticker = threading.Thread(target=self._tick, daemon=True)
            self._ticker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._ticker:
            self._ticker.join()
        if self._live:
            self._live.stop()

    def show(
        self, stage: str, done: float = 0, total: float | None = None, *, part: str = "", note: str = "",
        unit: str | None = None,
    ) -> None:  # fmt: skip
        """Set how far a stage is; the first call of another stage ends the one before.

        Args:
            part: of stages that do several things at once, which.
            note: shown beside the count.
            unit: what is counted, where parts differ.
        """
        now = self._clock()
        with self._lock:
            begins = stage != self._stage
            if begins:
                self._stage, self._parts = stage, {}
            elif (
                part and "" in self._parts and not self._parts[""].total
            ):  # it stood for the stage until then
                del self._parts[""]
            found = self._parts.get(part)
            if found is None:
                what = self._stages.get(stage, "") if unit is None else unit
                found = self._parts[part] = _Part(what, now)
            found.done, found.total, found.note = done, total or None, note
            found.rate.see(done, now)
            if begins and self._drawn and not self._live:
                self._print()

    def say(self, text: str) -> None:
        """A line that stays; not with --quiet."""
        if self._drawn:
            self.warn(text)

    def warn(self, text: str) -> None:
        """A line that stays."""
        if self._shown:
            with self._lock:
                self._console.print(printable(text), soft_wrap=True)

    @property
    def width(self) -> int:
        """Most characters of a line: the terminal's; of a log there is no limit."""
        return self._console.width - 1 if self._console.is_terminal else 10_000

    def text(self) -> list[str]:
        """What there is to see now, a line a part."""
        with self._lock:
            return [self._line(name) for name in self._parts]

    @property
    def _numbered(self) -> str:
        names = list(self._stages)
        number = f"[{names.index(self._stage) + 1}/{len(names)}] " if self._stage in names else ""
        return f"{number}{self._stage}"

    def _line(self, name: str) -> str:
        stage = f"{self._numbered}{f' ({name})' if name else ''}"
        return printable(f"{stage}: {self._parts[name].text(self._clock())}").rstrip(": ")

    def _lines(self) -> Text:
        """The lines of a terminal, each with a bar where there is room and a total; finished ones make room first.

        Of a stage that does several things at once the name is a line of its own.
        """
        width, height = self._console.size
        with self._lock:
            ended = [name for name, part in self._parts.items() if part.is_complete]
            hidden = ended[: max(0, len(self._parts) - (height - 3))]
            lines = [printable(self._numbered)] if self._parts and "" not in self._parts else []
            for name, part in self._parts.items():
                if name in hidden:
                    continue
                line = self._line(name)
                if name:
                    text = part.text(self._clock())
                    line = printable(f"  {_end(name, width - len(text) - 6)}: {text}").rstrip(": ")
                room = min(_BAR, width - len(line) - 2)
                if part.total and room >= 8:
                    filled = round(room * min(1.0, part.done / part.total))
                    line = f"{'━' * filled}{'╌' * (room - filled)} {line}"
                lines.append(line if len(line) < width else f"{line[: width - 2]}…")
        return Text("\n".join(lines or [""]), no_wrap=True)

    def _tick(self) -> None:
        while not self._stop.wait(0.25):
            now = self._clock()
            if now - self._told >= min(_SELDOM_S, max(_OFTEN_S, (now - self._began) / 60)):
                self._print()

    def _print(self) -> None:
        """Into a log; a part that is complete once."""
        with self._lock:
            self._told = self._clock()
            for name, part in self._parts.items():
                if not (part.is_complete and part.logged):
                    self.say(self._line(name))
                part.logged = part.is_complete
