"""A pipeline in fused stages gives what a plain loop gives, in any number of partitions."""

import operator
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import cloudpickle
import pytest
from apache_beam.pvalue import AsDict, AsIter, AsSingleton
from apache_beam.transforms.userstate import BagStateSpec
from apache_beam.transforms.window import FixedWindows
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.build import bundle, fused
from pipelines.build.local_runner import StageRunner

SEEN: Counter[Any] = Counter()  # what the pipeline ends in


def see(element: Any) -> None:
    SEEN[element] += 1


class Sort(beam.DoFn):
    """Odd numbers to a tag of their own; tells how many there were of each kind at the end of a bundle."""

    def process(self, number: int) -> Iterator[Any]:
        yield beam.pvalue.TaggedOutput("odd", number) if number % 2 else number


def draw(p: beam.Pipeline, numbers: list[int]) -> None:
    """Every transform that the graph of a build uses, and a side input that depends on its own stage."""
    came = p | "Numbers" >> beam.Create(numbers, reshuffle=False) | "Spread" >> beam.Reshuffle()
    sorted_ = came | "Sort" >> beam.ParDo(Sort()).with_outputs("odd", main="even")
    total = came | "Total" >> beam.CombineGlobally(sum)
    each = came | "Key" >> beam.Map(lambda n: (n % 5, n)) | "Sum each" >> beam.CombinePerKey(sum)
    joined = (sorted_.even, sorted_.odd | "Negate" >> beam.Map(operator.neg)) | "Join" >> beam.Flatten()
    grouped = (
        joined
        | "Key again" >> beam.Map(lambda n: (str(n % 3), n))
        | "Group" >> beam.GroupByKey()
        | "Sort group" >> beam.MapTuple(lambda key, found: (key, tuple(sorted(found))))
    )
    looked = (
        came  # waits for what is made of itself
        | "Look"
        >> beam.Map(lambda n, whole, by: ("looked", n, whole, by[n % 5]), AsSingleton(total), AsDict(each))
    )
    counted = (
        p
        | "One" >> beam.Create([0])
        | "Count" >> beam.Map(lambda _, found: ("count", len(list(found))), AsIter(joined))
    )
    _ = (grouped, looked, counted) | "End" >> beam.Flatten() | "See" >> beam.Map(see)


def expected(numbers: list[int]) -> Counter[Any]:
    by, groups = Counter[int](), defaultdict(list)
    for n in numbers:
        by[n % 5] += n
        joined = -n if n % 2 else n
        groups[str(joined % 3)].append(joined)
    found: Counter[Any] = Counter((key, tuple(sorted(values))) for key, values in groups.items())
    found.update(("looked", n, sum(numbers), by[n % 5]) for n in numbers)
    found["count", len(numbers)] += 1
    return found


def compute(plan: fused.Plan, partitions: int) -> None:
    """As a cluster does it: what a task takes and leaves is pickled on its way."""
    left: dict[int, list[bundle.Cut]] = defaultdict(list)
    for stage in plan.stages:
        packed = cloudpickle.dumps(stage)
        for partition in stage.parts(partitions):
            taken = {number: cloudpickle.loads(cloudpickle.dumps(left[number])) for number in stage.takes}
            for number, cut in bundle.run(cloudpickle.loads(packed), partition, partitions, taken).items():
                left[number].append(cut)


@settings(max_examples=25)
@given(st.lists(st.integers(-50, 50), max_size=20), st.integers(1, 4))
def test_stages_give_what_a_loop_gives(numbers: list[int], partitions: int) -> None:
    SEEN.clear()
    pipeline = beam.Pipeline(StageRunner(lambda plan: compute(plan, partitions)))
    draw(pipeline, numbers)
    pipeline.run().wait_until_finish()
    assert expected(numbers) == SEEN


def test_chains_are_fused_and_a_stage_waits_for_no_part_of_itself() -> None:
    pipeline = beam.Pipeline(StageRunner(lambda plan: None))
    draw(pipeline, [1])
    plan = fused.plan(pipeline)
    place = {stage.number: index for index, stage in enumerate(plan.stages)}
    assert len(plan.stages) < len({step.label for stage in plan.stages for step in stage.steps})
    for stage in plan.stages:
        assert all(
            place[feeder] < place[stage.number] for number in stage.takes for feeder in plan.feeders[number]
        )


class Stateful(beam.DoFn):
    STATE = BagStateSpec("state", beam.coders.VarIntCoder())

    def process(self, element: Any, state: Any = beam.DoFn.StateParam(STATE)) -> Iterator[Any]:  # noqa: B008
        yield element


@pytest.mark.parametrize(
    ("transform", "told"),
    [
        (beam.WindowInto(FixedWindows(60)), "windows other than the global one"),
        (beam.ParDo(Stateful()), "is none of ParDo"),
        (beam.io.ReadFromText("nosuch", validate=False), "is none of ParDo"),
    ],
    ids=["windows", "state", "splittable"],
)
def test_what_cannot_run_is_refused_by_name_before_anything_starts(transform: Any, told: str) -> None:
    def never(plan: fused.Plan) -> None:
        raise AssertionError

    pipeline = beam.Pipeline(StageRunner(never))
    begin = pipeline if isinstance(transform, beam.io.ReadFromText) else pipeline | beam.Create([("a", 1)])
    _ = begin | "The culprit" >> transform
    with pytest.raises(fused.NotSupported, match=f"The culprit.*{told}"):
        pipeline.run()
