"""Photos and masks: read, checked, encoded."""
