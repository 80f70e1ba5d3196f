"""The loader against a plain loop over the order: same batches whatever the ranks, workers and place of resume."""

import io

import numpy as np
import pytest
import torch
from generated_shards import spoil, write_dataset
from PIL import Image

from avs_train.data.embeddings import EmbeddingError, Embeddings, load_embeddings
from avs_train.data.loader import CorruptDataError, Loader
from avs_train.data.order import epoch_order
from avs_train.data.pairing import frozen, repaired, silent, swapped
from avs_train.data.samples import differences, few_shot, open_split
from avs_train.data.shard_files import ShardError, ShardFiles
from shards.hashing import pair, pool_hashes
from shards.manifest import DatasetError
from shards.reader import Dataset


class BandEncoder:
    """128 sums of |FFT|: cheap ears for tests."""

    fingerprint = "bands"

    def __call__(self, waveform):
        spectrum = torch.fft.rfft(waveform).abs()[:7680]
        return spectrum.reshape(128, 60).sum(1)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data"), {"train": 50, "val": 7})


def open_loader(url, split="train", tmp="/nonexistent", hearing=frozen, **options):
    found = open_split(url, split) if isinstance(split, str) else split
    files = ShardFiles(url, found.shards, tmp, 10**9, retries=options.pop("retries", 0))
    settings = {"size": 32, "mask_size": 32, "workers": 0} | options
    return Loader(found, files, Embeddings(BandEncoder()), hearing=hearing, **settings)


def batches(loader, start=0, stop=15, rank=0, world=1, batch_size=8):
    return list(loader.training(start, stop, seed=5, batch_size=batch_size, window=2, rank=rank, world=world))


def joint(parts):
    """The global batches of several ranks' batches: per step, all keys in order of rank."""
    return [tuple(key for rank in step for key in rank.keys) for step in zip(*parts, strict=True)]


@pytest.mark.parametrize(("world", "workers"), [(1, 0), (1, 3), (2, 0), (2, 3), (4, 2), (8, 1)])
def test_global_batches_do_not_depend_on_ranks_or_workers(dataset, world, workers):
    split = open_split(dataset, "train")
    keys = split.table.column("key").to_pylist()
    expected = []
    for step in range(15):  # 6 batches an epoch: the third epoch is cut
        order = epoch_order(5, step // 6, split.shard_sizes, 2)
        expected.append(tuple(keys[row] for row in order[step % 6 * 8 : step % 6 * 8 + 8]))
    parts = [batches(open_loader(dataset, workers=workers), rank=rank, world=world) for rank in range(world)]
    assert joint(parts) == expected
    assert {len(batch.keys) for part in parts for batch in part} == {8 // world}


@pytest.mark.parametrize("cut", [1, 5, 6, 7, 11, 14])
@pytest.mark.parametrize("world", [1, 2, 4])
def test_resuming_anywhere_with_other_ranks_goes_on_with_the_same_batches(dataset, cut, world):
    whole = joint([batches(open_loader(dataset))])
    rest = joint(
        [batches(open_loader(dataset, workers=2), start=cut, rank=r, world=world) for r in range(world)]
    )
    assert rest == whole[cut:]


def test_workers_change_no_byte(dataset):
    alone, many = batches(open_loader(dataset)), batches(open_loader(dataset, workers=4, prefetch=3))
    for one, other in zip(alone, many, strict=True):
        assert torch.equal(one.image, other.image)
        assert torch.equal(one.mask, other.mask)
        assert one.clips == other.clips
        assert all(np.array_equal(one.waveforms[clip], other.waveforms[clip]) for clip in one.waveforms)


def test_an_epoch_repeats_no_sample(dataset):
    keys = [key for batch in batches(open_loader(dataset), stop=6) for key in batch.keys]
    assert len(set(keys)) == len(keys) == 48


def test_pictures_are_what_pillow_reads(dataset):
    samples = {sample.key: sample for sample in Dataset(dataset).samples("train")}
    batch = batches(open_loader(dataset, size=96, mask_size=96), stop=1)[0]
    for key, image, mask in zip(batch.keys, batch.image.numpy(), batch.mask.numpy(), strict=True):
        assert np.array_equal(image, np.asarray(Image.open(io.BytesIO(samples[key].jpg)).convert("RGB")))
        assert np.array_equal(mask * 255, np.asarray(Image.open(io.BytesIO(samples[key].mask_png))))
    assert set(np.unique(batch.mask.numpy())) == {0, 1}


def test_evaluation_covers_every_sample_once_over_ranks(dataset):
    for world in (1, 2, 3):
        rows = [
            r
            for rank in range(world)
            for b in open_loader(dataset, "val").evaluation(2, rank, world)
            for r in b.rows
        ]
        assert sorted(rows) == list(range(7))


def test_repaired_clips_follow_the_format(dataset):
    """Epoch 0 is the pairing in the shards; later epochs are `pair` over the sorted pool."""
    split = open_split(dataset, "train")
    hear = repaired(split.clips, split.pairing_seed)
    rows = [split.row(index) for index in range(len(split))]
    assert all(hear(row, 0) == row.clip_id for row in rows)
    pool_rows = Dataset(dataset).table("pool.parquet").to_pylist()
    for row in rows[:10]:
        ids = sorted(
            clip["clip_id"]
            for clip in pool_rows
            if clip["split"] == "train" and row.category in clip["categories"]
        )
        assert hear(row, 4) == ids[pair(0, 4, row.sample_id, pool_hashes(ids))]
    assert any(hear(row, 1) != row.clip_id for row in rows)


def test_swapped_clips_are_of_another_category(dataset):
    split = open_split(dataset, "val")
    hear = swapped(split.clips, 0)
    for index in range(len(split)):
        row = split.row(index)
        assert hear(row, 0) in split.clips.members
        assert hear(row, 0) not in split.clips.pools.of(split.name, row.category)


def test_embedding_ahead_or_on_the_fly_gives_the_same_numbers(dataset, tmp_path):
    split = open_split(dataset, "train")
    loader = open_loader(dataset, hearing=repaired(split.clips, 0))
    on_the_fly = [loader.embeddings.resolve(batch.clips, batch.waveforms) for batch in batches(loader)]
    loader.embeddings.save(str(tmp_path / "table.parquet"))
    loader.embeddings = load_embeddings(str(tmp_path / "table.parquet"), BandEncoder())
    for batch, expected in zip(batches(loader), on_the_fly, strict=True):
        assert batch.waveforms == {}
        assert torch.equal(loader.embeddings.resolve(batch.clips, {}), expected)


def test_a_table_of_other_ears_is_refused(dataset, tmp_path):
    Embeddings(BandEncoder(), {"a": torch.zeros(128)}).save(str(tmp_path / "table.parquet"))
    other = BandEncoder()
    other.fingerprint = "vggish-abc"
    with pytest.raises(EmbeddingError, match="was made by 'bands', this run hears with 'vggish-abc'"):
        load_embeddings(str(tmp_path / "table.parquet"), other)


def test_silence_is_zeros(dataset):
    batch = next(iter(open_loader(dataset, "val", hearing=silent).evaluation(2)))
    assert batch.clips == ("", "")
    assert not batch.waveforms[""].any()


def test_few_shot_takes_whole_videos_and_grows(dataset):
    split = open_split(dataset, "train")
    videos = split.table.column("video_id").to_pylist()
    small, large = few_shot(split, 0.3), few_shot(split, 0.6)
    taken = set(small.table.column("video_id").to_pylist())
    assert len(taken) == round(0.3 * len(set(videos)))
    assert len(small) == sum(video in taken for video in videos)
    assert taken < set(large.table.column("video_id").to_pylist())
    assert sum(small.shard_sizes) == len(small)


@pytest.mark.parametrize("extension", ["jpg", "mask.png", "flac"])
def test_a_corrupt_sample_is_counted_named_and_replaced(tmp_path, extension):
    url = write_dataset(tmp_path, {"train": 20})
    whole = batches(open_loader(url), stop=2)
    spoiled = whole[0].keys[3]
    shard = spoil(url, spoiled, extension)
    for workers in (0, 3):
        loader = open_loader(url, tolerance=0.05, workers=workers)
        found = batches(loader, stop=2)
        assert list(loader.corruption.found) == [spoiled]
        assert shard in loader.corruption.found[spoiled]
        assert spoiled not in found[0].keys
        assert found[0].keys[3] == whole[0].keys[4]  # the next of the epoch stands in
        assert found[1].keys == whole[1].keys


def test_more_corruption_than_allowed_stops_and_names_it(tmp_path):
    url = write_dataset(tmp_path, {"train": 20})
    key = batches(open_loader(url), stop=1)[0].keys[3]
    spoil(url, key)
    with pytest.raises(CorruptDataError, match=rf"1 corrupt samples, 0 allowed.*{key}"):
        batches(open_loader(url, workers=2), stop=1)


def test_evaluation_leaves_corrupt_samples_out(tmp_path):
    url = write_dataset(tmp_path, {"val": 6})
    key = open_split(url, "val").row(2).key
    spoil(url, key)
    loader = open_loader(url, "val", tolerance=0.5)
    assert [row for batch in loader.evaluation(1) for row in batch.rows] == [0, 1, 3, 4, 5]
    assert list(loader.corruption.found) == [key]


@pytest.mark.parametrize("harm", ["missing", "truncated"])
def test_a_bad_shard_is_an_error_that_names_it(tmp_path, harm):
    url = write_dataset(tmp_path, {"train": 20})
    split = open_split(url, "train")
    shard = tmp_path / split.row(batches(open_loader(url), stop=1)[0].rows[0]).jpg.shard
    shard.unlink() if harm == "missing" else shard.write_bytes(shard.read_bytes()[:-2000])
    with pytest.raises(ShardError, match=f"{shard.name} cannot be read after 2 tries"):
        batches(open_loader(url, workers=2, retries=1), stop=2)


def test_other_data_is_told_apart(tmp_path, dataset):
    here = open_split(dataset, "train").identity()
    assert differences(here, here) == []
    moved = write_dataset(tmp_path / "same", {"train": 50, "val": 7})
    assert differences(here, open_split(moved, "train").identity()) == []
    other = open_split(write_dataset(tmp_path / "other", {"train": 51}), "train").identity()
    lines = differences(here, other)
    assert "samples: 50 then, 51 now" in lines
    assert any("shards changed: train/train-" in line for line in lines)


def test_a_split_that_is_not_there_is_an_error(dataset):
    with pytest.raises(DatasetError, match="no sample in split 'test'; its splits hold"):
        open_split(dataset, "test")
