"""docs/what_you_see.md against the code: every command that shows its work, with the stages that it has."""

import ast
import inspect
import re
import shlex
from functools import cache
from pathlib import Path

import pytest
from test_documentation import COMMANDS, parse

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "what_you_see.md").read_text()
SECTIONS = {
    words: [block.splitlines() for block in re.findall(r"```\n(.*?)\n```", rest, re.DOTALL)]
    for words, _, rest in (section.partition("\n") for section in PAGE.split("\n## ")[1:])
}
STAGE = re.compile(r"^(?: *[\d.]+  )?(?:[━╌]+ )?\[(\d+)/(\d+)\] ([A-Z][\w' ]+)")
# The page may lack them: they take moments, show what another shows, serve a page, or need SAM's weights.
MAY_LACK = {
    *("avs-data browse", *(f"avs-data judge {name}" for name in ("export", "flags", "serve"))),
    *("avs-data fetch doctor", "avs-data fetch plan", "avs-data fetch retry", "avs-train segment"),
}  # fmt: skip


def test_every_command_that_shows_its_work_is_there() -> None:
    showing = {
        path
        for path, command in COMMANDS.items()
        if re.search(r"(Display|BuildProgress)\(", inspect.getsource(inspect.getmodule(command.callback)))  # type: ignore[arg-type]
    }
    shown = {parse(shlex.split(words)) for words in SECTIONS}
    assert showing - MAY_LACK <= shown <= showing


@pytest.mark.parametrize("words", SECTIONS)
def test_its_stages_are_those_of_the_code(words: str) -> None:
    log, terminal = SECTIONS[words]
    assert re.match(r" *[\d.]+  [A-Z]\w+ ", log[0]), "what the command does comes first"
    stages = [found.groups() for line in (*log, *terminal) if (found := STAGE.match(line))]
    assert len({count for _, count, _ in stages}) <= 1
    assert all(len(line) < 80 for line in terminal)
    numbers = [int(found[1]) for line in log if (found := STAGE.match(line))]
    assert numbers == sorted(numbers)
    unknown = {name.strip() for _, _, name in stages} - _texts()
    assert not unknown, "record the page again: python tests/benchmarks/record_commands.py"


@cache
def _texts() -> set[str]:
    """Every text in the code."""
    return {
        node.value
        for folder in ("pipelines", "avs_train")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
