"""Judges who err at known rates, and a small dataset for them."""

import random

from generated_shards import write_dataset

from pipelines.judge import intake, results
from pipelines.judge.intake import Asked
from pipelines.judge.queue import Queue
from shards.reader import Dataset


def queue_of(folder, samples=60, **asked):
    """The URL of a dataset of three categories, and the path of a queue drawn from it."""
    url = write_dataset(folder / "data", {"train": samples}, clips=4)
    path = str(folder / "judge.sqlite")
    with Queue(path, create=True) as queue:
        intake.fill(queue, Dataset(url), Asked(**{"sample": 12, "gold": 3, "active": 5, **asked}))
    return url, path


def answer_all(path, judge, verdict_of, order="random"):
    """Judge all that waits; how many that were."""
    with Queue(path) as queue:
        number = 0
        while item := queue.next(judge, order):
            queue.judge(item.id, judge, verdict_of(item))
            number += 1
        return number


def mostly_right(seed, wrong=0.2):
    """A judge that finds gold, and says of so many others that the mask is bad."""
    drawn = random.Random(seed)
    return lambda item: "wrong_sound" if item.gold else "bad_mask" if drawn.random() < wrong else "right"


def exported(path, url):
    """Write the results beside the dataset."""
    with Queue(path) as queue:
        found = results.of_queue(queue)
    with open(results.beside(url), "wb") as file:
        file.write(results.dump(found))
    return found
