"""Generated corpora in the official layouts: drawn scenes with exact masks, synthesised sounds."""

from pipelines.demo.corpora import write_demo_corpora

__all__ = ["write_demo_corpora"]
