"""`python -m avs_train`, for torchrun."""

from avs_train.cli import run

run()
