"""What is wrong, and where."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """`where`: a file, or a file and a key; `what`: what was found and what the format asks for."""

    where: str
    what: str
