"""Write the page, the plots and the contact sheet of a dataset into a folder of their own."""

import io
from collections.abc import Callable

from pipelines.judge.quality import Quality
from pipelines.stats import contact, page, plots
from pipelines.stats.summary import summarise
from shards import claims, format, storage
from shards.errors import AvsError
from shards.reader import Dataset

PAGE, SHEET = "index.html", "contact_sheet.png"
_PLOTS = (plots.samples_per_class, plots.mask_area, plots.duration, plots.funnel)

Progress = Callable[[str, int, int], None]  # what is being done, how much is done, of how much


class StatsError(AvsError):
    """There is nothing to draw."""


def default_out(dataset: str) -> str:
    """`DATASET.stats`: beside the dataset, whose own files are hashed."""
    return f"{dataset.rstrip('/')}.stats"


def write_stats(
    dataset: str,
    out: str | None = None,
    samples: int = 24,
    progress: Progress | None = None,
    quality: Quality | None = None,
) -> str:
    """Write OUT/index.html, a PNG a plot and OUT/contact_sheet.png; what they replace is replaced whole.

    Reads the manifest, a few columns of `samples.parquet` and `samples` samples. The same dataset gives the same bytes.

    Args:
        dataset: folder or URL. out: folder or URL, by default `DATASET.stats`. samples: on the contact sheet.
        quality: what people found who looked at samples of it; None: nobody did.

    Returns:
        where the page is.

    Raises:
        DatasetError: no finished dataset, or a sample of the sheet does not decode.
        StatsError: there is no sample. ClaimError: `out` is the dataset or inside it, or holds something else.
    """
    out = out or default_out(dataset)
    claims.apart(dataset, out)
    tell = progress or (lambda *_: None)
    data = Dataset(dataset)
    if not sum(counts["samples"] for counts in data.manifest.counts.values()):
        raise StatsError(f"{dataset} has no sample: there is nothing to draw")
    claims.claim(out, {"command": "stats"})
    summary = summarise(data)
    drawn = {}
    for done, plot in enumerate(_PLOTS, start=1):
        drawn[plot.__name__] = (plot(summary, plots.LIGHT), plot(summary, plots.DARK))
        tell("Draw the plots", done, len(_PLOTS))
    shown = []
    wanted = min(samples, summary.samples)
    for card in contact.cards(data, samples):
        shown.append(card)
        tell("Read the samples", len(shown), wanted)
    tell("Write the page", 0, 0)
    digest = storage.sha256(storage.join(data.url, format.MANIFEST))
    sheet = io.BytesIO()
    contact.sheet(shown).save(sheet, "PNG", optimize=True)
    storage.write_atomic(storage.join(out, SHEET), sheet.getvalue())
    for name, (light, _) in drawn.items():
        storage.write_atomic(storage.join(out, f"{name}.png"), light)
    html = page.render(summary, digest, drawn, shown, quality)
    storage.write_atomic(storage.join(out, PAGE), html.encode("utf-8", "replace"))
    return storage.join(out, PAGE)
