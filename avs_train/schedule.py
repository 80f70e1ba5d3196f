"""The learning rate, a pure function of the epoch: nothing to save, nothing to restore."""

import math


def learning_rate(epoch: int, epochs: int, start: float, end: float) -> float:
    """Cosine from `start` in epoch 0 towards `end`, one value an epoch, no warm-up (as the paper)."""
    return end + (start - end) * (1 + math.cos(math.pi * epoch / epochs)) / 2
