"""Every snippet of the README and of a card, as a stranger runs it: on a bare machine, after what its text installs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipelines.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
pytestmark = pytest.mark.slow
UV = str(Path(sys.executable).with_name("uv"))


def bash(script: str, cwd: Path) -> str:
    """What the script prints, `pip install` done by uv, which has the packages at hand."""
    done = subprocess.run(
        ["bash", "-euc", f'pip() {{ "{UV}" pip "$@"; }}\n{script}'],
        cwd=cwd, capture_output=True, text=True, timeout=1_500,
    )  # fmt: skip
    assert done.returncode == 0, f"{script}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def new_environment(folder: Path, packages: str, cwd: Path) -> Path:
    """A Python with these packages alone. Those that ask for no version get the one that the project pins."""
    bash(f"python3 -m venv {folder}", cwd)
    python = folder / "bin" / "python"
    pinned = f"--constraint {ROOT / 'constraints.txt'}"
    bash(f"pip install --quiet --python {python} {pinned} {packages}", cwd)
    return python


@pytest.fixture(scope="module")
def version(dataset: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    to = tmp_path_factory.mktemp("to")
    done = CliRunner().invoke(main, ["publish", dataset, "--version", "1.0.0", "--to", str(to)])
    assert done.exit_code == 0, done.output
    return to / "1.0.0"


@pytest.mark.parametrize("number", range(3), ids=["webdataset", "datasets", "reader"])
def test_a_snippet_of_the_card_runs_after_what_it_installs(
    number: int, version: Path, tmp_path: Path
) -> None:
    card = (version / "README.md").read_text()
    pairs = re.findall(r"`pip install ([^`]+)`[^\n]*\n\n```python\n(.*?)```", card, re.DOTALL)
    assert len(pairs) == len(re.findall("```python", card)) == 3
    packages, code = pairs[number]
    python = new_environment(tmp_path / "env", packages.replace(".", str(ROOT)), tmp_path)
    shown = {
        0: "print(len(sample['flac']), len(sample['jpg']), len(sample['mask.png']))",
        1: "print(len(sample['flac']), *sample['jpg'].size)",
        2: "print(len(sample.flac), len(sample.jpg), len(sample.mask_png))",
    }
    (tmp_path / "snippet.py").write_text(f"{code}\n{shown[number]}\n")
    told = bash(f"HF_HUB_OFFLINE=1 {python} {tmp_path / 'snippet.py'}", version)
    assert min(map(int, told.split()[-3:])) > 0


def test_the_readme_installs_builds_and_loads_from_a_checkout(tmp_path: Path) -> None:
    """Its first block, the demo's commands, then its Python, in a copy of what git holds."""
    copy = tmp_path / "copy"
    copy.mkdir()
    bash(f"git -C {ROOT} ls-files -z | tar --null -C {ROOT} -T - -c | tar -x -C {copy}", tmp_path)
    install = re.search(r"## Install\n.*?```\n(.*?)```", README, re.DOTALL)
    assert install is not None
    demo = [
        line.strip()
        for line in (ROOT / "Makefile").read_text().splitlines()
        if "$(VENV)/bin/avs-data" in line
    ]
    small = [line.replace("$(VENV)/bin/", "").replace("--workers 2", "") for line in demo[:3]]
    small[0] += " --images 40 --clips-per-category 6"
    bash("\n".join([install[1], *small]), copy)
    python = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(python) == 2
    bash(". .venv/bin/activate\npip install --quiet webdataset", copy)
    for number, code in enumerate(python):
        (copy / f"snippet{number}.py").write_text(
            code + ("\nnext(iter(train))\n" if "train =" in code else "")
        )
        bash(f". .venv/bin/activate\npython snippet{number}.py", copy)


def test_training_needs_no_cuda(tmp_path: Path) -> None:
    """What the README installs for a machine without a GPU is what `make train-demo` installs there."""
    (line,) = re.findall(r"uv pip install --torch-backend cpu '\.\[build,train\]'", README)
    assert "--torch-backend cpu" in (ROOT / "Makefile").read_text()
    assert "torch-backend" in bash(f'"{UV}" pip install --help', tmp_path), line
