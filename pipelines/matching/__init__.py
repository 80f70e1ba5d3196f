"""Matching sounds to things that can be seen: every audio label against every visual label of two corpora."""
