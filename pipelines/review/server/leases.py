"""Who is looking at which link, so that two browsers are not shown the same one. Losing this loses nothing."""

import threading
import time
from collections.abc import Callable, Collection

LEASE_S = 180.0
Holder = tuple[str, str]  # a reviewer and their tab


class Leases:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._held: dict[int, tuple[Holder, float]] = {}  # link -> holder, until

    def hold(self, holder: Holder, links: Collection[int]) -> None:
        """Make these the links that a holder has, and no others: what was passed over is free again."""
        with self._lock:
            until = self._clock() + LEASE_S
            held = {link: lease for link, lease in self._held.items() if lease[0] != holder}
            self._held = held | dict.fromkeys(links, (holder, until))

    def of_others(self, holder: Holder) -> dict[int, Holder]:
        """The links that others hold, also the same reviewer in another tab."""
        with self._lock:
            now = self._clock()
            self._held = {link: lease for link, lease in self._held.items() if lease[1] > now}
            return {link: lease[0] for link, lease in self._held.items() if lease[0] != holder}
