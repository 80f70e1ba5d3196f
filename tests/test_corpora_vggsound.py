"""VGGSound: the list of clips against the csv module, and every way its rows can be wrong."""

import csv
import os
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner
from real_data import DATA

from pipelines.build import index
from pipelines.cli import main
from pipelines.corpora import vggsound
from pipelines.corpora.records import CLIPS
from pipelines.corpora.source import CorpusError
from shards.tables import REJECTIONS

MINI = DATA / "mini"


def write(root: Path, text: str | bytes, licences: str | None = None, clips: tuple[str, ...] = ()) -> str:
    folder = root / "vggsound"
    (folder / "clips").mkdir(parents=True, exist_ok=True)
    (folder / "vggsound.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    if licences is not None:
        (folder / "clip_licences.csv").write_text(licences)
    for clip in clips:
        (folder / "clips" / clip).touch()
    return str(root)


def read(corpora: str) -> tuple[list[dict], list[dict]]:
    kept, rejected = [], []
    for source in vggsound.sources(corpora):
        for part in vggsound.read(source, corpora):
            assert part.rows == len(part.kept) + len(part.rejected)
            assert part.kept.schema == CLIPS
            assert part.rejected.schema == REJECTIONS
            kept.append(part.kept)
            rejected += part.rejected.to_pylist()
    return pa.Table.from_batches(kept, CLIPS).to_pylist(), rejected


@pytest.mark.skipif(not MINI.exists(), reason="no real data beside the checkout")
def test_real_clips_are_those_of_the_csv_module():
    rows, rejected = read(str(MINI))
    folder = MINI / "vggsound"
    terms = {row["file"]: row for row in csv.DictReader((folder / "clip_licences.csv").open())}
    spelling = {"CC-BY": "cc-by", "CC0": "cc0", "GPL-3+": "gpl-3.0-or-later"}
    expected = []
    for video, start, label, split in csv.reader((folder / "vggsound.csv").open()):
        file = next((folder / "clips").glob(f"{video}_{int(start):06d}.*")).name
        expected.append(
            {
                "clip_id": f"vggsound:{video}_{int(start):06d}",
                "corpus": "vggsound",
                "video_id": video,
                "start_s": float(start),
                "label_ids": [label],
                "labels": [label],
                "background_label_ids": None,
                "official_split": split,
                "split_is_final": False,
                "clip_path": f"vggsound/clips/{file}",
                "part_start_s": None,
                "part_end_s": None,
                "longest_s": None,
                "is_padded": False,
                "licence": spelling[terms[file]["licence"]],
                "author": terms[file]["origin"],
                "url": None,
            }
        )
    assert rows == expected
    assert not rejected


@pytest.mark.skipif(not DATA.exists(), reason="no real data beside the checkout")
def test_all_real_rows_fit(tmp_path):
    text = (DATA / "vggsound" / "vggsound_labelled_subset.csv").read_text()
    rows, rejected = read(write(tmp_path, text))
    assert not rejected
    found = [
        (row["video_id"], f"{row['start_s']:.0f}", row["label_ids"][0], row["official_split"]) for row in rows
    ]
    assert found == [tuple(row) for row in csv.reader(text.splitlines())]
    assert all(row["url"] == f"https://www.youtube.com/watch?v={row['video_id']}" for row in rows)
    assert len({row["clip_id"] for row in rows}) == len(rows)


def test_labels_hold_commas_quoted_or_not(tmp_path):
    lines = [
        'a,1,"playing violin, fiddle",train',
        "b,2,female speech, woman speaking,test",
        'c,3,"say ""hi""",train',
    ]
    rows, rejected = read(write(tmp_path, "\n".join(lines)))
    assert [row["label_ids"][0] for row in rows] == [
        "playing violin, fiddle",
        "female speech, woman speaking",
        'say "hi"',
    ]
    assert not rejected


@pytest.mark.parametrize(
    "header", ["id,start,label,split", "# YouTube ID, start seconds, label, train/test split."]
)
def test_a_header_a_byte_order_mark_and_line_ends_are_fine(tmp_path, header):
    rows, rejected = read(
        write(tmp_path, f"\ufeff{header}\r\na,1,dog barking,train\r\n\r\nb,2,cat purring,test")
    )
    assert [(row["video_id"], row["official_split"]) for row in rows] == [("a", "train"), ("b", "test")]
    assert not rejected


def test_ids_with_dashes_and_underscores_find_their_media(tmp_path):
    clips = (
        "-_x-y_z_abc_000030.m4a",
        "x_000000_000007.ogg",
        "x_000000_000007.WAV",
        "x_000000_000007.json",
        "y_000001",
    )
    text = "-_x-y_z_abc,30,a,train\nx_000000,7,a,train\ny,1,a,train\nz,999999,a,train\n"
    rows, _ = read(write(tmp_path, text, clips=clips))
    assert [row["clip_path"] for row in rows] == [
        "vggsound/clips/-_x-y_z_abc_000030.m4a",
        "vggsound/clips/x_000000_000007.WAV",
        "vggsound/clips/y_000001",
        None,
    ]
    assert rows[0]["url"] == "https://www.youtube.com/watch?v=-_x-y_z_abc"
    assert rows[1]["url"] is None
    assert rows[3]["clip_id"] == "vggsound:z_999999"


A, B = "-3Bn-Nt_8aG", "x_000000_30"  # the second looks as if a start were in it


@pytest.mark.parametrize(
    "file",
    [
        "{}_000030.mp4", "{}_30.wav", "{}_0030.wav", "{}_30_40.mp4", "{}_000030_000040.mp4", "{}_30_35.MKV",
        "{}_30.au", "{}_000030.w64", "{}_30_40.m2ts", "{}_30.mpga", "{}_30.xyz", "{}_30.0.ogg", "{}_30.0_40.0.ogg",
        "{}_30", "{}_30000_40000.mp4", "train/{}_000030.mp4", "train/dog barking/{}_30_40.webm",
        "a/b/c/{}_30000_40000.opus",
    ],
)  # fmt: skip
@pytest.mark.parametrize("video", [A, B])
def test_clips_are_found_under_their_common_names(tmp_path, video, file):
    file = file.format(video)
    (tmp_path / "vggsound" / "clips" / file).parent.mkdir(parents=True)
    others = (f"{A}_31_41.mp4", f"{B}_40.wav", f"{A}_3_13.mp4", "y_30.mp4")
    text = f"{A},30,dog barking,train\n{B},30,dog barking,train\n"
    rows, rejected = read(write(tmp_path, text, clips=(file, *others)))
    found = {row["video_id"]: row["clip_path"] for row in rows}
    assert found == {A: None, B: None} | {video: f"vggsound/clips/{file}"}
    assert not rejected


def notes(corpora: str) -> list[str]:
    return [note for part in vggsound.read(vggsound.sources(corpora)[0], corpora) for note in part.notes]


def test_of_several_files_the_first_of_the_order_is_read(tmp_path):
    text = "abc,30,a,train\n"
    order = ["abc_000030.wav", "abc_30.wav", "abc_30_40.wav", "abc_30000_40000.wav"]
    (tmp_path / "vggsound" / "clips" / "a").mkdir(parents=True)
    for number in range(len(order)):
        files = order[number:]
        corpora = write(tmp_path, text, clips=(*files, f"a/{files[0]}", f"a/{files[-1]}"))
        rows, _ = read(corpora)
        assert rows[0]["clip_path"] == f"vggsound/clips/{files[0]}"
        (note,) = notes(corpora)
        spare = len({*files, f"a/{files[0]}", f"a/{files[-1]}"}) - 1
        assert note.startswith(f"{spare} file(s) below vggsound/clips are for clips that have another file")
        assert f"{files[0]} is read, not a/" in note
        for path in (tmp_path / "vggsound" / "clips").rglob("*.wav"):
            path.unlink()


def test_a_name_that_fits_two_rows_goes_to_one(tmp_path):
    """`x_000020_000030` is 20 to 30 s of x, or 30 s of x_000020: the row that is there decides, else the latter."""
    name = "x_000020_000030.wav"
    rows, _ = read(write(tmp_path / "1", "x,20,a,train\n", clips=(name,)))
    assert rows[0]["clip_path"] == f"vggsound/clips/{name}"
    rows, _ = read(write(tmp_path / "2", "x,20,a,train\nx_000020,30,a,train\n", clips=(name,)))
    assert [row["clip_path"] for row in rows] == [None, f"vggsound/clips/{name}"]
    # 20000_30000: milliseconds, even where a clip starts 20,000 s into its video
    rows, _ = read(write(tmp_path / "3", "x,20000,a,train\nx,20,a,train\n", clips=("x_20000_30000.wav",)))
    assert [row["clip_path"] for row in rows] == [None, "vggsound/clips/x_20000_30000.wav"]


def test_files_of_no_row_are_counted_and_one_is_named(tmp_path):
    (tmp_path / "vggsound" / "clips" / "b").mkdir(parents=True)
    clips = ("abc_30.wav", "abc_31.wav", "b/zzz_30.mp4", "abc_30500_40500.wav", "notes.txt", "abc.wav")
    corpora = write(tmp_path, "abc,30,a,train\n", clips=clips)
    note, other = notes(corpora)
    assert other.startswith("1 file(s) below vggsound/clips are by their names neither sound nor video")
    assert other.endswith("the first is notes.txt")
    assert note.startswith(
        "4 file(s) below vggsound/clips are no clip of vggsound.csv, the first is abc.wav:"
    )
    result = index.index(corpora, str(tmp_path / "index"))
    assert result.notes == (note, other)
    assert result.counts["vggsound"] == index.Count(1, 1, {})
    printed = CliRunner().invoke(main, ["index", "--corpora", corpora, "--out", str(tmp_path / "again")])
    assert note in printed.output
    assert notes(write(tmp_path / "other", "abc,30,a,train\n", clips=("abc_30.wav",))) == []


def test_links_that_lead_round_and_odd_names_stop_nothing(tmp_path):
    clips = tmp_path / "vggsound" / "clips"
    (clips / "a").mkdir(parents=True)
    (clips / "a" / "up").symlink_to(clips)
    (clips / "back\\slash").mkdir()
    (clips / "back\\slash" / "abc_30.wav").touch()
    open(os.fsencode(str(clips)) + b"/abc\xff_30.wav", "w").close()
    (clips / "gone_30.wav").symlink_to(tmp_path / "nowhere")
    rows, _ = read(write(tmp_path, "abc,30,a,train\n", clips=("a/abc_000030.wav",)))
    assert rows[0]["clip_path"] == "vggsound/clips/a/abc_000030.wav"


@pytest.mark.parametrize(
    "line",
    [
        "abc,30,{},train",
        "abc, 30, {}, train",
        " abc ,30 ,{} ,train ",
        '"abc", "30", "{}", "train"',
        '\tabc,\t30,\t"{}",\ttrain',
        'abc,30,"{}",train',
    ],
)
@pytest.mark.parametrize("label", ["dog barking", "female speech, woman speaking"])
def test_spaces_around_values_do_not_count(tmp_path, line, label):
    rows, rejected = read(write(tmp_path, line.format(label) + "\n", clips=("abc_000030.wav",)))
    assert not rejected
    found = [
        (row["clip_id"], row["video_id"], row["start_s"], row["label_ids"][0], row["official_split"])
        for row in rows
    ]
    assert found == [("vggsound:abc_000030", "abc", 30.0, label, "train")]
    assert rows[0]["clip_path"]
    assert [one.label for one in vggsound.CORPUS.vocabulary.corpora(str(tmp_path))] == [label]


def test_licences_of_clips_in_folders(tmp_path):
    (tmp_path / "vggsound" / "clips" / "a").mkdir(parents=True)
    terms = "file,category,licence,origin\na/abc_30.wav,x,CC0,one\ndef_30.wav,x,CC-BY,two\n"
    text = "abc,30,a,train\ndef,30,a,train\n"
    rows, _ = read(write(tmp_path, text, terms, clips=("a/abc_30.wav", "a/def_30.wav")))
    assert [(row["licence"], row["author"]) for row in rows] == [("cc0", "one"), ("cc-by", "two")]


def test_licences_and_their_faults(tmp_path):
    licences = (
        'file,category,licence,origin\na_000001.wav,cow,CC0,"freesound, 1"\nbad\nb_000001.wav,cow,mine,\n'
    )
    clips = ("a_000001.wav", "b_000001.wav", "c_000001.wav")
    rows, rejected = read(write(tmp_path, "a,1,x,train\nb,1,x,train\nc,1,x,train", licences, clips))
    assert [(row["licence"], row["author"]) for row in rows] == [
        ("cc0", "freesound, 1"),
        (None, None),
        (None, None),
    ]
    assert [(row["item"], row["reason"]) for row in rejected] == [("vggsound/clip_licences.csv:3", "bad_row")]


def test_bad_rows_are_rejections_with_their_reason(tmp_path):
    lines = {
        b"good,1,a,train": None,
        b"short,1,train": "bad_row",
        b"late,1000000,a,train": "bad_row",
        b"early,-1,a,train": "bad_row",
        b"part,1.5,a,train": "bad_row",
        b"word,one,a,train": "bad_row",
        b"split,1,a,validation": "bad_row",
        b"label,1, ,train": "bad_row",
        b'open,1,"a,train': "bad_row",
        b"nul\0,1,a,train": "bad_row",
        b"latin\xe9,1,a,train": "bad_row",
        b"long," + b"x" * 10_000: "bad_row",
        b"../up,1,a,train": "hostile_name",
        b"/root,1,a,train": "hostile_name",
        b",1,a,train": "hostile_name",
        b"last,2,a,test": None,
    }
    rows, rejected = read(write(tmp_path, b"\n".join(lines)))
    assert [row["video_id"] for row in rows] == ["good", "last"]
    found = {row["item"]: row["reason"] for row in rejected}
    path = "vggsound/vggsound.csv"
    assert found == {f"{path}:{n}": reason for n, reason in enumerate(lines.values(), start=1) if reason}


def test_many_rows_come_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(vggsound, "_ROWS", 10)
    corpora = write(tmp_path, "".join(f"v{n},{n},a,train\n" for n in range(35)))
    parts = list(vggsound.read(vggsound.sources(corpora)[0], corpora))
    assert [part.rows for part in parts] == [10, 10, 10, 5]
    assert parts[-1].position == (tmp_path / "vggsound/vggsound.csv").stat().st_size


@pytest.mark.parametrize(
    "text", [b"", b"\n\n", b'{"a": 1}', b"\x00" * 100_000, b"id,start,label,split\n", b"\xff\xfe" * 9]
)
def test_a_file_without_a_single_row_is_an_error(tmp_path, text):
    with pytest.raises(CorpusError, match="no row is `video id,start,label,split`"):
        read(write(tmp_path, text))


@pytest.mark.parametrize("text", ["", "file,licence\n"])
def test_a_licence_table_with_other_columns_is_an_error(tmp_path, text):
    with pytest.raises(CorpusError, match="expected the columns file, category, licence, origin"):
        read(write(tmp_path, "a,1,x,train", text))


def test_no_list_no_source(tmp_path):
    assert vggsound.sources(str(tmp_path)) == []
