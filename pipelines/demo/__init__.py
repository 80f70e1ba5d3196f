"""Small generated corpora: drawn scenes, synthesised sounds, the official layouts, and faults on purpose."""

from pipelines.demo.corpora import write_demo_corpora

__all__ = ["write_demo_corpora"]
