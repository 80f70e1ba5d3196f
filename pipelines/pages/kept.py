"""What was made once and is asked for again: kept within a bound, and made once where several ask at the same time."""

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Kept(Generic[Key, Value]):
    """Values by key, the ones asked for last; thread-safe. An error is told to all who wait for it, and not kept.

    Args:
        most: what all values together may measure.
        measure: of one value, bytes for instance; 1 each by default.
    """

    def __init__(self, most: int, measure: Callable[[Value], int] = lambda _: 1) -> None:
        self._most, self._measure = most, measure
        self._lock = threading.Lock()
        self._held: dict[Key, Future[Value]] = {}
        self._total = 0

    def get(self, key: Key, make: Callable[[], Value]) -> Value:
        with self._lock:
            found = self._held.pop(key, None)
            self._held[key] = waited = found or Future()
        if found is None:
            try:
                value = make()
            except BaseException as error:
                with self._lock:
                    self._held.pop(key, None)
                waited.set_exception(error)
                raise
            waited.set_result(value)
            self._add(value)
        return waited.result()

    def _add(self, value: Value) -> None:
        with self._lock:
            self._total += self._measure(value)
            for key, held in list(self._held.items()):
                if self._total <= self._most:
                    return
                if held.done():
                    self._total -= self._measure(held.result())
                    del self._held[key]
