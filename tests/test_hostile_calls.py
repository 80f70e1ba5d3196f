"""Whatever a person gives a command: one line that helps, or a result; never a traceback."""

import shlex
import shutil
import string
from collections.abc import Callable
from pathlib import Path

import click
import hostile_calls
import pytest
from click.testing import CliRunner, Result
from generated_shards import write_dataset
from test_documentation import COMMANDS

from avs_train import cli as train_cli
from pipelines import cli as data_cli
from shards.hashing import unit
from shards.reader import Dataset

PROGRAMS = {"avs-data": data_cli.main, "avs-train": train_cli.main}
RECIPE = """
name = "demo"
[split]
train = 70
val = 15
test = 15
[fetch]
corpora = ["vggsound"]
patience_s = 0
stall_s = 0.1
[fetch.sources]
lvis = "http://127.0.0.1:9"
coco = "http://127.0.0.1:9"
open_images = "http://127.0.0.1:9"
open_images_photos = "http://127.0.0.1:9"
vggsound = "http://127.0.0.1:9"
video = "http://127.0.0.1:9/{video_id}"
"""


def call(words: list[str]) -> Result:
    return CliRunner().invoke(PROGRAMS[words[0]], words[1:])


def done(*words: object) -> None:
    result = call([str(word) for word in words])
    assert result.exit_code == 0, result.output


@pytest.fixture(scope="session")
def world(corpora: str, dataset: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The right values of `hostile_calls.CALLS`."""
    import soundfile
    from test_imports import S4_VIDEOS, SECONDS, mask, picture, table, wav

    root = tmp_path_factory.mktemp("world")
    (root / "recipe.toml").write_text(RECIPE)
    (root / "held_out.csv").write_text("video_id,split\nzzzzzzzzzzz,test\n")
    (root / "cookies.txt").write_text("127.0.0.1\tFALSE\t/\tFALSE\t4102444800\tSID\tsecret\n")
    (root / "cookies.txt").chmod(0o600)
    for split, name in S4_VIDEOS.items():
        below = f"s4_data/{{}}/{split}/dog/{name}"
        wav(root / "S4" / f"{below.format('audio_wav')}.wav", SECONDS)
        for frame in range(1, 6):
            picture(root / "S4" / below.format("visual_frames") / f"{name}_{frame}.png")
            mask(root / "S4" / below.format("gt_masks") / f"{name}_{frame}.png")
    rows = [[name, 0, "dog", split] for split, name in S4_VIDEOS.items()]
    table(root / "S4" / "s4_meta_data.csv", ["name", "start", "category", "split"], rows)
    values = {
        "recipe": str(root / "recipe.toml"), "corpora": corpora, "dataset": dataset, "s4": str(root / "S4"),
        "held_out": str(root / "held_out.csv"), "cookies": str(root / "cookies.txt"),
        "key": Dataset(dataset).table()["image_id"][0].as_py(), "cause": "timeout", "audio": "vggsound",
        "version": "1.0.0", "link": "1", "reviewer": "a reader", "name": "dog", "host": "host.invalid",
        "imported": str(root / "imported"), "fetched": str(root / "fetched"),
        "edition": str(root / "edition" / "1.0.0"),
        "index": str(root / "index"), "proposals": str(root / "proposals.csv"), "queue": str(root / "queue.sqlite"),
        "judging": str(root / "judge.sqlite"), "judgements": str(root / "judgements.parquet"),
        "labels": str(root / "labels"), "gold": str(root / "gold.csv"), "map": str(root / "avs.csv"),
        "config": str(root / "small.toml"), "override": "train.epochs=1", "run": str(root / "run"),
        "photo": str(root / "photo.jpg"), "sound": str(root / "sound.wav"), "result": str(root / "result.json"),
    }  # fmt: skip
    shutil.copytree(Path(corpora) / "vggsound", root / "fetched" / "vggsound")
    done("avs-data", "import", "avsbench", root / "S4", "--out", root / "imported")
    done("avs-data", "fetch", "plan", root / "recipe.toml", "--corpora", root / "fetched")
    done(
        "avs-data",
        "publish",
        dataset,
        "--version",
        "1.0.0",
        "--to",
        root / "edition",
        "--reference-only",
        "audio",
    )
    done("avs-data", "index", "--corpora", corpora, "--out", root / "index")
    (root / "labels").mkdir()
    (root / "labels" / "vggsound_stat.csv").write_text("dog barking,1,animals\ncattle mooing,1,animals\n")
    (root / "labels" / "lvis_v1_categories.json").write_text(
        '[{"id": 378, "name": "dog", "synset": "dog.n.01", "synonyms": ["dog"], "def": "a dog"}]'
    )
    (root / "labels" / "openimages_class-descriptions-boxable.csv").write_text(
        "/m/0bt9lr,Dog\n/m/01xq0k1,Cattle\n"
    )
    done("avs-data", "match", "--labels", root / "labels", "--out", root / "proposals.csv")
    (root / "gold.csv").write_text("vggsound_label,source,visual_label,relation\ndog barking,lvis,dog,same\n")
    import label_maps

    for suffix in (".csv", ".toml"):
        shutil.copy(Path(label_maps.__file__).parent / f"avs{suffix}", root)
    done("avs-data", "review", "import", root / "proposals.csv", "--queue", root / "queue.sqlite")
    done("avs-data", "judge", "draw", dataset, "--sample", 20, "--queue", values["judging"])
    done("avs-data", "judge", "export", "--queue", values["judging"], "--out", values["judgements"])
    (root / "small.toml").write_text(
        'base = "tiny"\n[model]\nimage_size = 64\n[train]\nepochs = 1\nbatch_size = 4\nvalidate_first = false\n'
        "[data]\nworkers = 1\n"
    )
    values["generated"] = write_dataset(root / "generated", {"train": 8, "val": 3, "test": 6}, size=64)
    done("avs-train", "fit", root / "small.toml", "--data", values["generated"], "--out", root / "run")
    done("avs-train", "eval", root / "run", "--data", values["generated"], "--out", root / "result.json")
    values["checkpoint"] = str(root / "run" / "best" / "weights.safetensors")
    picture(root / "photo.jpg", (96, 96), "JPEG")
    soundfile.write(root / "sound.wav", SECONDS, 16000)
    return values


WRITTEN = {
    "out": "out",
    "run_out": "out",
    "table": "table.parquet",
    "picture": "overlay.png",
    "weights": "w.safetensors",
}
COPIED = ("queue", "judging", "fetched", "map")  # what a call may change


def names_in(path: str) -> list[str]:
    return [name for _, name, _, _ in string.Formatter().parse(hostile_calls.CALLS[path]) if name]


def words_of(path: str, values: dict[str, str]) -> list[str]:
    return [*path.split(), *(word.format(**values) for word in shlex.split(hostile_calls.CALLS[path]))]


def values_of(path: str, world: dict[str, str], folder: Path) -> dict[str, str]:
    """The right values of one call, which writes below `folder` alone."""
    values = {**world, **{key: str(folder / value) for key, value in WRITTEN.items()}}
    for key in set(COPIED) & set(names_in(path)):
        source = Path(world[key])
        target = folder / source.name
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
        if key == "map":
            shutil.copy(source.with_suffix(".toml"), folder)
        values[key] = str(target)
    return values


def fault(result: Result) -> str:
    """What is wrong with how a call ended; "" where a person is told what to do, or nothing had to be told."""
    lines = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return f"{type(result.exception).__name__}: {result.exception}"
    if result.exit_code == 0:
        return ""
    if result.exit_code == 1 and not lines and (result.stdout or result.stderr):
        return ""  # what `verify` and `doctor` found
    if result.exit_code not in (1, 2):
        return f"exit code {result.exit_code}"
    if len(lines) != 1:
        return f"{len(lines)} lines of error: {result.output[-300:]}"
    if "\x1b" in result.stderr or "\x07" in result.stderr:
        return "what a terminal acts on is printed"
    return "" if len(lines[0]) >= 20 else f"says too little: {lines[0]}"


def some(path: str) -> list[tuple[str, str]]:
    """(value, damage) of a fifth of what may be wrong, another fifth for each command; the slow test takes all."""
    return [(name, kind) for name, kind in every(path) if unit(0, path, name, kind) < 0.2]


def every(path: str) -> list[tuple[str, str]]:
    return [(name, kind) for name in names_in(path) for kind, _ in hostile_calls.damages(name)]


@pytest.mark.parametrize(
    ("path", "chosen"),
    [
        *(pytest.param(path, some, id=path) for path in hostile_calls.CALLS),
        *(
            pytest.param(path, every, id=f"{path}, all", marks=pytest.mark.slow)
            for path in hostile_calls.CALLS
        ),
    ],
)
def test_a_wrong_value_is_told_in_one_line(
    path: str,
    chosen: Callable[[str], list[tuple[str, str]]],
    world: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    wrong = []
    for number, (name, kind) in enumerate(chosen(path)):
        folder = tmp_path / str(number)
        (folder / "damaged").mkdir(parents=True)
        values = values_of(path, world, folder)
        values[name] = dict(hostile_calls.damages(name))[kind](Path(values[name]), folder / "damaged")
        words = words_of(path, values)
        if told := fault(call(words)):
            wrong.append(f"{name}, {kind}: {told}   [{shlex.join(words)}]")
    assert not wrong, "\n".join(["", *wrong])


def numbers_of(path: str) -> list[click.Option]:
    return [
        option
        for option in COMMANDS[path].params
        if isinstance(option, click.Option)
        and isinstance(option.type, click.types.IntParamType | click.types.FloatParamType)
    ]


@pytest.mark.parametrize("path", [path for path in COMMANDS if numbers_of(path)])
def test_a_number_out_of_its_range_is_told_in_one_line(path: str) -> None:
    words = words_of(path, dict.fromkeys(names_in(path), "1"))
    for option in numbers_of(path):
        wrong = ["nan", "inf", "-inf", "1e400", "9" * 30, "", "two", "1,5", "0x10"]
        for end, beyond in (("min", -1), ("max", 1)):
            if (bound := getattr(option.type, end, None)) is not None:
                wrong.append(str(bound + beyond))
        for value in wrong:
            result = call([*words, f"{option.opts[0]}={value}"])
            assert result.exit_code == 2, (option.opts, value, result.output, result.exception)
            assert not fault(result)
            assert option.opts[0] in result.stderr


def test_every_command_is_called() -> None:
    assert set(hostile_calls.CALLS) == set(COMMANDS)


def test_an_imported_dataset_is_as_good_as_a_built_one(world: dict[str, str], tmp_path: Path) -> None:
    imported = world["imported"]
    row = Dataset(imported).table().to_pylist()[0]
    told = call(["avs-data", "explain", imported, row["key"]])
    assert told.exit_code == 0, told.output
    for words in (row["sample_id"], row["mask_ids"][0], "as published", "imported", row["json_sha256"]):
        assert words in told.stdout
    done("avs-data", "verify", imported, "--deep")
    done("avs-data", "stats", imported, "--out", tmp_path / "stats")
    done("avs-data", "export", imported, "--format", "coco", "--out", tmp_path / "coco")
    done("avs-data", "publish", imported, "--version", "1.0.0", "--to", tmp_path / "published")
    cut = ["takedown", imported, "--image", row["image_id"], "--reason", "asked", "--out", tmp_path / "cut"]
    done("avs-data", *cut)
    done("avs-data", "diff", imported, tmp_path / "cut")
    again = call(["avs-data", "verify", imported, "--rebuild", "--corpora", world["corpora"]])
    assert again.exit_code == 1
    assert "was imported, not built" in again.stderr
