"""One publisher at a time: the first to create the next claim file below TARGET/.publish owns the target.

The store itself decides who was first (an exclusive create). The owner renews its claim; one that stopped doing so, or
that a dead process of this machine held, is followed by a claim of the next number.
"""

import json
import os
import secrets
import socket
import threading
import time
from dataclasses import asdict, dataclass
from types import TracebackType

from pipelines.publish.edition import PublishError
from pipelines.publish.target import Target

FOLDER = ".publish"
RENEW_S = 15.0
STALE_S = 120.0
_held: set[str] = set()  # tokens of this process


@dataclass(frozen=True)
class Owner:
    """Who holds a claim. `renewed_at`: seconds since 1970."""

    token: str
    version: str
    host: str
    process: int
    renewed_at: float

    def is_gone(self, now: float) -> bool:
        if self.host == socket.gethostname():
            if self.process == os.getpid():
                return self.token not in _held
            try:
                os.kill(self.process, 0)
            except ProcessLookupError:
                return True
            except PermissionError:
                pass
        return now - self.renewed_at > STALE_S


class Claim:
    """Owns `target` while the block runs.

    Raises:
        PublishError: somebody else publishes there now.
    """

    def __init__(self, target: Target, version: str) -> None:
        self._target, self._token = target, secrets.token_hex(8)
        self._version = version
        self._path = ""
        self._stop = threading.Event()
        _held.add(self._token)
        self._renewer = threading.Thread(target=self._renew, daemon=True)

    def __enter__(self) -> "Claim":
        try:
            self._take()
        except BaseException:
            _held.discard(self._token)
            raise
        self._renewer.start()
        return self

    def _take(self) -> None:
        gone = {}
        for path, owner in self._owners().items():
            if not owner.is_gone(time.time()):
                raise PublishError(_told(owner, self._target.url))
            gone[path] = owner.token
        number = max((int(path.rsplit("-", 1)[1].removesuffix(".json")) for path in gone), default=0) + 1
        path = f"{FOLDER}/claim-{number:06d}.json"
        if not self._target.create(path, self._content()):
            raise PublishError(_told(self._owners().get(path), self._target.url))
        self._path = path
        for other, owner in self._owners().items():
            if other != path and gone.get(other) != owner.token:
                self._target.remove(path)
                raise PublishError(_told(owner, self._target.url))
        for other in gone:
            self._target.remove(other)

    def check(self) -> None:
        """Before the pointer moves: still the owner?"""
        owner = self._owners().get(self._path)
        if owner is None or owner.token != self._token:
            raise PublishError(
                f"another publisher took over {self._target.url}, because this one was silent for over {STALE_S:g} s; "
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

    def _owners(self) -> dict[str, Owner]:
        found = {}
        for path in self._target.sizes(FOLDER):
            content = self._target.read(path)
            if content:
                found[path] = Owner(**json.loads(content))
        return found

    def _content(self) -> bytes:
        owner = Owner(self._token, self._version, socket.gethostname(), os.getpid(), time.time())
        return json.dumps(asdict(owner)).encode()

    def _renew(self) -> None:
        while not self._stop.wait(RENEW_S):
            try:
                self._target.write(self._path, self._content())
            except PublishError:
                continue  # the upload meets the same store, and tells; `check` decides at the end


def _told(owner: Owner | None, url: str) -> str:
    who = (
        f"process {owner.process} on {owner.host}, version {owner.version}" if owner else "another publisher"
    )
    return (
        f"{url} is being published to by {who}: wait until it is done, then run this again. "
        f"A publisher that died is passed over after {STALE_S:g} s, on its own machine at once"
    )
