"""Look at samples drawn by chance and say whether they are right: how good a dataset is, and which samples are bad.

`draw` says which samples are looked at, `order` which are most doubtful, `queue` holds the answers, `estimate` is plain
arithmetic, `results` is the file beside the dataset, `quality` what is published of it, `flags` what the next version
leaves out, and which links of the label map should be looked at again.
"""
