"""AVS-Synthetic as its authors' loader reads it: columns by position, `validate`, and the pickle of each class."""

import collections
import io
import os
import pickle

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from test_imports import mask, picture, table, wav

from pipelines import cli
from pipelines.imports import avs_synthetic, plain_pickle
from pipelines.imports.planned import LayoutError
from shards.hashing import pair, pool_hashes
from shards.reader import Dataset
from shards.verify import verify

HEADER = ["id", "image", "w", "h", "name", "label", "source", "split", "sound"]  # only `split` is certain
CLASSES = {"3": "computer keyboard", "11": "dog"}
POOLS = {3: ["key_a", "key_b"], 11: ["dog_a", "dog_b.wav", "dog_c", "dog_gone", "dog_test"]}


def run(*arguments, ok=True):
    result = CliRunner().invoke(cli.main, ["import", "avs-synthetic", *map(str, arguments)])
    assert (result.exit_code == 0) == ok, result.output
    return result.output


def tone(name):
    """A sound of its own for each clip."""
    pitch = 200 + 37 * (sum(name.encode()) % 40)
    return (0.3 * np.sin(2 * np.pi * pitch * np.arange(40000) / 16000)).astype(np.float32)


@pytest.fixture
def release(tmp_path):
    """Twelve samples of train without a sound of their own, and two each of validate and test with one."""
    root = tmp_path / "release"
    rows = [
        [f"t{i}", f"p{i}", 300, 200, CLASSES[c], c, "lvis", "train", ""]
        for i, c in enumerate(["3", "11"] * 6)
    ]
    rows += [[f"v{i}", f"q{i}", 300, 200, "dog", "11", "lvis", "validate", f"dog_val{i}"] for i in range(2)]
    rows += [[f"e{i}", f"r{i}", 300, 200, "dog", "11", "oi", "test", "dog_test"] for i in range(2)]
    root.mkdir()
    table(root / "annotations.csv", HEADER, rows)
    for instance, image, *_ in rows:
        picture(root / f"images/{image}.jpg", (300, 200), "JPEG")
        mask(root / f"masks/{instance}.png", size=(300, 200))
    for name in ("key_a", "key_b", "dog_a", "dog_b", "dog_c", "dog_val0", "dog_val1", "dog_test"):
        wav(root / f"audios/{name}.wav", tone(name))
    (root / "category_for_vggsound_audios.pkl").write_bytes(pickle.dumps(POOLS))
    return root


def test_every_row_is_kept_and_the_pool_of_a_class_has_all_its_clips(release, tmp_path):
    mask(release / "masks/t0.png", size=(300, 200), empty=True)
    said = run(release, "--out", tmp_path / "out")
    assert "15 samples" in said
    assert verify(str(tmp_path / "out")) == []
    dataset = Dataset(str(tmp_path / "out"))
    rows = dataset.table().to_pylist()
    assert collections.Counter(row["split"] for row in rows) == {"train": 11, "val": 2, "test": 2}
    clips = {row["clip_id"]: row for row in dataset.table("pool.parquet").to_pylist()}
    pools = collections.defaultdict(set)
    for clip_id, clip in clips.items():
        for category in clip["categories"]:
            pools[clip["split"], category].add(clip_id.removeprefix("avs_synthetic:"))
    assert pools["train", "computer_keyboard"] == {"key_a", "key_b"}
    assert pools["train", "dog"] == {"dog_a", "dog_b", "dog_c"}  # dog_test is heard in test alone
    assert pools["val", "dog"] == {"dog_val0", "dog_val1"}
    assert pools["test", "dog"] == {"dog_test"}
    lost = dataset.table("rejections.parquet").to_pylist()
    assert {(row["item"].partition("|")[0], row["reason"]) for row in lost} == {
        ("avs_synthetic:dog_gone", "clip_missing"),
        ("avs_synthetic:p0", "mask_empty"),
    }
    for step in dataset.manifest.funnel:
        assert step["in"] == step["kept"] + sum(step["rejected"].values())


def test_a_sample_of_train_hears_what_a_trainer_draws_in_epoch_0(release, tmp_path):
    run(release, "--out", tmp_path / "out")
    for sample in Dataset(str(tmp_path / "out")).samples():
        heard = sample.record["audio"]["id"]
        if sample.record["split"] == "train":
            names = {"dog": ["dog_a", "dog_b", "dog_c"], "computer_keyboard": ["key_a", "key_b"]}
            pool = sorted(f"avs_synthetic:{name}" for name in names[sample.record["category"]])
            assert heard == pool[pair(0, 0, sample.record["sample_id"], pool_hashes(pool))]
        pcm = soundfile.read(io.BytesIO(sample.flac))[0]
        assert np.abs(pcm - tone(heard.removeprefix("avs_synthetic:"))).max() < 1e-3


def test_a_clip_that_comes_later_is_paired_as_if_it_had_been_there(release, tmp_path):
    run(release, "--out", tmp_path / "out")
    wav(release / "audios/dog_gone.wav", tone("dog_gone"))
    run(release, "--out", tmp_path / "out")
    run(release, "--out", tmp_path / "new")
    for name in ("samples.parquet", "pool.parquet", "manifest.json"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "new" / name).read_bytes()
    assert verify(str(tmp_path / "out")) == []


def test_without_the_pickle_rows_need_a_sound_and_most_are_dropped_loudly(release, tmp_path):
    (release / "category_for_vggsound_audios.pkl").unlink()
    said = run(release, "--out", tmp_path / "out", ok=False)
    assert "dropped 12 of 16 samples of all" in said
    assert "10% may be" in said
    assert not (tmp_path / "out" / "manifest.json").exists()
    assert "4 samples" in run(release, "--out", tmp_path / "out", "--may-drop", 0.8)
    lost = Dataset(str(tmp_path / "out")).table("rejections.parquet").to_pylist()
    assert all("category_for_vggsound_audios.pkl has no clips of class" in row["detail"] for row in lost)


def test_a_split_that_ends_empty_is_an_error(release, tmp_path):
    for name in ("dog_val0", "dog_val1"):
        (release / f"audios/{name}.wav").unlink()
    said = run(release, "--out", tmp_path / "out", "--may-drop", 0.5, ok=False)
    assert "dropped 2 of 2 samples of val" in said
    assert (tmp_path / "out" / "rejections.parquet").exists()
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_names_win_over_places_and_an_unknown_header_is_refused(release, tmp_path):
    named = ["inst_id", "split", "audio_name", "img_id", "cls_id", "cls_name"]
    table(release / "annotations.csv", named, [["t0", "validate", "dog_a", "p0", "11", "dog"]])
    (found,) = avs_synthetic.read(str(release)).samples
    assert (found.split, found.audio_path, found.image_path) == ("val", "audios/dog_a.wav", "images/p0.jpg")
    table(release / "annotations.csv", HEADER[:8], [["t0"] * 8])
    with pytest.raises(LayoutError, match=r"or nine columns in the order of the release"):
        avs_synthetic.read(str(release))


class Runs:
    def __reduce__(self):
        return (os.system, ("touch ran",))


class Refers(pickle.Pickler):
    def persistent_id(self, value):
        return "outside" if value == "here" else None


def referring():
    file = io.BytesIO()
    Refers(file).dump({"here": 1})
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (pickle.dumps({3: Runs()}), r"asks for (posix|nt)\.system"),
        (pickle.dumps({3: Runs()}, protocol=0), r"asks for (posix|nt)\.system"),
        (pickle.dumps(collections.OrderedDict()), r"asks for collections\.OrderedDict"),
        (pickle.dumps({3: np.arange(3)}), "asks for numpy"),
        (pickle.dumps({3: b"x"}), "holds a bytes"),
        (pickle.dumps({3: [{"a"}]}), "holds a set"),
        (referring(), "refers to 'outside'"),
        (pickle.dumps(POOLS)[:-9], "no pickle that can be read"),
        (b"", "no pickle that can be read"),
        (b"no pickle", "no pickle that can be read"),
        (b"\x80\x04" + b"(" * 200_000, "no pickle that can be read"),
        (b"\x80\x02]r\xff\xff\xff\x7f.", "a number of a value beyond its length"),
        (pickle.dumps([1]), "holds a list: a dict of class ids"),
        (pickle.dumps({3: "abc"}), "is no list of names"),
        (pickle.dumps({3: [7]}), "is no list of names"),
    ],
)
def test_nothing_in_the_pickle_is_run(release, tmp_path, monkeypatch, content, said):
    monkeypatch.chdir(tmp_path)
    (release / "category_for_vggsound_audios.pkl").write_bytes(content)
    with pytest.raises(LayoutError, match=said):
        avs_synthetic.read(str(release))
    assert not (tmp_path / "ran").exists()


def test_plain_values_are_read_whatever_their_protocol(tmp_path):
    value = {1: ["a", "ü"], "2": ("b",), 3.5: [], "deep": {"x": [1, 2.5, True, None]}}
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        (tmp_path / "p.pkl").write_bytes(pickle.dumps(value, protocol=protocol))
        assert plain_pickle.read(str(tmp_path / "p.pkl")) == value
    own = []
    own.append(own)
    (tmp_path / "p.pkl").write_bytes(pickle.dumps(own))
    assert len(plain_pickle.read(str(tmp_path / "p.pkl"))) == 1
