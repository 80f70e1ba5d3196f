"""AudioSet, FSD50K and ESC-50: their lists in the official layouts, and every way their rows can be wrong."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from label_maps import Kinds, LabelMap, Link
from pipelines.build import pool, split
from pipelines.build.categorize import categorize_clips
from pipelines.build.index import index
from pipelines.corpora import audioset, esc50, fsd50k
from pipelines.corpora.records import CLIPS
from pipelines.corpora.source import CorpusError
from pipelines.recipes.recipe import Select, Split
from shards.rejections import Reason, Rejected
from shards.sound import decoder

DOG, BARK, SPEECH, ANIMAL = "/m/0bt9lr", "/m/05tny_", "/m/09x0r", "/m/0jbk"
CLASSES = {SPEECH: "Speech", DOG: "Dog", BARK: "Bark", ANIMAL: "Animal"}
COMMENTS = "# Segments csv created Sun Mar  5 10:54:25 2017\n# num_ytids=3, num_segs=3\n# YTID, start_seconds, end_seconds, positive_labels\n"  # noqa: E501


def write(root: Path, files: dict[str, str | bytes]) -> str:
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(root)


def read(corpora: str, corpus) -> tuple[list[dict], list[dict]]:
    kept, rejected = [], []
    for source in corpus.sources(corpora):
        for chunk in corpus.read(source, corpora):
            assert chunk.rows == len(chunk.kept) + len(chunk.rejected)
            assert chunk.kept.schema == CLIPS
            kept += chunk.kept.to_pylist()
            rejected += chunk.rejected.to_pylist()
    return kept, rejected


def sets(root: Path, rows: str | bytes = "", name: str = "eval", clips: tuple[str, ...] = ()) -> str:
    listed = COMMENTS.encode() + (rows if isinstance(rows, bytes) else rows.encode())
    classes = "index,mid,display_name\n" + "".join(
        f'{n},{mid},"{c}"\n' for n, (mid, c) in enumerate(CLASSES.items())
    )
    files = {f"audioset/{name}_segments.csv": listed, "audioset/class_labels_indices.csv": classes}
    return write(root, files | {f"audioset/clips/{clip}": b"" for clip in clips})


def test_audioset_rows_are_those_of_the_csv_module(tmp_path: Path) -> None:
    rows = f'--PJHxphWEs, 30.000, 40.000, "{SPEECH},{DOG}"\n-0DdlOuIFUI, 0.000, 9.500, "{DOG}"\n'
    made = rows + f'aaaaaaaaaaa, 1.500, 11.500, "{DOG},{BARK}"'
    kept, rejected = read(sets(tmp_path, made), audioset)
    expected = list(csv.reader(io.StringIO(made), skipinitialspace=True))
    assert not rejected
    assert [(row["video_id"], row["start_s"], row["label_ids"]) for row in kept] == [
        (video, float(start), mids.split(",")) for video, start, _, mids in expected
    ]
    assert kept[0]["labels"] == ["Speech", "Dog"]
    assert kept[2]["clip_id"] == "audioset:aaaaaaaaaaa_000001"
    assert {(row["official_split"], row["split_is_final"]) for row in kept} == {("test", False)}
    assert kept[0]["url"] == "https://www.youtube.com/watch?v=--PJHxphWEs"


@pytest.mark.parametrize(
    "name",
    [
        "{}.wav", "Y{}.wav", "{}_30.mp4", "{}_000030.flac", "{}_30_40.m4a", "{}_30000_40000.wav", "{}_30000.wav",
        "{}_30.000_40.000.wav", "Y{}_30.000_40.000.wav", "train/7/{}_000030.opus",
    ],
)  # fmt: skip
@pytest.mark.parametrize("video", ["--PJHxphWEs", "-_30_000000", "YYYYYYYYYYY"])
def test_clips_are_found_by_the_names_in_common_use(tmp_path: Path, name: str, video: str) -> None:
    file = name.format(video)
    kept, _ = read(sets(tmp_path, f'{video}, 30.000, 40.000, "{DOG}"\n', clips=(file, "other.wav")), audioset)
    assert kept[0]["clip_path"] == f"audioset/clips/{file}"


def test_a_bare_id_of_two_clips_is_neither(tmp_path: Path) -> None:
    rows = "".join(f'aaaaaaaaaaa, {n}.000, {n + 10}.000, "{DOG}"\n' for n in (0, 30))
    root = sets(tmp_path, rows, clips=("aaaaaaaaaaa.wav", "aaaaaaaaaaa_30.wav"))
    kept, _ = read(root, audioset)
    assert [row["clip_path"] for row in kept] == [None, "audioset/clips/aaaaaaaaaaa_30.wav"]
    assert "1 file(s) below audioset/clips are no clip" in index(root, str(tmp_path / "out")).notes[0]


@pytest.mark.parametrize(
    ("name", "start", "seconds", "is_clip"),
    [
        ("{}", 30, 10.0, True), ("{}", 30, 10.4, True), ("{}", 30, 11.0, False), ("{}", 30, 45.0, False),
        ("Y{}", 30, 12.0, False), ("{}", 0, 45.0, True), ("{}_30", 30, 12.0, True), ("Y{}_000030", 30, 12.0, True),
    ],
)  # fmt: skip
def test_a_bare_id_is_the_clip_only_where_it_is_not_all_of_the_video(
    tmp_path: Path, name: str, start: int, seconds: float, is_clip: bool
) -> None:
    video = "aaaaaaaaaaa"
    corpora = sets(tmp_path, f'{video}, {start}.000, {start + 10}.000, "{DOG}"\n')
    file = tmp_path / "audioset/clips" / f"{name.format(video)}.wav"
    file.parent.mkdir()
    soundfile.write(file, np.sin(np.arange(round(seconds * 16_000)) / 9) / 2, 16_000)
    (row,), _ = read(corpora, audioset)
    if is_clip:
        assert pool.decoded(row, corpora, Select()).duration_s == 10.0
        return
    with pytest.raises(Rejected, match=r"longer than 10.5 s.*its name tells no start") as caught:
        pool.decoded(row, corpora, Select())
    assert caught.value.reason is Reason.AUDIO_TOO_LONG


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"aaaaaaaaaaa, 0.000, 10.000", "bad_row"),
        (b'aaaaaaaaaaa, 0.000, 10.000, "/m/nothing"', "unknown_label"),
        (b'aaaaaaaaaaa, 10.000, 10.000, "/m/0bt9lr"', "bad_row"),
        (b'aaaaaaaaaaa, -1, 10.000, "/m/0bt9lr"', "bad_row"),
        (b'aaaaaaaaaaa, nan, inf, "/m/0bt9lr"', "bad_row"),
        (b'../aaaaaaaa, 0.000, 10.000, "/m/0bt9lr"', "bad_row"),
        (b'short, 0.000, 10.000, "/m/0bt9lr"', "bad_row"),
        (b'aaaaaaaaaaa, 0.000, 10.000, "/m/0bt9lr,/m/0bt9lr"', "bad_row"),
        (b'aaaaaaaaaaa, 0.000, 10.000, ""', "bad_row"),
        (b'aaaaaaaaaaa, 0.000, 10.000, "/m/0bt9lr', "bad_row"),
        (b'\xff\xfeaaaaaaaaa, 0.000, 10.000, "/m/0bt9lr"', "bad_row"),
        (b'aaaaaaaaaaa, 0.000, 10.000, "/m/0bt9lr\0"', "unknown_label"),
        (b"a" * 5000, "bad_row"),
    ],
)
def test_a_bad_row_of_audioset_is_rejected(tmp_path: Path, line: bytes, reason: str) -> None:
    good = f'bbbbbbbbbbb, 0.000, 10.000, "{DOG}"\n'.encode()
    kept, rejected = read(sets(tmp_path, line + b"\n" + good), audioset)
    assert [row["video_id"] for row in kept] == ["bbbbbbbbbbb"]
    assert [(row["item"], row["reason"]) for row in rejected] == [("audioset/eval_segments.csv:4", reason)]


def test_an_id_of_two_lists_stays_in_the_first(tmp_path: Path) -> None:
    row = f'aaaaaaaaaaa, 0.000, 10.000, "{DOG}"\n'
    sets(tmp_path, row, "balanced_train")
    root = sets(tmp_path, row + f'bbbbbbbbbbb, 0.000, 10.000, "{DOG}"\n', "eval")
    found = index(root, str(tmp_path / "out"))
    assert found.counts["audioset"].rejected == {"duplicate_id": 1}
    assert pq.read_table(found.clips)["official_split"].to_pylist() == ["train", "test"]


def test_other_files_are_refused_with_what_to_do(tmp_path: Path) -> None:
    root = sets(tmp_path, "fname,labels\n1,Dog\n")
    with pytest.raises(
        CorpusError, match=r"every line: no row is `id, start, end.*official eval_segments\.csv"
    ):
        read(root, audioset)
    (tmp_path / "audioset/class_labels_indices.csv").unlink()
    with pytest.raises(CorpusError, match="MIDs have no names"):
        read(root, audioset)


def links(*rows: tuple[str, str, str]) -> tuple[Link, ...]:
    return tuple(Link(*row[:3], row[2], "", "same", "me", "2026-01-01", "") for row in rows)


def test_a_clip_of_two_things_is_a_clean_one_of_neither() -> None:
    rows = links(
        ("dog", "audioset", DOG), ("dog", "audioset", BARK), ("person", "audioset", SPEECH),
        ("man", "audioset", "/m/man"), ("baby", "audioset", "/m/baby"),
        ("person", "open_images", "/m/p"), ("man", "open_images", "/m/q"), ("dog", "open_images", "/m/d"),
    )  # fmt: skip
    label_map = LabelMap("x", "1.0.0", rows, Kinds({"man": "person", "baby": "person"}))
    cases = {
        "a": ([ANIMAL, DOG], "dog"), "b": ([DOG, BARK], "dog"), "c": ([DOG, SPEECH], "several_sounds"),
        "d": ([SPEECH, "/m/man"], "man"), "e": (["/m/man", "/m/baby"], "several_sounds"),
        "f": ([ANIMAL], "label_not_in_map"), "g": (["/m/baby", SPEECH], "narrower_sound"),
    }  # fmt: skip
    table = pa.Table.from_pylist(
        [
            {"clip_id": n, "corpus": "audioset", "label_ids": ids, "labels": ids}
            for n, (ids, _) in cases.items()
        ],
        CLIPS,
    )
    outcome = categorize_clips(table, label_map)
    fates = {row["clip_id"]: row["category"] for row in outcome.kept.to_pylist()}
    fates |= {row["item"]: row["reason"] for row in outcome.rejected.to_pylist()}
    assert fates == {name: fate for name, (_, fate) in cases.items()}
    assert outcome.kept["label_id"].to_pylist() == [DOG, DOG, "/m/man"]


FSD = {
    "fsd50k/FSD50K.ground_truth/vocabulary.csv": f"0,Animal,{ANIMAL}\n1,Bark,{BARK}\n2,Dog,{DOG}\n",
    "fsd50k/FSD50K.ground_truth/dev.csv": "fname,labels,mids,split\n"
    f'64760,"Bark,Dog,Animal","{BARK},{DOG},{ANIMAL}",train\n16399,"Dog,Animal","{DOG},{ANIMAL}",val\n'
    f'7,Bark,{BARK},train\n"x/y",Bark,{BARK},train\n8,Bark,{DOG},train\n9,"Bark,Dog",{BARK},train\n10,Bark\n11,Bark,{BARK},test2\n',
    "fsd50k/FSD50K.ground_truth/eval.csv": f"fname,labels,mids\n37199,Bark,{BARK}\n",
    "fsd50k/FSD50K.metadata/collection/collection_dev.csv": f'fname,labels,mids\n64760,Bark,{BARK}\n16399,"Growling,Dog","/m/growl,{DOG}"\n7,Whimper,\n',  # noqa: E501
    "fsd50k/FSD50K.metadata/dev_clips_info_FSD50K.json": json.dumps(
        {
            "64760": {
                "title": "a",
                "license": "http://creativecommons.org/licenses/by/3.0/",
                "uploader": "Zoë",
            },
            "16399": {"license": "http://creativecommons.org/licenses/sampling+/1.0/", "uploader": "b"},
            "7": {"license": 5},
        }
    ),
    "fsd50k/FSD50K.metadata/pp_pnp_ratings_FSD50K.json": json.dumps(
        {"64760": {BARK: [1.0, 1.0, 0.5]}, "16399": {DOG: [0.5, 0.5], "/m/growl": [1.0]}, "7": {BARK: "?"}}
    ),
    "fsd50k/FSD50K.dev_audio/64760.wav": b"",
    "fsd50k/FSD50K.eval_audio/37199.wav": b"",
}


@pytest.mark.parametrize("copy", [False, True])
def test_fsd50k_of_zenodo_and_of_its_copy(tmp_path: Path, copy: bool) -> None:
    moved = {"FSD50K.ground_truth": "labels", "FSD50K.metadata": "metadata"}
    moved |= {"FSD50K.dev_audio": "clips/dev", "FSD50K.eval_audio": "clips/eval"}
    files = dict(FSD)
    for old, new in moved.items() if copy else ():
        files = {path.replace(old, new): content for path, content in files.items()}
    kept, rejected = read(write(tmp_path, files), fsd50k)
    clips = {row["clip_id"]: row for row in kept}
    assert list(clips) == ["fsd50k:64760", "fsd50k:16399", "fsd50k:7", "fsd50k:37199"]
    dog = clips["fsd50k:64760"]
    assert (dog["label_ids"], dog["labels"], dog["background_label_ids"]) == ([BARK], ["Bark"], [])
    assert (dog["licence"], dog["author"], dog["video_id"]) == ("cc-by-3.0", "Zoë", "freesound:64760")
    assert dog["clip_path"] == ("fsd50k/clips/dev/64760.wav" if copy else "fsd50k/FSD50K.dev_audio/64760.wav")
    growl = clips["fsd50k:16399"]
    assert (growl["label_ids"], growl["background_label_ids"]) == (["/m/growl", DOG], [DOG])
    assert (growl["licence"], growl["official_split"]) == ("cc-sampling+-1.0", "val")
    odd = clips["fsd50k:7"]
    assert (odd["label_ids"], odd["licence"], odd["background_label_ids"]) == (["Whimper"], None, None)
    assert clips["fsd50k:37199"]["official_split"] == "test"
    assert all(row["split_is_final"] for row in kept)
    assert [row["reason"] for row in rejected] == [
        "bad_row",
        "unknown_label",
        "bad_row",
        "bad_row",
        "bad_row",
    ]


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        ("FSD50K.ground_truth/vocabulary.csv", "Dog,/m/0bt9lr\n", "a number, a label and its MID are needed"),
        ("FSD50K.ground_truth/dev.csv", "fname,labels\n1,Dog\n", "no column mids, split"),
        ("FSD50K.ground_truth/dev.csv", b"\xff\xfef\0n\0", "UTF-16"),
        ("FSD50K.metadata/dev_clips_info_FSD50K.json", "{", "dev_clips_info_FSD50K.json, JSON"),
    ],
)
def test_a_wrong_file_of_fsd50k_is_named(
    tmp_path: Path, path: str, content: str | bytes, message: str
) -> None:
    root = write(tmp_path, {**FSD, f"fsd50k/{path}": content})
    with pytest.raises(CorpusError, match=message.replace("(", r"\(")):
        read(root, fsd50k)


def test_what_is_heard_in_the_background_is_dropped_unless_asked_for(tmp_path: Path) -> None:
    row = {"clip_id": "fsd50k:1", "corpus": "fsd50k", "label_id": DOG, "label": "Dog", "category": "dog"}
    row |= {"background_label_ids": [DOG], "clip_path": "a.wav", "licence": None}
    (tmp_path / "a.wav").touch()
    label_map = LabelMap("x", "1.0.0", links(("dog", "fsd50k", DOG), ("dog", "open_images", "/m/d")))
    table = pa.Table.from_pylist([row])
    dropped = pool.select_clips(table, str(tmp_path), Select(), label_map).rejected.to_pylist()
    assert [one["reason"] for one in dropped] == ["background_sound"]
    assert len(pool.select_clips(table, str(tmp_path), Select(background_sounds=True), label_map).kept) == 1


ESC_HEADER = "filename,fold,target,category,esc10,src_file,take\n"
ESC_LICENSE = """# ESC-50: Dataset for Environmental Sound Classification
## Licensing/attribution details for individual clips:

101 - Dog:
- [1-100032-A.ogg]: clip derived from rose (bark).wav (http://www.freesound.org/people/x/sounds/100032/) by n. [x] y [CC0]
- [5-9032-A.ogg]:  clip derived from b.wav (http://www.freesound.org/people/MisterTood/sounds/9032/) by MisterTood [CC-Sampling+]
"""  # noqa: E501


def test_esc50_keeps_folds_licences_and_authors(tmp_path: Path) -> None:
    rows = (
        "1-100032-A-0.wav,1,0,dog,True,100032,A\n4-5-B-14.wav,4,14,chirping_birds,False,5,B\n"
        "5-9032-A-0.wav,5,0,dog,True,9032,A\n5-1-A-0.wav,4,0,dog,True,1,A\n../x.wav,1,0,dog,True,1,A\n1-2-A-3.wav,1\n"
    )
    root = write(
        tmp_path,
        {
            "esc50/meta/esc50.csv": ESC_HEADER + rows,
            "esc50/LICENSE": ESC_LICENSE,
            "esc50/audio/1-100032-A-0.wav": b"",
        },
    )
    kept, rejected = read(root, esc50)
    found = [
        (row["clip_id"], row["label_ids"], row["official_split"], row["licence"], row["author"])
        for row in kept
    ]
    assert found == [
        ("esc50:1-100032-A-0", ["0"], "train", "cc0", "n. [x] y"),
        ("esc50:4-5-B-14", ["14"], "val", "cc-by-nc-3.0", None),
        ("esc50:5-9032-A-0", ["0"], "test", "cc-sampling+", "MisterTood"),
    ]
    assert kept[0]["clip_path"] == "esc50/audio/1-100032-A-0.wav"
    assert kept[0]["url"] == "http://www.freesound.org/people/x/sounds/100032/"
    assert [row["reason"] for row in rejected] == ["bad_row"] * 3
    assert {(one.source_id, one.name) for one in esc50.labels(root)} == {
        ("0", "dog"),
        ("14", "chirping_birds"),
    }


@pytest.mark.parametrize("rate_hz", [16_000, 44_100])
def test_zeros_that_fill_a_clip_up_are_left_out(tmp_path: Path, rate_hz: int) -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 2 * rate_hz)
    padded = np.concatenate([noise, np.zeros(3 * rate_hz)])
    soundfile.write(tmp_path / "a.wav", padded, rate_hz, subtype="PCM_16")
    rules = {"min_duration_s": 1.0, "max_duration_s": 60.0, "silence_peak": 0.001}
    trimmed = decoder.clip(str(tmp_path / "a.wav"), is_padded=True, **rules)
    assert trimmed.duration_s == pytest.approx(2.0, abs=0.02)
    assert decoder.clip(str(tmp_path / "a.wav"), **rules).duration_s == 5.0
    samples, _ = soundfile.read(io.BytesIO(trimmed.flac))
    whole, _ = soundfile.read(io.BytesIO(decoder.clip(str(tmp_path / "a.wav"), **rules).flac))
    np.testing.assert_array_equal(samples, whole[: len(samples)])
    assert not whole[len(samples) :].any()
    soundfile.write(tmp_path / "zero.wav", np.zeros(rate_hz), rate_hz)
    with pytest.raises(decoder.Rejected, match=r"0\.000 s"):
        decoder.clip(str(tmp_path / "zero.wav"), is_padded=True, **rules)


def test_official_splits_are_kept_and_no_recording_is_in_two() -> None:
    def clip(name: str, recording: str, official: str | None, final: bool) -> dict:
        about = {"clip_id": name, "video_id": recording, "recording": recording, "category": "dog"}
        return about | {"official_split": official, "split_is_final": final}

    rows = [
        clip("a", "freesound:1", "train", True), clip("b", "freesound:1", "test", True),
        clip("c", "freesound:2", "val", True), clip("d", "freesound:2", "val", True),
        clip("e", "freesound:3", "train", True), clip("f", "video", "test", False), clip("g", "video", "train", False),
        *(clip(f"own{n}", f"own{n}", None, False) for n in range(300)),
    ]  # fmt: skip
    sizes = Split(train=8, val=1, test=1)
    outcome = split.split_clips(pa.Table.from_pylist(rows), frozenset(), 0, sizes)
    found = {row["clip_id"]: row["split"] for row in outcome.kept.to_pylist()}
    assert [found.get(name) for name in "abcde"] == [None, "test", "val", "val", "train"]
    assert found["f"] == found["g"] != "train"
    assert {row["item"]: row["reason"] for row in outcome.rejected.to_pylist()} == {"a": "no_split"}
    own = [found[f"own{n}"] for n in range(300)]
    assert 200 < own.count("train") < 280
    assert own.count("val") > 10 < own.count("test")
    no_val = split.split_clips(pa.Table.from_pylist(rows[2:4]), frozenset(), 0, Split(train=8, val=0, test=1))
    assert set(no_val.rejected["reason"].to_pylist()) == {"no_split"}
