"""The command lines, their help and the pages that show them say the same."""

import inspect
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml

from avs_train import cli as train_cli
from pipelines import cli as data_cli

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not {part for part in path.relative_to(ROOT).parts if part.startswith(".") or part in ("out", "runs")}
)
PROGRAMS = {"avs-data": data_cli.main, "avs-train": train_cli.main}


def leaves(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    """("avs-data fetch run", its command) of every command below a group."""
    with click.Context(group, info_name=path) as context:
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            if isinstance(command, click.Group):
                yield from leaves(command, f"{path} {name}")
            else:
                yield f"{path} {name}", command


COMMANDS = {path: command for name, group in PROGRAMS.items() for path, command in leaves(group, name)}


def parse(words: list[str]) -> str:
    """The path of the command that a call names; click's own error where the call does not fit it."""
    command: click.Command = PROGRAMS[words[0]]
    path, rest = words[0], words[1:]
    while isinstance(command, click.Group) and rest and rest[0] not in ("--help", "--version"):
        with click.Context(command, info_name=path) as context:
            name, found, rest = command.resolve_command(context, rest)
        assert found is not None
        command, path = found, f"{path} {name}"
    if rest[:1] not in (["--help"], ["--version"]):
        command.make_context(path, list(rest))
    return path


def calls(text: str) -> Iterator[list[str]]:
    """Every call in shell lines, without what a shell takes for itself."""
    text = re.sub(r"\\\n\s*", " ", text)
    for line in text.splitlines():
        line = re.sub(r"(?:python -m|-m) avs_train\b", "avs-train", line)
        for match in re.finditer(r"(?:^|[\s/])(avs-(?:data|train)) ([^#|>&;(]*)", line):
            yield [match[1], *shlex.split(match[2])]


def blocks(page: Path) -> str:
    return "\n".join(re.findall(r"```\w*\n(.*?)```", page.read_text(), re.DOTALL))


def inline(page: Path) -> list[str]:
    without = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    return [" ".join(each.split()) for each in re.findall(r"`([^`]+)`", without)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_calls_in_pages_are_ones_that_the_commands_take(page: Path) -> None:
    for words in calls(blocks(page)):
        parse(words)
    for text in inline(page):
        if match := re.match(r"(avs-data|avs-train)((?: [a-z][a-z-]*)*)", text):
            shown(match[1], match[2].split(), set(re.findall(r"--[a-z][a-z-]*", text)))


def shown(program: str, words: list[str], options: set[str]) -> None:
    """The beginning of a call as prose shows it: the command exists, and has these options."""
    command: click.Command = PROGRAMS[program]
    for word in words[:2]:
        if not isinstance(command, click.Group):
            break
        with click.Context(command) as context:
            found = command.get_command(context, word)
        assert found, f"{program} {' '.join(words)}: no command {word!r}"
        command = found
    if isinstance(command, click.Group):
        assert options <= {"--help", "--version"}, (program, words, options)
        return
    known = {name for parameter in command.params for name in parameter.opts} | {"--help"}
    beam = {"--runner", "--job_endpoint", "--environment_type", "--environment_config", "--parallelism"}
    assert options <= (known | beam if words == ["build"] else known), (program, words, options - known)


def test_calls_in_the_makefile_and_in_workflows_are_ones_that_the_commands_take() -> None:
    found = list(calls((ROOT / "Makefile").read_text()))
    assert len(found) >= 8
    for words in found:
        parse(words)


def containers() -> Iterator[list[str]]:
    """The command of every container in the compose file and the manifests."""
    for service in yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())["services"].values():
        words = service.get("command", [])
        yield [*service.get("entrypoint", []), *([words] if isinstance(words, str) else words)]
    for path in ROOT.glob("docker/kubernetes/*/*.yaml"):
        for each in yaml.safe_load_all(path.read_text()):
            pod = ((each or {}).get("spec") or {}).get("template", {}).get("spec", {})
            for container in (*pod.get("containers", ()), *pod.get("initContainers", ())):
                yield [*container.get("command", []), *container.get("args", [])]


def test_calls_in_containers_are_ones_that_the_commands_take() -> None:
    found = []
    for words in containers():
        if words[:1] == ["avs-data"]:
            found.append(words)
        else:  # a shell's script, or what torchrun starts
            found += list(calls(" ".join(words)))
    paths = {parse(words) for words in found}
    assert {"avs-data build", "avs-data match", "avs-data review serve", "avs-train fit"} <= paths


SOURCES = sorted(
    path
    for package in ("pipelines", "shards", "label_maps", "avs_train", "docs", "tests")
    for path in (ROOT / package).rglob("*")
    if path.suffix in (".py", ".toml", ".html", ".js", ".csv")
)


def test_calls_in_messages_and_comments_name_commands_that_exist() -> None:
    found = 0
    for path in SOURCES:
        if path == Path(__file__):
            continue
        for match in re.finditer(r"`(avs-data|avs-train)((?: [a-z][a-z-]*)+)([^`\n]*)`", path.read_text()):
            found += 1
            try:
                shown(match[1], match[2].split(), set(re.findall(r"--[a-z][a-z-]*", match[3])))
            except AssertionError as error:
                raise AssertionError(f"{path.relative_to(ROOT)}: {match[0]}") from error
    assert found > 50


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_teaches(path: str) -> None:
    """What it does, each option, and an example that it takes itself."""
    command = COMMANDS[path]
    about = inspect.cleandoc(command.help or "")
    assert len(about.split("\n\n")[0]) > 20
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{path} {parameter.opts}"
            assert parameter.help.rstrip()[-1] in ".]):", f"{path} {parameter.opts}: {parameter.help}"
    examples = re.split(r"\bExamples?[^\n:]*:", about)[1:]
    assert examples, f"{path} shows no example"
    given = [words for example in examples for words in calls(example) if " ".join(words).startswith(path)]
    assert given, f"{path} shows no example of its own"
    for words in given:
        assert parse(words) == path


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_is_in_a_page(path: str) -> None:
    rest = path.partition(" ")[2]
    named = re.compile(rf"\b{path}\b|`{rest}\b")
    assert any(named.search(page.read_text()) for page in PAGES), path


def test_help_of_groups_lists_their_commands() -> None:
    for name, group in PROGRAMS.items():
        with click.Context(group, info_name=name) as context:
            told = group.get_help(context)
            assert "Example" in told
            for command in group.list_commands(context):
                assert re.search(rf"^  {command}\s+\S", told, re.MULTILINE), command


def test_choices_and_defaults_are_those_of_the_code() -> None:
    """Commands name them again, so that `--help` need not import what has them."""
    from avs_train.metrics import VARIANTS
    from pipelines.demo.corpora import CLIPS, IMAGES
    from pipelines.fetch.items import Kind
    from pipelines.publish.exports import LAYOUTS
    from shards.format import SPLITS

    def option(path: str, name: str) -> click.Option:
        found = next(each for each in COMMANDS[path].params if name in each.opts)
        assert isinstance(found, click.Option)
        return found

    def choices(path: str, name: str) -> set[str]:
        kind = option(path, name).type
        assert isinstance(kind, click.Choice)
        return set(kind.choices)

    assert choices("avs-data export", "--format") == set(LAYOUTS)
    assert choices("avs-train report", "--variant") == set(VARIANTS)
    assert choices("avs-train eval", "--split") == set(SPLITS)
    for command in ("run", "plan"):
        kinds = {f"{kind.value}s" for kind in Kind if kind is not Kind.ARCHIVE}
        assert choices(f"avs-data fetch {command}", "--only") == kinds
    assert option("avs-data demo-corpora", "--images").default == IMAGES
    assert option("avs-data demo-corpora", "--clips-per-category").default == CLIPS


def test_the_same_option_means_the_same_everywhere() -> None:
    """One default and one help text for options of one name, but where a command says more of its own."""
    shared = ("--workers", "--dry-run", "--cookies", "--held-out", "--out", "--corpora", "--data")
    for name in shared:
        required = {
            (option.help, option.default, str(option.type), option.is_flag)
            for path, command in COMMANDS.items()
            for option in command.params
            if isinstance(option, click.Option)
            and name in option.opts
            and path.startswith("avs-data" if name != "--data" else "avs-train")
            and (option.required or name not in ("--out", "--corpora"))
        }
        assert len(required) == 1, (name, required)


HEAVY = (
    "aiohttp", "apache_beam", "av", "botocore", "cv2", "gcsfs", "huggingface_hub", "matplotlib", "numpy", "pandas",
    "PIL", "pyarrow", "pycocotools", "rich", "s3fs", "scipy", "soundfile", "starlette", "tensorboard", "torch",
    "uvicorn", "yt_dlp",
)  # fmt: skip


def test_help_of_a_command_imports_nothing_heavy() -> None:
    script = (
        "import sys, click\n"
        "from importlib import import_module\n"
        "def walk(group, path):\n"
        "    with click.Context(group, info_name=path) as context:\n"
        "        for name in group.list_commands(context):\n"
        "            command = group.get_command(context, name)\n"
        "            if isinstance(command, click.Group):\n"
        "                walk(command, path + ' ' + name)\n"
        "            else:\n"
        "                with click.Context(command, parent=context, info_name=name) as below:\n"
        "                    command.get_help(below)\n"
        f"            heavy = sorted(set({HEAVY!r}) & set(sys.modules))\n"
        "            assert not heavy, (path, name, heavy)\n"
        "for program, module in (('avs-data', 'pipelines.cli'), ('avs-train', 'avs_train.cli')):\n"
        "    walk(import_module(module).main, program)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
