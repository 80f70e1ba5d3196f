"""Several hosts on one machine, for tests: network namespaces joined by a bridge, whose cables can be cut."""

import itertools
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

_NUMBERS = itertools.count(os.getpid() % 200)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def _allowed() -> bool:
    name = f"avs-try-{os.getpid()}"
    try:
        _ip("netns", "add", name)
        _ip("netns", "del", name)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


needed = pytest.mark.skipif(not _allowed(), reason="`ip netns add` is not allowed here: hosts need root")


class Network:
    """A bridge at `address`, which is this machine's, and hosts plugged into it.

    The names of devices have at most 15 characters.
    """

    def __init__(self, hosts: int) -> None:
        self._number = next(_NUMBERS) % 250
        self._bridge = f"avsbr{self._number}"
        self.address = self._address(1)
        self.hosts = [f"avs{self._number}h{host}" for host in range(hosts)]

    def _address(self, last: int) -> str:
        return f"10.213.{self._number}.{last}"

    def address_of(self, host: int) -> str:
        return self._address(host + 2)

    def device_of(self, host: int) -> str:
        """The name of a host's network card, there."""
        return f"{self.hosts[host]}c"

    def command(self, host: int, command: list[str]) -> list[str]:
        """What runs a command on a host."""
        return ["ip", "netns", "exec", self.hosts[host], *command]

    def cut(self, host: int) -> None:
        """Pull a host's cable: nothing goes in or out, and nobody is told."""
        _ip("link", "set", f"{self.hosts[host]}b", "down")

    def start(self) -> None:
        _ip("link", "add", self._bridge, "type", "bridge")
        _ip("address", "add", f"{self.address}/24", "dev", self._bridge)
        _ip("link", "set", self._bridge, "up")
        for host, name in enumerate(self.hosts):
            _ip("netns", "add", name)
            card = self.device_of(host)
            _ip("link", "add", f"{name}b", "type", "veth", "peer", "name", card)
            _ip("link", "set", card, "netns", name)
            _ip("link", "set", f"{name}b", "master", self._bridge, "up")
            inside = ("-n", name)
            _ip(*inside, "address", "add", f"{self.address_of(host)}/24", "dev", card)
            _ip(*inside, "link", "set", card, "up")
            _ip(*inside, "link", "set", "lo", "up")

    def stop(self) -> None:
        for name in self.hosts:
            for words in (("netns", "del", name), ("link", "del", f"{name}b")):
                with suppress(subprocess.CalledProcessError):
                    _ip(*words)
        with suppress(subprocess.CalledProcessError):
            _ip("link", "del", self._bridge)


@contextmanager
def network(hosts: int) -> Iterator[Network]:
    made = Network(hosts)
    try:
        made.start()
        yield made
    finally:
        made.stop()
