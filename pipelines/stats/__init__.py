"""A dataset at a glance: a self-contained page, plots and a contact sheet, from its manifest and tables."""

from pipelines.stats.report import StatsError, write_stats

__all__ = ["StatsError", "write_stats"]
