"""What a person sees while a fetch runs: each kind with its count, rate, time left and failures by cause."""

from typing import TYPE_CHECKING

from shards.display import Display

if TYPE_CHECKING:
    from pipelines.fetch.workers import Tally

_BY_BYTES = ("annotation", "archive")  # kinds of few and large files
_STAGES = ("Annotation files", "Index", "Archives", "Corpora", "Near duplicates")


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
            done, unit = tally.finished[kind], ""
            of: int | None = total
            if kind in _BY_BYTES:
                files = f"{done:,} of {total:,} file{'s' * (total > 1)} done"
                done, of, unit = *tally.received(kind, total), "bytes"
                failures = "; ".join(filter(None, (files, failures)))
            self.show(stage, done, of, part=f"{kind}s", note=failures, unit=unit)
