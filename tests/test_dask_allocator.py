"""Memory that a worker of a cluster has freed: page faults are counted, by the system."""

import os
import subprocess
import sys

import pytest

_COUNT = """
import resource, sys
if "keep" in sys.argv:
    from pipelines.build import dask_workers
    dask_workers.keep_freed()
bytearray(1 << 20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(100):
    bytearray(1 << 20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(*words: str) -> int:
    """Of 100 pieces of 1 MiB, one after the other, under what Dask's nanny sets."""
    environment = os.environ | {"MALLOC_TRIM_THRESHOLD_": "65536"}
    done = subprocess.run(
        [sys.executable, "-c", _COUNT, *words], env=environment, capture_output=True, text=True, check=True
    )
    return int(done.stdout)


def test_what_was_freed_is_not_asked_for_again() -> None:
    as_dask_has_it = faults()
    if as_dask_has_it < 1_000:
        pytest.skip(f"this C library keeps what is freed by itself ({as_dask_has_it} faults)")
    assert faults("keep") < as_dask_has_it / 10
