"""`python -m avs_train`, for torchrun."""

from avs_train.cli import main

main(prog_name="avs-train")
