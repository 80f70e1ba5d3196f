"""Who is looking at which link, so that two browsers are not shown the same one. Losing this loses nothing."""

import threading
import time
from collections.abc import Callable

LEASE_S = 180.0


class Leases:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._held: dict[int, tuple[str, float]] = {}  # link -> holder, until

    def take(self, item_id: int, holder: str) -> None:
        with self._lock:
            self._held[item_id] = (holder, self._clock() + LEASE_S)

    def of_others(self, holder: str) -> set[int]:
        with self._lock:
            now = self._clock()
            self._held = {item_id: held for item_id, held in self._held.items() if held[1] > now}
            return {item_id for item_id, held in self._held.items() if held[0] != holder}

    def give_back(self, item_id: int) -> None:
        with self._lock:
            self._held.pop(item_id, None)
