"""Where this process stands among the others: alone, or started by `torchrun` on one node or several."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from shards.errors import AvsError

T = TypeVar("T")


class DeviceError(AvsError):
    """A device that was asked for and is not there."""


@dataclass(frozen=True)
class Place:
    """Rank among all processes, rank among those of this node, how many there are, and the device."""

    rank: int
    local_rank: int
    world: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this process writes files and shows progress."""
        return self.rank == 0

    def gather(self, value: T) -> list[T]:
        """Every rank's value, in order of rank, on every rank. Plain data only, never tensors on a GPU."""
        if self.world == 1:
            return [value]
        values: list[Any] = [None] * self.world
        dist.all_gather_object(values, value)
        return values

    def wait(self) -> None:
        """Until every rank is here."""
        if self.world > 1:
            dist.barrier()

    def parallel(self, model: nn.Module) -> nn.Module:
        """The model as it is, or wrapped so that `backward` averages gradients over all ranks."""
        if self.world == 1:
            return model
        device_ids = [self.device.index] if self.device.type == "cuda" else None
        return DistributedDataParallel(model, device_ids=device_ids, gradient_as_bucket_view=True)


@contextlib.contextmanager
def joined(device: str = "auto", timeout_s: float = 1800) -> Iterator[Place]:
    """Take part in the process group that `torchrun` describes; leave it in the end.

    Args:
        device: `auto` (a GPU when there is one), `cuda` or `cpu`.
    Raises:
        DeviceError: `cuda` without a usable GPU for this rank.
    """
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    local_rank = int(os.environ.get("LOCAL_RANK", 0))
    found = choose_device(device, local_rank)
    if found.type == "cuda":
        torch.cuda.set_device(found)
    if world > 1:
        backend = "nccl" if found.type == "cuda" else "gloo"
        dist.init_process_group(backend, timeout=timedelta(seconds=timeout_s))
    try:
        yield Place(rank, local_rank, world, found)
    finally:
        if world > 1:
            dist.destroy_process_group()


def choose_device(device: str, local_rank: int = 0) -> torch.device:
    """`auto`, `cuda` or `cpu` to a device; each rank of a node gets its own GPU."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "cpu" or (device == "auto" and count == 0):
        return torch.device("cpu")
    if device not in ("auto", "cuda"):
        raise DeviceError(f"device {device!r}: choose auto, cuda or cpu")
    if local_rank >= count:
        raise DeviceError(
            f"rank {local_rank} of this node needs GPU {local_rank}, and PyTorch sees {count}: "
            "check the driver and CUDA_VISIBLE_DEVICES, start fewer processes, or say train.device=cpu"
        )
    return torch.device("cuda", local_rank)
