"""Fetch corpora through a network that fails: plan, download, check, store, and a ledger of every attempt."""
