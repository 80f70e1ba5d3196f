"""The judging queue: what it asks, what it keeps whatever happens, and what comes out of it."""

import signal
import subprocess
import sys
import threading
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from generated_shards import write_dataset
from judged import answer_all, exported, mostly_right, queue_of

from pipelines.judge import draw, flags, gold, intake, order, quality, results
from pipelines.judge.errors import Conflict, JudgeError
from pipelines.judge.intake import Asked
from pipelines.judge.queue import Queue
from pipelines.judge.verdicts import VERDICTS, standing
from shards.reader import Dataset

WRITER = """
import sys
from pipelines.judge.queue import Queue
with Queue(sys.argv[1]) as queue:
    while item := queue.next(sys.argv[2], "random"):
        print(queue.judge(item.id, sys.argv[2], "right").id, flush=True)
"""


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return queue_of(tmp_path_factory.mktemp("judged"), sample=30, gold=6)


@pytest.fixture
def fresh(drawn, tmp_path):
    """The same dataset with a queue of its own."""
    url, _ = drawn
    path = str(tmp_path / "judge.sqlite")
    with Queue(path, create=True) as queue:
        intake.fill(queue, Dataset(url), Asked(sample=30, gold=6, active=5))
    return url, path


def test_it_asks_what_is_drawn_and_gold_and_nothing_else(drawn):
    url, path = drawn
    dataset = Dataset(url)
    table = dataset.table()
    categories = dict(zip(table["key"].to_pylist(), table["category"].to_pylist(), strict=True))
    found = draw.draw(draw.hashes(table["sample_id"].to_pylist()), table["category"].to_pylist(), 30, 0)
    pool = {row["key"]: row for row in dataset.table("pool.parquet").to_pylist()}
    with Queue(path) as queue:
        items = list(queue.items())
        asked, skip = [], set()
        while item := queue.next("ana", "random", skip):
            asked.append(item)
            skip.add(item.id)
    keys = table["key"].to_pylist()
    assert [item.key for item in asked if not item.gold] == [keys[row] for row in found.rows]
    mixed_in = [item for item in asked if item.gold]
    assert len(mixed_in) == 6
    assert len({item.key for item in asked}) == 36
    assert any(asked.index(item) < 18 for item in mixed_in)  # not all at the end
    for item in mixed_in:
        assert categories[item.key] not in pool[item.gold]["categories"]
        assert pool[item.gold]["split"] == item.split
    doubtful = order.doubts(dataset)
    for item in items:
        assert item.order != "active" or (item.doubts == doubtful[item.key].why)


def test_nothing_alike_is_gold():
    class Kinds:
        def of(self, category):
            return {"kitten": "cat"}.get(category, category)

        def group(self, family):
            return {"cat": "pets", "dog": "pets"}.get(family, family)

    row = {"key": "k", "sample_id": "lvis:1|cat", "split": "train", "category": "cat", "kind": "single"}
    pool = [
        {"key": "a", "split": "train", "categories": ["kitten"]},
        {"key": "b", "split": "train", "categories": ["dog"]},
        {"key": "c", "split": "val", "categories": ["bell"]},
        {"key": "d", "split": "train", "categories": ["tiger", "cat"]},
        {"key": "e", "split": "train", "categories": ["tiger"]},
        {"key": "f", "split": "train", "categories": []},
    ]
    assert list(gold.choose([row], pool, 1, 0, Kinds())) == []
    bell = {"key": "g", "split": "train", "categories": ["bell"]}
    assert list(gold.choose([row], [*pool, bell], 1, 0, Kinds())) == [(row, "g")]


def test_twenty_threads_lose_and_double_nothing(fresh):
    _, path = fresh
    start, acknowledged, errors = threading.Barrier(20), [], []

    def hammer(name):
        try:
            with Queue(path) as queue:
                start.wait()
                for turn in range(8):
                    item = queue.next(name, "random")
                    if item is None:
                        return
                    try:
                        one = queue.judge(
                            item.id, name, list(VERDICTS)[turn % 6], request_id=f"{name}-{turn}"
                        )
                        again = queue.judge(
                            item.id, name, list(VERDICTS)[turn % 6], request_id=f"{name}-{turn}"
                        )
                        assert one == again
                        acknowledged.append((one.id, item.id, name))
                    except Conflict:
                        continue
                    if turn == 3:
                        assert queue.undo(name, None, f"{name}-undo") == queue.undo(
                            name, None, f"{name}-undo"
                        )
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=hammer, args=(f"judge {n}",)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    with Queue(path) as queue:
        log = {one.id: one for one in queue.judgements()}
        assert all(
            (log[number].item_id, log[number].judge) == (item, name) for number, item, name in acknowledged
        )
        counting = [one for one in log.values() if one.verdict != "undo" and not one.undone]
        of_item = {item.id: item for item in queue.items()}
        once = [one.item_id for one in counting if not of_item[one.item_id].gold]
        assert len(once) == len(set(once)) > 0
        for item in of_item.values():
            given = [one.verdict for one in counting if one.item_id == item.id]
            assert (item.state, item.verdict) == tuple(vars(standing(given, 1)).values())
        assert queue.connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


def test_what_a_killed_writer_was_told_is_there(tmp_path):
    _, path = queue_of(tmp_path, samples=240, sample=240, gold=0)
    told = []
    for name in ("ana", "ben"):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, path, name], stdout=subprocess.PIPE, text=True
        )
        told += [int(writer.stdout.readline()) for _ in range(15)]
        writer.send_signal(signal.SIGKILL)
        told += [int(line) for line in writer.stdout.read().splitlines() if line]
        writer.wait()
    with Queue(path) as queue:
        log = [one.id for one in queue.judgements()]
        assert set(told) <= set(log)
        assert len(set(told)) == len(told)
        assert len(log) <= len(told) + 3
        assert queue.connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


def test_two_judges_and_a_third(fresh):
    url, path = fresh
    with Queue(path) as queue:
        intake.fill(queue, Dataset(url), Asked(sample=30, gold=6, judges=2))
        first, second, *_ = (item for item in queue.items() if item.order == "random")
        queue.judge(first.id, "ana", "wrong_sound")
        with pytest.raises(Conflict, match=r"already \(the sound is not this category\): undo that first"):
            queue.judge(first.id, "ana", "right")
        queue.judge(first.id, "ben", "bad_mask")
        assert (queue.item(first.id).state, queue.item(first.id).verdict) == ("done", "wrong_sound")
        with pytest.raises(Conflict, match="ben judged this sample first"):
            queue.judge(first.id, "cleo", "right")
        queue.judge(second.id, "ana", "right")
        queue.judge(second.id, "ben", "cannot_tell")
        assert queue.item(second.id).state == "third"
        assert second.id not in {one.id for one in [queue.next("ana", "random")]}
        assert queue.next("cleo", "random").id == second.id
        queue.judge(second.id, "cleo", "right")
        assert queue.item(second.id).verdict == "right"
        queue.undo("cleo")
        assert queue.item(second.id).state == "third"
        queue.judge(second.id, "dan", "right", request_id="x")
        with pytest.raises(JudgeError, match="was another judgement"):
            queue.judge(first.id, "dan", "right", request_id="x")
    for verdict, note, match in (("bad", "", "is one of right, wrong_sound"), ("right", "a\nb", "one line")):
        with Queue(path) as queue, pytest.raises(JudgeError, match=match):
            queue.judge(first.id, "eve", verdict, note)


def test_a_larger_draw_keeps_what_was_judged_and_another_version_is_refused(fresh, tmp_path):
    url, path = fresh
    answer_all(path, "ana", mostly_right(1))
    with Queue(path) as queue:
        before = {item.key: item.verdict for item in queue.items() if item.order == "random"}
        told = intake.fill(queue, Dataset(url), Asked(sample=45, gold=6))
        assert (told.drawn >= 45, told.judges) == (True, 1)
        intake.fill(queue, Dataset(url), Asked(sample=45, judges=2))
        assert intake.fill(queue, Dataset(url), Asked(sample=45)).judges == 2  # as before
        intake.fill(queue, Dataset(url), Asked(judges=1, sample=45))
        after = {item.key: item.verdict for item in queue.items() if item.order == "random"}
        assert before.items() <= after.items()
        with pytest.raises(JudgeError, match="was drawn with seed 0, not 1"):
            intake.fill(queue, Dataset(url), Asked(sample=45, seed=1))
        other, _ = queue_of(tmp_path / "other", samples=30)
        with pytest.raises(JudgeError, match="about another version"):
            intake.fill(queue, Dataset(other), Asked(sample=45))


def test_the_file_says_what_it_is_about_and_what_counts(fresh):
    url, path = fresh
    assert quality.beside(url) is None
    with Queue(path) as queue:
        intake.fill(queue, Dataset(url), Asked(sample=30, gold=6, judges=2))
    answer_all(path, "ana", mostly_right(1))
    answer_all(path, "ben", mostly_right(2))
    answer_all(path, "ana", mostly_right(3), "active")
    found = exported(path, url)
    digest = results.manifest_sha256(url)
    again = results.read(results.beside(url), digest)
    assert again.about == found.about
    assert len(again.rows) == len(found.rows) == pq.read_metadata(results.beside(url)).num_rows
    with pytest.raises(JudgeError, match="of another version"):
        results.read(results.beside(url), "0" * 64)

    told = quality.beside(url)
    random_rows = [row for row in found.rows if row["order"] == "random"]
    pairs = {}
    for row in random_rows:
        pairs.setdefault(row["key"], {})[row["judge"]] = row["verdict"]
    right = sum(set(two.values()) == {"right"} for two in pairs.values())
    assert told.disputed == sum(len(set(two.values())) == 2 for two in pairs.values()) > 0
    assert told.verdicts.get("right") == right
    assert told.overall.told == 30 == told.drawn
    n = len(pairs)
    agreed = sum(len(set(two.values())) == 1 for two in pairs.values()) / n
    rate = {judge: sum(two[judge] == "right" for two in pairs.values()) / n for judge in ("ana", "ben")}
    chance = rate["ana"] * rate["ben"] + (1 - rate["ana"]) * (1 - rate["ben"])
    (pair,) = told.pairs
    assert pair.kappa == pytest.approx((agreed - chance) / (1 - chance))
    assert pair.samples == n
    assert [(score.judge, score.found, score.samples) for score in told.gold] == [
        ("ana", 6, 6),
        ("ben", 6, 6),
    ]
    assert told.active > 0
    lines = " ".join(quality.sentences(told))
    assert "30 were judged, of 30 drawn by hash (seed 0) from 60" in lines
    assert "ana and ben agree on" in lines


def test_flags_name_the_clip_where_the_sound_is_wrong_and_never_gold(drawn):
    _, path = drawn
    with Queue(path) as queue:
        found = results.of_queue(queue)
        items = [item for item in queue.items() if item.order == "random"][:4]
        golden = next(item for item in queue.items() if item.gold)
    row = {
        "note": "",
        "judged_at": "2026-01-02T10:00:00.000+00:00",
        "stratum": items[0].stratum,
        "order": "random",
    }

    def said(item, judge, verdict, **more):
        told = {name: getattr(item, name) for name in ("key", "sample_id", "split", "category", "kind")}
        return {**told, "clip_ids": list(item.clips), **row, "judge": judge, "verdict": verdict, **more}

    rows = [
        said(items[0], "ana", "wrong_sound", note="a horn"),
        said(items[1], "ana", "bad_mask"),
        said(items[2], "ana", "right"),
        said(items[3], "ana", "cannot_tell"),
        said(golden, "ana", "wrong_sound", order="gold"),
    ]
    made = flags.flags(replace(found, rows=rows))
    assert [(flag.unit, flag.item) for flag in made] == [
        ("clips", items[0].clips[0]),
        ("samples", items[1].sample_id),
    ]
    assert made[0].reason == "the sound is not this category (a horn); judged by ana on 2026-01-02"
    two = replace(found, about=replace(found.about, judges=2))
    disputed = [said(items[1], "ana", "right"), said(items[1], "ben", "wrong_object")]
    (flag,) = flags.flags(replace(two, rows=disputed))
    assert flag.reason.startswith("judges differ, one says: the object is another one; judged by ana, ben")
    settled = [*disputed, said(items[1], "cleo", "right")]
    assert flags.flags(replace(two, rows=settled)) == []


def test_clip_of_mixture_is_not_blamed_alone(drawn):
    _, path = drawn
    with Queue(path) as queue:
        found = results.of_queue(queue)
    row = {
        "key": "k", "sample_id": "lvis:1|a+b", "split": "train", "category": "a+b", "kind": "mixture",
        "clip_ids": ["v:1", "v:2"], "stratum": "mixture a+b", "order": "active", "judge": "ana",
        "verdict": "wrong_sound", "note": "", "judged_at": "2026-01-02",
    }  # fmt: skip
    assert [flag.unit for flag in flags.flags(replace(found, rows=[row]))] == ["samples"]


def test_doubtful_are_small_or_cut_masks_odd_sounds_and_clips_like_those_of_another_label(tmp_path):
    url = write_dataset(tmp_path / "data", {"train": 30}, clips=4)
    dataset = Dataset(url)
    table = dataset.table()
    clips = dataset.table("pool.parquet").to_pylist()
    bell = next(clip["clip_id"] for clip in clips if clip["categories"] == ["bell"])
    drum = next(clip["clip_id"] for clip in clips if clip["categories"] == ["drum"])
    other = next(
        clip["clip_id"] for clip in clips if clip["categories"] == ["bell"] and clip["clip_id"] != bell
    )
    (tmp_path / "corpora" / "_fetch").mkdir(parents=True)
    pairs = pa.table(
        {"clip_id_a": [bell, bell, "gen:gone"], "clip_id_b": [drum, other, drum], "distance": [0.1] * 3}
    )
    pq.write_table(pairs, tmp_path / "corpora" / order.NEAR_CLIPS)
    found = order.doubts(dataset, str(tmp_path / "corpora"))
    heard = dict(zip(table["key"].to_pylist(), table["clip_id"].to_pylist(), strict=True))
    twins = {key: one.why for key, one in found.items() if "nearly the same" in one.why}
    assert set(twins) == {key for key, clip in heard.items() if clip in (bell, drum)}
    assert all(f"{drum if heard[key] == bell else bell} (" in why for key, why in twins.items())

    rows = 40
    columns = {
        "category": ["a"] * rows,
        "area_fraction": [0.2] * rows,
        "width": [100] * rows,
        "height": [80] * rows,
        **{f"bbox_{side}": [10] * rows for side in "xywh"},
        "duration_s": [10.0] * rows,
        "flac_size": [100_000 + 50 * (row % 7) for row in range(rows)],
    }
    columns["area_fraction"][:3] = [0.005, 0.0, 0.019]
    columns["bbox_x"][4], columns["bbox_w"][4] = 0, 100
    columns["bbox_y"][5] = 70
    columns["flac_size"][6:8] = [9_000, 300_000]
    shown = pa.table(columns)
    masks = {row: (score, why) for row, score, why in order._masks(shown)}
    assert {row: score for row, (score, _) in masks.items()} == pytest.approx(
        {0: 0.75, 2: 0.05, 4: 0.25, 5: 0.125}
    )
    assert masks[0][1] == "its mask is 0.5 % of the photo"
    sounds = {row: why for row, _, why in order._sounds(shown)}
    assert sounds == {
        6: "its sound is emptier than others of its category",
        7: "its sound is fuller than others of its category",
    }
