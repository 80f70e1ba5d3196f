"""One task of a build: a fused stage on one partition of its data, which is what Beam calls a bundle.

What leaves it is cut for the tasks that take it: by the key's hash, round and round, or as one list for a side input.
"""

import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from apache_beam.runners.common import DoFnRunner, Receiver
from apache_beam.transforms.core import Windowing
from apache_beam.transforms.sideinputs import SideInputMap
from apache_beam.transforms.window import GlobalWindows
from apache_beam.utils.windowed_value import WindowedValue

from pipelines.build.fused import Stage

_WINDOWING = Windowing(GlobalWindows())
Cut = dict[int, list[Any]]  # partition -> what goes there


class _Each(Receiver):
    """Hands every element on to several takers."""

    def __init__(self, takers: Sequence[Callable[[WindowedValue], Any]]) -> None:
        self._takers = takers

    def receive(self, element: WindowedValue) -> None:
        for taker in self._takers:
            taker(element)


def run(stage: Stage, partition: int, partitions: int, taken: Mapping[int, Iterable[Cut]]) -> dict[int, Cut]:
    """One task: a stage on one partition.

    Args:
        taken: of each exchange that the stage takes what its feeders cut, in their order.

    Returns:
        What goes to each partition, of each exchange that the stage feeds.
    """
    left: dict[int, Cut] = {exchange.number: defaultdict(list) for exchange in stage.leaves}
    takers: dict[int, list[Callable[[WindowedValue], Any]]] = defaultdict(list)
    for exchange in stage.leaves:
        takers[exchange.collection].append(
            _cutter(exchange.how, left[exchange.number], partition, partitions)
        )
    runners: list[DoFnRunner] = []
    elements = _source(stage, partition, taken)
    first = next(elements, None)
    if first is None:
        return {}
    for step in reversed(stage.steps):  # takers before those who give to them
        receivers = {tag: _Each(_all(takers, stage.flat, number)) for tag, number in step.outputs.items()}
        sides = [SideInputMap(view, options, _whole(taken[number])) for number, view, options in step.sides]
        made = DoFnRunner(
            step.fn,
            step.args,
            step.kwargs,
            sides,
            _WINDOWING,
            tagged_receivers=_Tags(receivers),
            step_name=step.label,
        )
        runners.append(made)
        takers[step.collection].append(made.process)
    runners.reverse()
    for runner in runners:
        runner.setup()
        runner.start()
    give = _Each(_all(takers, stage.flat, stage.collection))
    for element in chain((first,), elements):
        give.receive(element)
    for runner in runners:
        runner.finish()
    for runner in runners:
        runner.teardown()
    return {number: dict(cut) for number, cut in left.items() if cut}


class _Tags(dict[Any, Receiver]):
    """Receivers by tag; outputs that nobody takes go nowhere."""

    def __missing__(self, tag: Any) -> Receiver:
        return _Each(())


def _all(takers: Mapping[int, list[Any]], flat: Mapping[int, list[int]], collection: int) -> list[Any]:
    """Who takes a collection, also as a part of others."""
    found = list(takers.get(collection, ()))
    for joined in flat.get(collection, ()):
        found += _all(takers, flat, joined)
    return found


def _source(stage: Stage, partition: int, taken: Mapping[int, Iterable[Cut]]) -> Iterator[WindowedValue]:
    if stage.source is None:
        yield GlobalWindows.windowed_value(b"")
        return
    came = (element for cut in taken[stage.source.number] for element in cut.get(partition, ()))
    if stage.source.how != "group":
        yield from map(GlobalWindows.windowed_value, came)
        return
    groups: dict[Any, list[Any]] = defaultdict(list)
    for key, value in came:
        groups[key].append(value)
    yield from map(GlobalWindows.windowed_value, groups.items())


def _whole(cuts: Iterable[Cut]) -> list[WindowedValue]:
    return [GlobalWindows.windowed_value(element) for cut in cuts for element in cut.get(0, ())]


def _cutter(how: str, cut: Cut, partition: int, partitions: int) -> Callable[[WindowedValue], None]:
    if how == "collect":
        return lambda element: cut[0].append(element.value)
    if how == "group":
        return lambda element: cut[zlib.crc32(repr(element.value[0]).encode()) % partitions].append(
            element.value
        )
    turn = iter(range(partition, 1 << 62))  # each task begins elsewhere, so that few elements spread too
    return lambda element: cut[next(turn) % partitions].append(element.value)
