"""From judgements to the card, and from bad samples to the next version without them."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from generated_shards import write_dataset
from judged import answer_all, queue_of

from label_maps import load
from pipelines.build import exclude, run
from pipelines.build.exclude import Excluded, ExcludeError
from pipelines.cli import main
from pipelines.judge.quality import of_edition
from pipelines.judge.queue import Queue
from pipelines.judge.results import of_queue
from pipelines.matching import proposals
from pipelines.publish.release import Options, publish
from pipelines.publish.version import Version
from pipelines.recipes import recipe
from pipelines.review import intake
from pipelines.review.queue import Queue as LinkQueue
from shards import format
from shards.reader import Dataset
from shards.verify import verify


def call(*words: str) -> str:
    result = CliRunner().invoke(main, list(words))
    assert result.exit_code == 0, result.output
    return result.stdout


def test_bad_samples_leave_the_next_version_and_the_card_says_how_many_there_were(
    corpora: str, dataset: str, tmp_path: Path
) -> None:
    queue, flags = str(tmp_path / "judge.sqlite"), tmp_path / "flags.csv"
    results = str(tmp_path / "judged.parquet")
    told = json.loads(
        call(
            "judge",
            "draw",
            dataset,
            "--queue",
            queue,
            "--sample",
            "40",
            "--gold",
            "4",
            "--active",
            "5",
            "--json",
        )
    )
    assert (told["drawn"], told["gold"]) == (40, 4)
    with Queue(queue) as open_queue:
        drawn = [item for item in open_queue.items() if item.order == "random"]
    clips = Dataset(dataset).table("pool.parquet").to_pylist()
    several = [  # whose category and split has another clip
        item
        for item in drawn
        if sum(clip["split"] == item.split and item.category in clip["categories"] for clip in clips) > 1
    ]
    drawn = [*several[:2], *(item for item in drawn if item not in several[:2])]
    verdicts = {drawn[0].key: "wrong_sound", drawn[1].key: "bad_mask", drawn[2].key: "cannot_tell"}
    answer_all(queue, "ana", lambda item: "wrong_sound" if item.gold else verdicts.get(item.key, "right"))
    assert [json.loads(line)["key"] for line in call(
        "judge", "list", "--queue", queue, "--state", "bad", "--json").splitlines()] == [
        drawn[0].key, drawn[1].key]  # fmt: skip
    call("judge", "export", "--queue", queue, "--out", results)
    estimate = json.loads(call("judge", "estimate", "--queue", queue, "--json"))
    assert estimate["overall"]["told"] == 39
    assert estimate["verdicts"] == {"right": 37, "wrong_sound": 1, "bad_mask": 1, "cannot_tell": 1}
    assert "For +-1 %, judge" in call("judge", "estimate", "--queue", queue)
    bad_links = str(tmp_path / "bad_links.csv")
    call("judge", "flags", "--queue", queue, "--out", str(flags), "--proposals", bad_links, "--least", "1", "--share",
         "0")  # fmt: skip
    rows = list(csv.DictReader(flags.open()))
    clip = drawn[0].clips[0]
    assert [(row["unit"], row["item"]) for row in rows] == [("clips", clip), ("samples", drawn[1].sample_id)]

    asked = proposals.read(bad_links)
    assert asked
    assert all("judged samples are bad: the sound is not this category" in one.reason for one in asked)
    with LinkQueue(str(tmp_path / "links.sqlite"), create=True) as links:
        report = intake.import_proposals(links, asked, intake.IntakeOptions(ask_all=True), load("avs"))
        assert (report.settled, report.asked) == (0, len(asked))  # though the map has them

    made = tmp_path / "next.toml"
    shipped = (recipe.RECIPES / "demo.toml").read_text()
    made.write_text(shipped.replace("[select]\n", '[select]\nexclude = ["flags.csv"]\n'))
    out = str(tmp_path / "next")
    run.build(recipe.load(str(made)), run.BuildOptions(corpora, out, base=dataset))
    excluded, dropped = exclude.read(recipe.load(str(made))), Dataset(out).table(format.REJECTIONS)
    assert exclude.unmet(excluded, dropped) == []
    assert exclude.unmet(replace(excluded, clips={**excluded.clips, "vggsound:none": ""}), dropped) == [
        "vggsound:none"
    ]
    assert not verify(out)
    after, before = Dataset(out), Dataset(dataset)
    assert drawn[1].sample_id not in after.table()["sample_id"].to_pylist()
    assert clip not in after.table("pool.parquet")["clip_id"].to_pylist()
    rejected = [row for row in after.table("rejections.parquet").to_pylist() if row["stage"] == "exclude"]
    assert {
        (row["unit"], row["item"], row["reason"], row["detail"], row["category"]) for row in rejected
    } == {
        ("clips", clip, "judged_bad", rows[0]["reason"], drawn[0].category),
        ("samples", drawn[1].sample_id, "judged_bad", rows[1]["reason"], drawn[1].category),
    }
    kept = set(after.table()["sample_id"].to_pylist())
    assert set(before.table()["sample_id"].to_pylist()) - kept == {drawn[1].sample_id}

    to = str(tmp_path / "to")
    publish(dataset, Options(Version.parse("1.0.0"), to, judgements=results), lambda *_: None)
    publish(out, Options(Version.parse("1.1.0"), to), lambda *_: None)
    first, second = tmp_path / "to" / "1.0.0", tmp_path / "to" / "1.1.0"
    share = f"{100 * estimate['overall']['share']:.1f} % of the samples are right"
    for name in ("README.md", "croissant.json", "statistics.html"):
        assert share in (first / name).read_text()
        assert "Not judged" in (second / name).read_text()
    assert "ana found 4 of 4 samples with a wrong sound mixed in" in (first / "README.md").read_text()
    assert pq.read_metadata(first / "judgements.parquet").num_rows == 44
    assert not (second / "judgements.parquet").exists()
    changelog = (second / "CHANGELOG.md").read_text()
    assert f"removed `{drawn[1].sample_id}`: judged bad; {rows[1]['reason']}" in (changelog)
    assert "1 clip(s) gone: judged bad." in changelog
    assert "| re-paired | judged bad |" in changelog
    with pytest.raises(Exception, match="judgements of another version"):
        publish(out, Options(Version.parse("1.2.0"), to, judgements=results), lambda *_: None)


def test_a_scene_goes_with_any_of_its_sources() -> None:
    scenes = [
        ("lvis:1|cat", "cat", ["lvis:1|cat"]),
        ("lvis:1|cat+dog", "cat+dog", ["lvis:1|cat", "lvis:1|dog"]),
        ("lvis:1|dog", "dog", ["lvis:1|dog"]),
        ("lvis:1||silence", "", []),
    ]
    table = pa.table(
        {
            "sample_id": [name for name, _, _ in scenes],
            "category": [category for _, category, _ in scenes],
            "sources": [[{"sample_id": source} for source in sources] for _, _, sources in scenes],
        }
    )
    found = exclude.exclude_samples(table, Excluded({"lvis:1|cat": "bad", "lvis:1||silence": "a bark"}))
    assert found.kept["sample_id"].to_pylist() == ["lvis:1|dog"]
    assert found.rejected.select(["item", "detail"]).to_pylist() == [
        {"item": "lvis:1|cat", "detail": "bad"},
        {"item": "lvis:1|cat+dog", "detail": "lvis:1|cat: bad"},
        {"item": "lvis:1||silence", "detail": "a bark"},
    ]


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (None, r"select\.exclude names 'flags.csv', and there is no .*flags.csv: put it there"),
        ("unit,item\nsamples,a\n", "has no column reason"),
        ("unit,item,reason\nphotos,lvis:1,x\n", r"flags.csv:2: unit 'photos'"),
        ("unit,item,reason\nclips,,x\n", r"flags.csv:2: unit 'clips' and item ''"),
    ],
)
def test_a_list_that_names_nothing_is_refused(tmp_path: Path, content: str | None, match: str) -> None:
    (tmp_path / "r.toml").write_text('name = "r"\n[select]\nexclude = ["flags.csv"]\n')
    if content is not None:
        (tmp_path / "flags.csv").write_text(content)
    with pytest.raises((ExcludeError, ValueError), match=match):
        exclude.read(recipe.load(str(tmp_path / "r.toml")))


def test_an_edition_is_measured_by_what_it_has_of_the_samples(tmp_path: Path) -> None:
    """Of a third of the samples, the estimate is that of the judged ones among them."""
    url, path = queue_of(tmp_path, sample=45, gold=2)
    answer_all(path, "ana", lambda item: "bad_mask" if int(item.key, 16) % 4 == 0 else "right")
    source, part = Dataset(url), Dataset(write_dataset(tmp_path / "part", {"train": 21}, clips=4))
    left = set(part.table()["key"].to_pylist())
    assert left < set(source.table()["key"].to_pylist())
    with Queue(path) as queue:
        found, kept = of_edition(of_queue(queue), source, part)
        judged = [item for item in queue.items() if item.order == "random" and item.key in left]
    assert {row["key"] for row in kept.rows if row["order"] == "random"} == {item.key for item in judged}
    assert found.population == len(left)
    assert found.overall is not None
    assert found.overall.told == len(judged)
    of = {name: [item for item in judged if item.category == name] for name in found.strata}
    share = sum(
        counts.population * sum(item.verdict == "right" for item in of[name]) / len(of[name])
        for name, (counts, _) in found.strata.items()
        if of[name]
    )
    assert found.overall.share == pytest.approx(
        share / sum(counts.population for name, (counts, _) in found.strata.items() if of[name])
    )
