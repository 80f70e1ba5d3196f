"""The main job: corpora to a dataset. Begin with graph.py."""
