"""A Beam pipeline as fused stages: chains of ParDos between exchanges of data.

A stage begins where data comes together (GroupByKey), is spread anew (Reshuffle) or comes into being (Impulse); every
ParDo behind that point joins it, unless a side input of the ParDo depends on the stage itself. `bundle.py` runs a stage
on one partition of its data. Bounded collections in the global window only.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
from apache_beam.pipeline import AppliedPTransform, PipelineVisitor
from apache_beam.pvalue import PCollection
from apache_beam.runners.common import DoFnSignature
from apache_beam.transforms.window import GlobalWindows

from pipelines.build.stages import Apply
from shards.errors import AvsError


class NotSupported(AvsError):
    """A transform that these stages cannot run; told before anything starts."""


@dataclass(frozen=True)
class Exchange:
    """Data on its way: all of a collection, from the tasks that made it to those that take it.

    how: `group` by key, `spread` over the partitions, or `collect` in one list.
    """

    number: int
    how: str
    collection: int


@dataclass(frozen=True)
class Step:
    """One ParDo. sides: the exchange, view and options of each side input."""

    label: str
    fn: beam.DoFn
    args: tuple[Any, ...]  # with a placeholder for each side input, as in kwargs
    kwargs: Mapping[str, Any]
    sides: tuple[tuple[int, Any, Any], ...]
    collection: int
    outputs: Mapping[Any, int]  # tag -> collection


@dataclass
class Stage:
    """What one task does to one partition. source: the exchange that it takes; None: an empty element begins it."""

    number: int
    source: Exchange | None
    collection: int  # of what the source gives
    name: str = ""
    steps: list[Step] = field(default_factory=list)
    flat: dict[int, list[int]] = field(
        default_factory=lambda: defaultdict(list)
    )  # collection -> what it is part of
    leaves: list[Exchange] = field(default_factory=list)

    def parts(self, partitions: int) -> range:
        """The partitions that it has, of so many."""
        return range(partitions if self.source else 1)

    @property
    def takes(self) -> list[int]:
        """Numbers of the exchanges that it waits for, each once: its source first, then its side inputs."""
        own = [] if self.source is None else [self.source.number]
        return list(dict.fromkeys(own + [side[0] for step in self.steps for side in step.sides]))


@dataclass(frozen=True)
class Plan:
    """The stages of a pipeline, each after those that it waits for, and which of them feed each exchange."""

    stages: tuple[Stage, ...]
    feeders: Mapping[int, tuple[int, ...]]


def plan(pipeline: beam.Pipeline) -> Plan:
    """Cut a pipeline into stages.

    Raises:
        NotSupported: a transform that is not among those above, or another window.
    """
    drawn = _Drawing()
    pipeline.visit(drawn)
    ordered: dict[int, Stage] = {}

    def add(stage: Stage) -> None:
        for before in drawn.before(stage):
            if before.number not in ordered:
                add(before)
        ordered[stage.number] = stage

    for stage in drawn.stages:
        if stage.number not in ordered:
            add(stage)
    feeders = {
        number: tuple(stage.number for stage in drawn.made[exchange.collection])
        for number, exchange in enumerate(drawn.exchanges)
    }
    return Plan(tuple(ordered.values()), feeders)


class _Drawing(PipelineVisitor):
    """Collects stages while it walks a pipeline."""

    def __init__(self) -> None:
        self.stages: list[Stage] = []
        self.exchanges: list[Exchange] = []
        self.made: dict[int, list[Stage]] = {}  # collection -> the stages that make it, or a part of it
        self._numbers: dict[Any, int] = {}
        self._collected: dict[int, Exchange] = {}
        self._inside: AppliedPTransform | None = None  # a Reshuffle: what it is made of does not matter

    def enter_composite_transform(self, node: AppliedPTransform) -> None:
        if self._inside is None and isinstance(node.transform, beam.Reshuffle):
            self._inside = node

    def leave_composite_transform(self, node: AppliedPTransform) -> None:
        if node is self._inside:
            self._inside = None
            (came,), (gone,) = node.inputs, node.outputs.values()
            self._begin(self._exchange("spread", self._number(came)), gone)

    def visit_transform(self, node: AppliedPTransform) -> None:
        if self._inside is not None:
            return
        transform = node.transform
        for out in node.outputs.values():
            if isinstance(out, PCollection) and not isinstance(out.windowing.windowfn, GlobalWindows):
                raise NotSupported(f"{node.full_label}: windows other than the global one")
        if isinstance(transform, beam.Impulse):
            self._begin(None, node.outputs[None])
        elif isinstance(transform, beam.Flatten):
            self._flatten(node)
        elif isinstance(transform, beam.GroupByKey):
            self._begin(self._exchange("group", self._number(node.inputs[0])), node.outputs[None])
        elif isinstance(transform, beam.ParDo) and _is_plain(transform.fn):
            self._par_do(node, transform)
        else:
            kind = type(transform).__name__
            raise NotSupported(
                f"{node.full_label}: {kind} is none of ParDo, GroupByKey, Reshuffle, Flatten, Impulse"
            )

    def before(self, stage: Stage) -> Iterator[Stage]:
        """The stages that it waits for."""
        for number in stage.takes:
            yield from self.made[self.exchanges[number].collection]

    def _number(self, collection: Any) -> int:
        return self._numbers.setdefault(collection, len(self._numbers))

    def _exchange(self, how: str, collection: int) -> Exchange:
        made = Exchange(len(self.exchanges), how, collection)
        self.exchanges.append(made)
        for stage in self.made[collection]:
            stage.leaves.append(made)
        return made

    def _begin(self, source: Exchange | None, out: Any) -> Stage:
        stage = Stage(len(self.stages), source, self._number(out))
        self.stages.append(stage)
        self.made[self._number(out)] = [stage]
        return stage

    def _flatten(self, node: AppliedPTransform) -> None:
        out = self._number(node.outputs[None])
        self.made[out] = []
        for collection in map(self._number, node.inputs):
            for stage in self.made[collection]:
                stage.flat[collection].append(out)
                if stage not in self.made[out]:
                    self.made[out].append(stage)

    def _par_do(self, node: AppliedPTransform, do: beam.ParDo) -> None:
        collection, sides = self._number(node.inputs[0]), []
        for side in node.side_inputs:
            taken = self._number(side.pvalue)
            if taken not in self._collected:
                self._collected[taken] = self._exchange("collect", taken)
            sides.append((self._collected[taken].number, type(side), side._view_options()))
        outputs = {tag: self._number(out) for tag, out in node.outputs.items()}
        step = Step(node.full_label, do.fn, tuple(do.args), do.kwargs, tuple(sides), collection, outputs)
        makers = [stage for number, *_ in sides for stage in self.made[self.exchanges[number].collection]]
        stages = self.made[collection]
        if any(self._waits(maker, stage) for maker in makers for stage in stages):
            exchange = self._exchange("spread", collection)
            stages = [Stage(len(self.stages), exchange, collection)]
            self.stages.extend(stages)
        for stage in stages:
            stage.steps.append(step)
            stage.name = _name(node) or stage.name or node.full_label.partition("/")[0]
        for number in outputs.values():
            self.made[number] = stages

    def _waits(self, stage: Stage, other: Stage) -> bool:
        return stage is other or any(self._waits(before, other) for before in self.before(stage))


def _is_plain(fn: beam.DoFn) -> bool:
    signature = DoFnSignature(fn)
    return not (signature.is_stateful_dofn() or signature.is_splittable_dofn())


def _name(node: AppliedPTransform | None) -> str:
    """The stage of the build that a ParDo is part of; empty: of none."""
    while node is not None:
        if isinstance(node.transform, Apply):
            return node.full_label.rpartition("/")[2]
        node = node.parent
    return ""
