"""What a person sees while a fetch runs: each kind with its count, rate, time left and failures by cause."""

from typing import TYPE_CHECKING

from shards.display import Display

if TYPE_CHECKING:
    from pipelines.fetch.workers import Tally

_STAGES = ("Annotation files", "Index", "Corpora", "Near duplicates")


class FetchDisplay(Display):
    """Shown while the block runs; `watch` is what `Fetch` calls."""

    def __init__(self, title: str) -> None:
        super().__init__(title, dict.fromkeys(_STAGES, ""))

    def watch(self, stage: str, totals: dict[str, int], tally: "Tally") -> None:
        for kind, total in sorted(totals.items()):
            counts = {
                cause: n for (of, cause), n in sorted(tally.attempts.items()) if of == kind and cause != "ok"
            }
            failures = ", ".join(f"{cause} {n}" for cause, n in counts.items())
            if kind == "clip" and tally.resting:
                failures += "  (resting after a bot check)"
            self.show(stage, tally.finished[kind], total, part=f"{kind}s", note=failures)
