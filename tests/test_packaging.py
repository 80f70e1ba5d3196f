"""What a stranger gets: the wheel's files, its metadata and extras, and what reading a dataset imports."""

import ast
import importlib
import io
import re
import subprocess
import sys
import threading
import tomllib
import zipfile
from collections.abc import Iterable, Iterator
from email import message_from_bytes
from importlib.metadata import packages_distributions
from pathlib import Path

import click
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hatchling.builders.wheel import WheelBuilder
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from trove_classifiers import classifiers

from avs_train import cli as train_cli
from pipelines import cli as data_cli
from shards import storage, tables
from shards.command_line import extra_of

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
PACKAGES = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
EXTRAS = {
    name: [Requirement(line) for line in lines] for name, lines in PROJECT["optional-dependencies"].items()
}
BASE = [Requirement(line) for line in PROJECT["dependencies"]]
PINS = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split())
OWNERS = packages_distributions()
UNPINNED = ("all", "gcs", "semantic", "wandb")  # extras that the test environment does not install


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    folder = tmp_path_factory.mktemp("wheel")
    (path,) = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    with zipfile.ZipFile(path) as archive:
        yield archive


def test_the_wheel_holds_every_file_of_the_packages_and_nothing_else(wheel):
    files = {
        path.relative_to(ROOT).as_posix(): path
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert packed == set(files)
    assert all(wheel.read(name) == path.read_bytes() for name, path in files.items())
    assert {f"{package}/py.typed" for package in PACKAGES} <= packed


def test_the_wheel_says_who_may_use_it_and_for_what(wheel):
    (info,) = {name.split("/")[0] for name in wheel.namelist() if ".dist-info/" in name}
    for name in ("LICENSE", "NOTICE"):
        assert wheel.read(f"{info}/licenses/{name}") == (ROOT / name).read_bytes()
    told = message_from_bytes(wheel.read(f"{info}/METADATA"))
    assert told["License-Expression"] == "Apache-2.0"
    assert told["Requires-Python"] == ">=3.11"
    assert set(told.get_all("Provides-Extra")) == set(EXTRAS)


def test_no_table_is_read_by_threads_of_arrow():
    """One that holds what Python made may abort the interpreter as it exits."""
    readers = {"iter_batches", "read_row_group", "read_row_groups"}
    found = []
    for path in (path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            called = ast.unparse(node.func)
            if called == "pq.ParquetFile" and path == ROOT / "shards" / "tables.py":
                continue  # in `parquet`, which the test below holds
            of_a_file = node.func.attr == "read" and re.search(r"\b[Pp]arquet", ast.unparse(node.func.value))
            threads = {one.arg: ast.unparse(one.value) for one in node.keywords}.get("use_threads")
            threaded = (node.func.attr in readers or of_a_file) and threads != "False"
            if threaded or called.endswith((".ParquetFile", ".read_table", ".ParquetDataset")):
                found.append(f"{path}:{node.lineno}")
    assert not found


def test_a_table_is_read_by_the_thread_that_asks(tmp_path):
    class Told(io.FileIO):
        def read(self, size=-1):
            threads.add(threading.get_ident())
            return super().read(size)

    pq.write_table(pa.table({"key": ["a", "b"]}), tmp_path / "table.parquet")
    threads = set()
    with Told(tmp_path / "table.parquet") as file:
        table = tables.parquet(file)
        table.read(use_threads=False)
        table.read_row_group(0, use_threads=False)
        list(table.iter_batches(use_threads=False))
    assert threads == {threading.get_ident()}


def test_one_oldest_python_everywhere():
    (oldest,) = SpecifierSet(PROJECT["requires-python"])
    named = {
        match[1]
        for line in PROJECT["classifiers"]
        if (match := re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", line))
    }
    assert min(named, key=lambda text: int(text[2:])) == oldest.version
    assert PYPROJECT["tool"]["ruff"]["target-version"] == "py" + oldest.version.replace(".", "")
    assert PYPROJECT["tool"]["mypy"]["python_version"] == oldest.version
    assert f"Python {oldest.version}" in (ROOT / "README.md").read_text()


def test_classifiers_exist():
    assert set(PROJECT["classifiers"]) <= classifiers
    assert PROJECT["classifiers"] == sorted(PROJECT["classifiers"])


def test_the_citation_agrees_with_the_project():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(citation)  # what format 1.2.0 asks for
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    assert [author["name"] for author in citation["authors"]] == [each["name"] for each in PROJECT["authors"]]


def test_one_version_everywhere():
    pages = [ROOT / "docs/cluster.md", *(ROOT / "docker").rglob("*.md"), *(ROOT / "docker").rglob("*.yaml")]
    found = {
        version
        for page in pages
        for version in re.findall(r"(?:avs-(?:data|train|storage):|newTag: )(\d[\w.]*)", page.read_text())
    }
    assert found == {PROJECT["version"]}
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert re.search(r"^## (\S+)", changelog, re.MULTILINE)[1] == PROJECT["version"]


def test_what_is_pinned_fits_the_ranges_and_leaves_nothing_out():
    asked = [*BASE, *(each for name, lines in EXTRAS.items() if name not in UNPINNED for each in lines)]
    for each in asked:
        pin = PINS.get(canonicalize_name(each.name))
        assert pin is not None, f"{each.name} is not in constraints.txt"
        assert each.specifier.contains(pin), f"{each} and {pin} in constraints.txt"


def test_a_package_has_one_range_in_all_extras():
    ranges: dict[str, set[str]] = {}
    for each in [*BASE, *(each for lines in EXTRAS.values() for each in lines)]:
        ranges.setdefault(canonicalize_name(each.name), set()).add(str(each.specifier))
    assert {name: found for name, found in ranges.items() if len(found) > 1} == {}


def test_all_is_every_extra_but_the_tests():
    (everything,) = EXTRAS["all"]
    assert everything.extras == set(EXTRAS) - {"all", "test"}


# --- what each half imports


def module_path(module: str) -> Path:
    path = ROOT / module.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def imports(module: str) -> Iterator[str]:
    """Modules that a module of ours imports, at its top or in a function, but for type checkers alone."""
    tree = ast.parse(module_path(module).read_text())
    unseen = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in unseen:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            below = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name for name in below if module_path(name).is_file())


CLUSTER = "pipelines.build.dask_runner"


def missing(start: str, extras: Iterable[str] = ()) -> set[str]:
    """What a module of ours imports, by any chain of imports, and neither the base nor these extras bring."""
    requirements = [*BASE, *(each for extra in extras for each in EXTRAS[extra])]
    brought = {canonicalize_name(each.name) for each in requirements}
    owners = OWNERS
    todo, seen, found = [start], set(), set()
    while todo:
        module = todo.pop()
        top = module.partition(".")[0]
        if top in PACKAGES:
            if module in seen:
                continue
            seen.add(module)
            if module == CLUSTER and start != CLUSTER:  # on request, with an extra of its own
                found.add("distributed")
                continue
            todo += imports(module)
            parts = module.split(".")
            todo += [".".join(parts[:count]) for count in range(1, len(parts))]
        elif top not in sys.stdlib_module_names:
            found |= {top} if brought.isdisjoint(map(canonicalize_name, owners.get(top, ()))) else set()
    return found


@pytest.mark.parametrize("module", ["shards.reader", "shards.verify", "shards.hashing", "label_maps"])
def test_reading_needs_the_base_alone(module):
    assert missing(module) == set()
    heavy = {"apache_beam", "av", "torch", "urllib3", "yt_dlp"}
    code = f"import sys, {module}; print(*({heavy} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).split() == []


def commands(
    group: click.Group, half: str, words: tuple[str, ...] = ()
) -> Iterator[tuple[str, tuple[str, str]]]:
    """The module of every command, and what says which extra is meant for it: its first word, and its half."""
    with click.Context(group) as context:
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            if isinstance(command, click.Group):
                yield from commands(command, half, (*words, name))
            else:
                yield command.callback.__module__, ((*words, name)[0], half)


COMMANDS = dict([*commands(data_cli.main, "pipelines"), *commands(train_cli.main, "train")])
ON_REQUEST = {
    "dask": "dask",
    "distributed": "dask",
    "huggingface_hub": "hub",
    "wandb": "wandb",
    "wordllama": "semantic",
}  # for one kind of URL or option
WITH_BEAM = {"grpc"}


@pytest.mark.parametrize("module", COMMANDS)
def test_one_extra_brings_what_a_command_imports_and_is_the_one_told(module):
    for name in missing(module) - WITH_BEAM:
        told = extra_of(name, COMMANDS[module])
        if name in ON_REQUEST:
            assert told == ON_REQUEST[name]
        else:
            assert missing(module, [told]) <= ON_REQUEST.keys() | WITH_BEAM


def test_the_cluster_needs_what_a_build_needs_and_its_own_extra():
    assert missing(CLUSTER, ["build", "dask"]) <= WITH_BEAM


def test_a_store_without_its_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(importlib.import_module("fsspec.registry")._registry, "s3", raising=False)
    with pytest.raises(storage.StorageError, match=r"^s3://b/avs: .* not installed; .*'avs-data\[s3\]'$"):
        storage.exists("s3://b/avs")
