"""Published datasets in their official folders, to the same shards."""
