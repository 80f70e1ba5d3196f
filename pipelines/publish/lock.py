"""One publisher at a time: who creates the next lock file below TARGET/.publish owns the target.

The store itself decides who was first (an exclusive create). The owner writes its lock anew every RENEW_S. One whose
process has ended on this machine is passed over at once; one of another machine, or one that cannot be read, when it
did not change while it was watched for WATCH_S. No clock is compared with another, so none can block or let in anybody.
"""

import json
import re
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from pipelines.publish.edition import PublishError
from pipelines.publish.target import Target
from pipelines.publish.upload import Progress
from shards import owner
from shards.owner import Owner

FOLDER = ".publish"
RENEW_S = 10.0
WATCH_S = 60.0
_NAME = re.compile(r"lock-(\d{6,12})\.json")
_held: set[str] = set()  # tokens of this process


@dataclass(frozen=True)
class Holder:
    """Who holds a lock."""

    token: str
    version: str
    owner: Owner

    @classmethod
    def read(cls, content: bytes) -> "Holder | None":
        """From a lock file; None: it is cut, or not of this form."""
        try:
            told = json.loads(content)
            found = owner.parse(told["owner"])
            return cls(str(told["token"]), str(told["version"]), found) if found else None
        except (ValueError, KeyError, TypeError, RecursionError):
            return None

    def is_gone(self) -> bool | None:
        """Whether it ended; None: only its own machine could tell."""
        return self.token not in _held if self.owner == owner.mine() else self.owner.is_gone()


class Lock:
    """Owns `target` while the block runs.

    Raises:
        PublishError: somebody else publishes there now.
    """

    def __init__(
        self,
        target: Target,
        version: str,
        progress: Progress = lambda *_: None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._target, self._version, self._progress, self._pause = target, version, progress, pause
        self._token = secrets.token_hex(8)
        self._path = ""
        self._renewals = 0
        self._stop = threading.Event()
        self._renewer = threading.Thread(target=self._renew, daemon=True)

    def __enter__(self) -> "Lock":
        _held.add(self._token)
        try:
            self._take()
        except BaseException:
            _held.discard(self._token)
            raise
        self._renewer.start()
        return self

    def _take(self) -> None:
        dead = self._locks()
        unsure = {}
        for path, content in dead.items():
            holder = Holder.read(content)
            gone = holder.is_gone() if holder else None
            if gone is False:
                raise self._refused(content)
            if gone is None:
                unsure[path] = content
        if unsure:
            self._watch(unsure)
        number = max((int(_NAME.fullmatch(_base(path))[1]) for path in dead), default=0) + 1  # type: ignore[index]
        path = f"{FOLDER}/lock-{number:06d}.json"
        if not self._target.create(path, self._content()):
            raise self._refused(self._locks().get(path))
        self._path = path
        for other, content in self._locks().items():
            if other != path and dead.get(other) != content:  # it is new, or was renewed
                self._target.remove(path)
                raise self._refused(content)
        for other in dead:
            self._target.remove(other)

    def _watch(self, unsure: dict[str, bytes]) -> None:
        """Wait until it is certain that nobody renews these locks."""
        watched = 0.0
        while watched < WATCH_S:
            self._progress("Waiting for a sign of another publisher", int(watched), int(WATCH_S))
            self._pause(RENEW_S)
            watched += RENEW_S
            now = self._locks()
            for path, content in unsure.items():
                if now.get(path, content) != content:
                    raise self._refused(now[path])

    def check(self) -> None:
        """Before the pointer moves: still the owner? Whoever takes over does so under a higher number."""
        locks = self._locks()
        holder = Holder.read(locks.get(self._path, b""))
        if set(locks) != {self._path} or holder is None or holder.token != self._token:
            raise PublishError(
                f"another publisher took over {self._target.url}, because this one was silent for {WATCH_S:g} s; "
                "run the same command to see what it made of it"
            )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._renewer.join()
        _held.discard(self._token)
        try:
            self._target.remove(self._path)
        except PublishError:
            if error is None:
                raise  # else the store is away, which the first error says already

    def _locks(self) -> dict[str, bytes]:
        found = {}
        for path in self._target.sizes(FOLDER):
            if _NAME.fullmatch(_base(path)) and (content := self._target.read(path)) is not None:
                found[path] = content
        return found

    def _content(self) -> bytes:
        told = {"token": self._token, "version": self._version, "owner": str(owner.mine())}
        return json.dumps({**told, "renewals": self._renewals}).encode()

    def _renew(self) -> None:
        while not self._stop.wait(RENEW_S):
            self._renewals += 1
            try:
                held = Holder.read(self._target.read(self._path) or b"")
                if held is None or held.token != self._token:
                    return  # taken over: `check` says so
                self._target.write(self._path, self._content())
            except PublishError:
                continue  # the upload meets the same store, and tells

    def _refused(self, content: bytes | None) -> PublishError:
        holder = Holder.read(content or b"")
        who = (
            f"process {holder.owner.process} on {holder.owner.host}, version {holder.version}"
            if holder
            else "another publisher"
        )
        return PublishError(
            f"{self._target.url} is being published to by {who}: wait until it is done, then run this again. "
            f"One that died is passed over, on its own machine at once, else after {WATCH_S:g} s"
        )


def _base(path: str) -> str:
    return path.rpartition("/")[2]
