"""COCO's compressed run lengths to pixels: column by column, background first."""

import numpy as np

_LONGEST_NUMBER = 7  # characters: more than 32 bits


def decompress(counts: str) -> np.ndarray:
    """(n,) int64 run lengths of COCO's compressed text: five bits a character, from the fourth run on as the
    difference to the last but one.

    Raises:
        ValueError: other characters, a text that ends inside a number, or a number over 32 bits.
    """
    codes = np.frombuffer(counts.encode(), np.uint8).astype(np.int64) - 48
    if not len(codes):
        return codes
    if codes.min() < 0 or codes.max() > 63:
        raise ValueError("characters that COCO does not write")
    last = np.flatnonzero(codes < 32)
    if not len(last) or last[-1] != len(codes) - 1:
        raise ValueError("the text ends inside a number")
    starts = np.concatenate([[0], last[:-1] + 1])
    lengths = last - starts + 1
    if lengths.max() > _LONGEST_NUMBER:
        raise ValueError("a number over 32 bits")
    shifts = 5 * (np.arange(len(codes)) - np.repeat(starts, lengths))
    runs = np.add.reduceat((codes & 31) << shifts, starts)
    runs -= np.where(codes[last] & 16, np.int64(1) << (5 * lengths), 0)
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    return runs


def pixels(counts: str, height: int, width: int) -> np.ndarray:
    """(height, width) bool.

    Raises:
        ValueError: no run lengths, or they do not fill the image.
    """
    runs = decompress(counts)
    if (len(runs) and runs.min() < 0) or runs.sum() != height * width:
        raise ValueError(f"run lengths that do not fill {width} x {height} pixels")
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(width, height).T
