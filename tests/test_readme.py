"""The README's Python runs as it stands, its links lead somewhere, and its tables name what there is."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
PAGES = [
    path
    for path in ROOT.rglob("*.md")
    if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
]


@pytest.mark.parametrize("code", PYTHON, ids=lambda code: code.split()[1])
def test_python_lines_run(code: str, dataset: str, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "demo").symlink_to(dataset)
    if "train =" in code:
        code += "\nassert {'jpg', 'mask.png', 'flac', 'json'} <= set(next(iter(train)))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    if "print" in code:
        lines = [line.split() for line in done.stdout.splitlines()]
        assert {len(words) for words in lines} == {4}
        assert min(int(word) for words in lines for word in words[1:]) > 0


def test_there_are_lines_to_run() -> None:
    assert len(PYTHON) == 2


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as hosts of Markdown make them."""
    headings = re.findall(
        r"^#+ (.*)$", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL), re.MULTILINE
    )
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"\w+:", target):
            continue
        path, _, anchor = target.partition("#")
        found = page.parent / path if path else page
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), target


FILES = [str(path) for path in ROOT.rglob("*.*") if ".venv" not in str(path)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_prose_names_are_there(page: Path) -> None:
    prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    named = set(re.findall(r"`((?:[a-z_]+/)*[a-z_]+\.py|(?:[a-z_]+/)+[a-z_]+\.(?:csv|toml|yaml|js))`", prose))
    assert {name for name in named if not any(path.endswith(f"/{name}") for path in FILES)} == set()


def test_every_extra_and_every_dependency_is_explained() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    words = set(re.findall(r"[\w-]+", README))
    assert set(extras) - {"test"} <= words
    asked = [
        *project["dependencies"],
        *(each for name, lines in extras.items() if name not in ("all", "test") for each in lines),
    ]
    names = {re.match(r"[\w-]+", each)[0].removesuffix("-python-headless") for each in asked}
    assert names <= words
