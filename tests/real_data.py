"""Real data beside the checkout, where there is any: tests that need it are skipped with the reason where not."""

from pathlib import Path

DATA = Path(__file__).parents[1].parent / "shared" / "data"
MINI = DATA / "mini"  # corpora in their official layouts: photos, masks, clips
LABELS = DATA / "labels"  # vocabularies as published
