"""How fast a run goes: images a second, the share of time spent waiting for data, memory, and MFU."""

import resource
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

import torch

T = TypeVar("T")

# Dense bf16 peaks from the vendors' data sheets, FLOP/s.
_PEAKS = {
    "H200": 989e12, "H100 PCIe": 756e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "L4": 121e12,
    "A10": 125e12, "RTX 4090": 165e12, "B200": 2250e12,
}  # fmt: skip


class Speedometer:
    """Measures between two calls of `read`.

    Args:
        flops_per_image: of one training step; 0 when not known.
        world: ranks that work alongside; `images` of `read` counts them all.
    """

    def __init__(self, device: torch.device, flops_per_image: float, world: int = 1) -> None:
        self.device, self.flops_per_image, self.world = device, flops_per_image, world
        self._images, self._waited, self._since = 0, 0.0, time.perf_counter()

    def waiting(self, batches: Iterable[T]) -> Iterator[T]:
        """The batches, while the time to get each is counted as waiting."""
        iterator = iter(batches)
        while True:
            start = time.perf_counter()
            try:
                batch = next(iterator)
            except StopIteration:
                return
            self._waited += time.perf_counter() - start
            yield batch

    def count(self, images: int) -> None:
        """Images this rank has trained on."""
        self._images += images

    def restart(self) -> None:
        """Forget the time since the last reading, as after a validation."""
        self._images, self._waited, self._since = 0, 0.0, time.perf_counter()

    def read(self) -> dict[str, float]:
        """images_per_s over all ranks; data_wait in [0, 1]; memory_gb, the most so far; mfu in [0, 1] where the
        device's peak is known."""
        seconds = max(time.perf_counter() - self._since, 1e-9)
        rate = self._images * self.world / seconds
        values = {
            "images_per_s": rate,
            "data_wait": self._waited / seconds,
            "memory_gb": peak_memory_gb(self.device),
        }
        peak = peak_flops(self.device)
        if peak and self.flops_per_image:
            values["mfu"] = rate * self.flops_per_image / (peak * self.world)
        self.restart()
        return values


def peak_memory_gb(device: torch.device) -> float:
    """Most memory held so far, GB: of the GPU by PyTorch, of the process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return held / 1e9 if sys.platform == "darwin" else held * 1024 / 1e9


def peak_flops(device: torch.device) -> float:
    """Dense bf16 FLOP/s of a GPU, 0 where it is not known; MFU is not shown then."""
    if device.type != "cuda":
        return 0.0
    name = torch.cuda.get_device_name(device)
    return next((peak for part, peak in _PEAKS.items() if part in name), 0.0)
