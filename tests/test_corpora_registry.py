"""The registry: the only place that knows corpora, those of other packages too."""

import ast
import re
import sys
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from pipelines.cli import main
from pipelines.corpora import registry
from shards.reader import Dataset

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "pipelines" / "corpora" / "README.md"
ELSEWHERE = (  # whose business corpora are; of exports, COCO's format is, of imports, what a release is made of
    *("pipelines/corpora/", "pipelines/demo/", "pipelines/recipes/"),
    *("pipelines/publish/exports.py", "pipelines/commands/export.py", "pipelines/imports/"),
)


@pytest.fixture
def fresh() -> Iterator[None]:
    registry.corpora.cache_clear()
    yield
    registry.corpora.cache_clear()


def package(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str, name: str = "barks") -> None:
    """An installed package, outside this one, that brings a corpus."""
    (folder / f"{name}_corpus.py").write_text(text)
    about = folder / f"{name}_corpus-0.1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-corpus\nVersion: 0.1\n")
    (about / "entry_points.txt").write_text(f"[avs_data.corpora]\n{name} = {name}_corpus:CORPUS\n")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, f"{name}_corpus", raising=False)


def invoke(*arguments: object) -> str:
    done = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    return done.output


def test_the_page_adds_a_corpus_from_outside(fresh, corpora, tmp_path, monkeypatch) -> None:
    """Its example, as it stands there, in a package of its own: listed, planned, built, verified, explained."""
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(example.splitlines()) < 80
    package(tmp_path, monkeypatch, example)
    root = tmp_path / "corpora"
    root.mkdir()
    (root / "lvis").symlink_to(Path(corpora) / "lvis")
    sounds = root / "barks" / "sounds"
    sounds.mkdir(parents=True)
    rows = ["file,what,licence"]
    for number in range(30):
        with wave.open(str(sounds / f"{number}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16_000)
            noise = np.random.default_rng(number).integers(-9_000, 9_000, 20_000)
            file.writeframes(noise.astype("<i2").tobytes())
        rows.append(f"{number}.wav,woof,CC0")
    rows += ["../out.wav,woof,CC0", "missing.wav,woof,CC0", "short", "30.wav,,CC0"]
    (root / "barks" / "list.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "mine.toml").write_text(
        'name = "mine"\nversion = "1.0.0"\nlicence = "CC0-1.0"\ndescription = "Dogs"\n[sources]\nbarks = "audio"\n'
    )
    (tmp_path / "mine.csv").write_text(
        "category,source,source_id,label,synset,relation,decided_by,decided_on,note\n"
        "dog,barks,woof,woof,,same,me,2026-11-28,\n"
        "dog,lvis,378,dog,dog.n.01,same,me,2026-11-28,\n"
    )
    recipe = tmp_path / "dogs.toml"
    recipe.write_text(
        f'name = "dogs"\ncorpora = ["barks", "lvis"]\n[labels]\nmap = "{tmp_path}/mine.csv"\n'
        "[split]\ntrain = 2\nval = 1\ntest = 1\n"
    )
    out = tmp_path / "out"
    assert "barks/list.csv" in invoke("corpora", "--corpora", root)
    invoke("plan", recipe, "--corpora", root)
    invoke("build", recipe, "--corpora", root, "--out", out)
    invoke("verify", out, "--deep")
    dataset = Dataset(str(out))
    samples = [sample.record for split in ("train", "val", "test") for sample in dataset.samples(split)]
    assert samples
    assert {record["audio"]["label"]["source"] for record in samples} == {"barks"}
    assert {record["audio"]["licence"] for record in samples} == {"cc0"}
    reasons = [
        (row["item"], row["reason"])
        for row in dataset.table("rejections.parquet").to_pylist()
        if "barks" in row["item"]
    ]
    assert sorted(reasons) == [
        ("barks/list.csv:32", "hostile_name"),
        ("barks/list.csv:34", "bad_row"),
        ("barks/list.csv:35", "bad_row"),
        ("barks:missing.wav", "clip_missing"),
    ]
    assert "drawn again" in invoke("explain", out, samples[0]["audio"]["id"].removeprefix("barks:"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("CORPUS = 1", "it is a int, not a pipelines.corpora.corpus.Corpus"),
        ("import nothing_of_this_name", "ModuleNotFoundError"),
        (
            "from dataclasses import replace\nfrom pipelines.corpora.lvis import CORPUS",
            "a corpus called 'lvis' is there already",
        ),
        (
            "from dataclasses import replace\nfrom pipelines.corpora.lvis import CORPUS\n"
            "CORPUS = replace(CORPUS, name='Two Words')",
            "its name 'Two Words' is not of a-z, 0-9 and _",
        ),
    ],
)
def test_what_is_no_corpus_is_refused_by_its_package(fresh, tmp_path, monkeypatch, text, message) -> None:
    package(tmp_path, monkeypatch, text, "odd")
    with pytest.raises(
        registry.RegistryError, match="odd-corpus brings the corpus odd_corpus:CORPUS"
    ) as caught:
        registry.corpora()
    assert message in str(caught.value)


def test_an_unknown_corpus_is_named_with_those_that_are_known(tmp_path) -> None:
    (tmp_path / "r.toml").write_text('name = "r"\ncorpora = ["lvis", "ade20k"]\n')
    done = CliRunner().invoke(
        main, ["build", str(tmp_path / "r.toml"), "--corpora", str(tmp_path), "--out", str(tmp_path / "out")]
    )
    assert done.exit_code == 1
    assert "no corpus is called 'ade20k'; known are lvis, open_images" in done.output
    assert not (tmp_path / "out").exists()


def test_no_other_module_names_a_corpus() -> None:
    """Texts of code that are a corpus's name, or begin an id or path of it, and imports of its module."""
    known = "|".join(registry.corpora())
    named = re.compile(rf"({known})([:/].*)?", re.DOTALL)
    modules = {f"pipelines.corpora.{name}" for name in (*registry.corpora(), "folder")}
    found = []
    for folder in ("pipelines", "label_maps", "shards", "avs_train"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            place = path.relative_to(ROOT).as_posix()
            if place.startswith(ELSEWHERE):
                continue
            tree = ast.parse(path.read_text(encoding="utf-8"))
            told = {
                node.body[0].value
                for node in ast.walk(tree)
                if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
                and node.body
                and isinstance(node.body[0], ast.Expr)
            }
            for node in ast.walk(tree):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in told:
                    if named.fullmatch(node.value):
                        found.append(f"{place}:{node.lineno}: {node.value!r}")
                elif isinstance(node, ast.ImportFrom) and node.module:
                    imported = {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
                    if imported & modules:
                        found.append(f"{place}:{node.lineno}: imports {sorted(imported & modules)}")
    assert found == []


def test_label_maps_know_every_corpus_of_this_package_on_its_side() -> None:
    from label_maps import SOURCES

    sides = {"images": "visual", "sounds": "audio"}
    assert {name: (one.title, sides[one.kind]) for name, one in registry.corpora().items()} == {
        name: (source.title, source.side) for name, source in SOURCES.items()
    }
