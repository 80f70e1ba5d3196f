"""What commands show of long work: at once what they do, then stage, count, rate and time left; and --quiet, --json."""

import ast
import io
import json
import os
import pty
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console
from test_documentation import COMMANDS

from avs_train import cli as train_cli
from pipelines.cli import main
from shards import progress_file, terminal
from shards.command_line import Command
from shards.display import Display, rate

AVS_DATA = [sys.executable, "-c", "from pipelines.cli import main; main()"]


class Clock:
    """Time that passes when the test says so; `tick` waits until the display has looked at it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def lines(work: Callable[[Display, Clock], None], stages: dict[str, str], **console: object) -> list[str]:
    clock, written = Clock(), io.StringIO()
    shown = Console(file=written, width=80, **console)  # type: ignore[arg-type]
    with Display("Build x into y", stages, console=shown, clock=clock) as display:
        work(display, clock)
    return written.getvalue().splitlines()


def test_a_log_tells_the_title_each_stage_and_how_far_it_is() -> None:
    def work(display: Display, clock: Clock) -> None:
        display.show("Read", 0, 1_000)
        clock.now = 4
        display.show("Read", 400, 1_000)
        assert display.text() == ["[1/3] Read: 400 of 1,000 rows, 100/s, 6.0 s left"]
        display.show("Fetch", 0, 50, part="photos")
        display.show("Fetch", 0, 7_000_000, part="clips", note="timeout 2")
        clock.now = 8
        display.show("Fetch", 50, 50, part="photos")
        assert display.text() == [
            "[2/3] Fetch (photos): 50 of 50, 12/s",
            "[2/3] Fetch (clips): 0 of 7,000,000; timeout 2",
        ]
        display.show("Send", 2_000_000, 8_000_000)
        display.say("a line that stays")
        display._print()
        display.show("Send", 8_000_000, 8_000_000)
        display.show("Send", 3, 9, part="files", unit="files")
        display._print()
        display._print()  # what is complete is told once
        display.show("Wait", 0, 0)
        clock.now = 100
        assert display.text() == [f"Wait: {terminal.spoken(92)} so far"]

    told = lines(work, {"Read": "rows", "Fetch": "", "Send": "bytes"})
    assert told == [
        "Build x into y",
        "[1/3] Read: 0 of 1,000 rows",
        "[2/3] Fetch (photos): 0 of 50",
        "[3/3] Send: 2.0 MB of 8.0 MB",
        "a line that stays",
        "[3/3] Send: 2.0 MB of 8.0 MB",
        "[3/3] Send: 8.0 MB of 8.0 MB",
        "[3/3] Send (files): 3 of 9 files",
        "[3/3] Send (files): 3 of 9 files",
        "Wait",
    ]


def test_before_the_first_stage_one_sees_that_something_is_done() -> None:
    def work(display: Display, clock: Clock) -> None:
        clock.now = 7
        assert display.text() == ["Working: 7.0 s so far"]
        display.show("Read", 0, 10)

    assert lines(work, {"Read": "rows"}) == ["Build x into y", "[1/1] Read: 0 of 10 rows"]


def test_a_log_has_a_line_every_few_seconds_and_fewer_as_hours_pass() -> None:
    """The clock stands still between its jumps, so a line is due exactly when it passes an interval."""
    told: Counter[float] = Counter()

    def work(display: Display, clock: Clock) -> None:
        display.show("Read", 0, 10)
        written = display._console.file
        assert isinstance(written, io.StringIO)
        for now, due in ((4.0, False), (6.0, True), (10.0, False), (12.0, True), (7_200.0, True), (7_250.0, False),
                         (7_262.0, True)):  # fmt: skip
            before = len(written.getvalue().splitlines())
            clock.now = now
            until = time.monotonic() + (10 if due else 0.6)
            while len(written.getvalue().splitlines()) == before and time.monotonic() < until:
                time.sleep(0.02)
            told[now] = len(written.getvalue().splitlines()) - before
            assert told[now] == due, now

    lines(work, {"Read": ""})


def test_a_terminal_has_one_place_within_its_width() -> None:
    def work(display: Display, clock: Clock) -> None:
        for part in ("photos", "clips [new] \x1b[31m"):
            display.show("Fetch", 5, 10, part=part, note="failures " * 20)
        drawn = display._lines().plain.splitlines()
        assert len(drawn) == 3
        assert drawn[0] == "[1/2] Fetch"
        assert all(len(line) < 80 for line in drawn)
        assert "[new] \\x1b[31m" in drawn[2]
        for number in range(50):
            display.show("Fetch", 10 if number < 49 else 1, 10, part=f"{'long/' * 20}file {number}")
        drawn = display._lines().plain.splitlines()
        assert len(drawn) < 25
        assert re.fullmatch(r"━━━*╌+ +….*long/file 49: 1 of 10|  ….*long/file 49: 1 of 10", drawn[-1])
        assert all(len(line) < 80 for line in drawn)
        display.show("Send", 5, 10)
        assert re.fullmatch(r"━{12}╌{12} \[2/2\] Send: 5 of 10", display._lines().plain)

    told = lines(work, {"Fetch": "", "Send": ""}, force_terminal=True)
    assert told[0] == "Build x into y"


def test_rates_are_told_in_what_people_count() -> None:
    assert [rate(each, "clips") for each in (430.0, 2.25, 0.1, 0.075)] == ["430/s", "2.2/s", "0.1/s", "270/h"]
    assert rate(2_500_000, "bytes") == "2.5 MB/s"


def test_worker_processes_tell_what_they_have_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "progress"
    file.touch()
    script = (
        "from shards import progress_file\n"
        "for _ in range(70): progress_file.item('convert', 'clips')\n"
        "progress_file.table('convert', 'clips', 80, 60)\n"
        "progress_file.table('match', 'clips', 5, 4)\n"
    )
    environment = {**os.environ, progress_file.VARIABLE: str(file)}
    workers = [subprocess.Popen([sys.executable, "-c", script], env=environment) for _ in range(2)]
    assert [worker.wait() for worker in workers] == [0, 0]
    assert progress_file.read(str(file)) == (
        {"convert clips": 160, "match clips": 10},
        {"convert clips": 120, "match clips": 8},
    )
    with file.open("a") as half:
        half.write("match clips 100")
    assert progress_file.read(str(file))[0]["match clips"] == 10
    monkeypatch.setenv(progress_file.VARIABLE, str(tmp_path / "none"))
    progress_file.table("match", "clips", 1, 1)  # nobody listens
    assert not (tmp_path / "none").exists()


def test_a_build_says_at_once_what_it_does_and_tells_each_stage(corpora: str, tmp_path: Path) -> None:
    """In a log; with two workers, whose own processes have nothing to say."""
    words = [
        "build",
        "demo",
        "--corpora",
        corpora,
        "--out",
        str(tmp_path / "out"),
        "--workers",
        "2",
        "--dry-run",
    ]
    done = subprocess.run([*AVS_DATA, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = done.stderr.splitlines()
    assert told[0] == f"Build demo from {corpora} and write nothing"
    assert told[1] == "[1/5] Read the annotation files"
    assert "[2/5] Start the workers" in told
    numbers = [int(found[1]) for line in told if (found := re.match(r"\[(\d)/5\] ", line))]
    assert numbers == sorted(numbers)
    assert all(line.startswith("[") for line in told[1:-2]), done.stderr


def test_a_terminal_shows_the_same_in_one_place(dataset: str) -> None:
    """As a person sees it: nothing is left but the title and the result."""
    parent, child = pty.openpty()
    process = subprocess.Popen([*AVS_DATA, "verify", dataset], stdout=child, stderr=child, close_fds=True)
    os.close(child)
    seen = b""
    while True:
        try:
            part = os.read(parent, 65_536)
        except OSError:  # Linux's way to say that the other side has closed
            break
        if not part:
            break
        seen += part
    assert process.wait() == 0
    text = seen.decode()
    assert text.startswith(f"Check {dataset}"[:70])
    assert "[2/2] Read the shards" in text
    assert f"{dataset}: OK: every file has its hash" in text.splitlines()[-1]


def test_quiet_leaves_results_alone(dataset: str, tmp_path: Path) -> None:
    loud = CliRunner().invoke(main, ["verify", dataset])
    quiet = CliRunner().invoke(main, ["verify", dataset, "--quiet"])
    assert (loud.exit_code, quiet.exit_code) == (0, 0)
    assert "[1/2] Check the tables" in loud.stderr
    assert quiet.stderr == ""
    assert quiet.stdout == loud.stdout
    assert quiet.stdout.startswith(f"{dataset}: OK: every file has its hash, ")
    wrong = CliRunner().invoke(main, ["verify", str(tmp_path), "-q"])
    assert wrong.exit_code == 1
    assert wrong.stderr.startswith("Error: ")


def test_every_command_has_quiet_and_says_what_ctrl_c_keeps() -> None:
    for path, command in COMMANDS.items():
        assert isinstance(command, Command), path
        assert any("--quiet" in option.opts for option in command.params), path
        given = {option.name or "": option.name for option in command.params}
        assert command.kept.format(**given), path


# They write files and say only where, or serve.
WRITES = {"avs-data demo-corpora", "avs-data export", "avs-data stats", "avs-data review export",
          "avs-data review serve", "avs-data browse", "avs-data judge serve", "avs-train plan-experiments"}  # fmt: skip


def test_every_command_that_reports_has_json() -> None:
    without = {
        path
        for path, command in COMMANDS.items()
        if not any("--json" in option.opts for option in command.params)
    }
    assert without == WRITES


def test_json_is_all_that_stdout_holds(corpora: str, dataset: str, tmp_path: Path) -> None:
    key = "lvis" if Path(corpora, "lvis").exists() else "open_images"
    calls = {
        "index": ["--corpora", corpora, "--out", tmp_path / "index"],
        "build": ["demo", "--corpora", corpora, "--out", tmp_path / "out", "--dry-run", "--profile"],
        "verify": [dataset],
        "publish": [dataset, "--version", "1.0.0", "--to", tmp_path / "to"],
        "diff": [dataset, tmp_path / "to" / "1.0.0"],
        "plan": ["demo", "--corpora", corpora],
        "match": ["--corpora", corpora, "--out", tmp_path / "proposals.csv"],
    }
    found = {}
    for name, words in calls.items():
        done = CliRunner().invoke(main, [name, *map(str, words), "--json"])
        assert done.exit_code == 0, (name, done.output)
        found[name] = json.loads(done.stdout)
    assert found["index"]["corpora"][key]["rows"] > 0
    assert found["build"]["samples"]["planned"]
    assert found["build"]["processor_and_wall_s"]["Measure masks"][0] > 0
    assert found["verify"] == {"faults": [], "rebuilt_otherwise": [], "deep": False}
    assert found["publish"]["state"] == "published"
    assert found["diff"]["unchanged"] > 0


def test_nothing_that_people_or_files_supply_is_acted_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile = "c[new] :dog: \x1b[31m \x9b2J \udcff\nnext"
    terminal.out(hostile)
    terminal.warn(hostile)
    terminal.out_json({"name": hostile})
    table = terminal.Table("name")
    table.add_row(hostile)
    terminal.console().print(table)
    told = capsys.readouterr()
    terminal.out_file("a,\x1b[31m\t\n")
    assert capsys.readouterr().out == "a,\x1b[31m\t\n"  # into a file
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    terminal.out_file("a,\x1b[31m\t\n")
    assert capsys.readouterr().out == "a,\\x1b[31m\t\n"
    for text in (told.out, told.err):
        assert "c[new] :dog: " in text
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]", text)
    assert told.out.startswith("c[new] :dog: \\x1b[31m \\x9b2J \\udcff\\nnext\n")
    assert '"c[new] :dog: \\u001b[31m \\u009b2J \\udcff\\nnext"' in told.out


def test_texts_reach_the_terminal_through_one_module() -> None:
    """`click.echo`, `print` and rich's own tables do not escape."""
    writers = {"click.echo", "click.secho", "print", "sys.stdout.write", "sys.stderr.write"}
    for folder in ("pipelines", "avs_train", "label_maps", "shards"):
        for path in (Path(__file__).parents[1] / folder).rglob("*.py"):
            source = path.read_text()
            assert "rich.table" not in source, path
            for call in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)):
                if ast.unparse(call.func) in writers:
                    text = ast.unparse(call)
                    assert "printable(" in text or path.name == "terminal.py", (path, text)


@pytest.mark.parametrize("command", ["fit", "eval"])
def test_a_missing_checkpoint_is_told_before_torch_is_imported(command: str, tmp_path: Path) -> None:
    words = [command, "sama_avs_s4", "--data", str(tmp_path)]
    script = (
        "import sys\nfrom avs_train.cli import main\n"
        f"try:\n    main({words!r})\n"
        "except SystemExit as end:\n    assert 'torch' not in sys.modules\n    sys.exit(end.code)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    for name in ("train.sam_checkpoint: checkpoints/sam_vit_h", "audio.checkpoint: checkpoints/vggish"):
        assert name in done.stderr
    assert "docs/train_on_gpus.md" in done.stderr
    page = (Path(__file__).parents[1] / "docs" / "train_on_gpus.md").read_text()
    assert "avs-train convert" in page


def test_the_trainer_has_the_same() -> None:
    help_ = CliRunner().invoke(train_cli.main, ["fit", "--help"]).output
    assert "--quiet" in help_
    assert "--json" in help_
