"""What both command lines share: errors in one line, exit codes, ids that begin with a dash, text shown as it is."""

import errno
import os
import signal
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from pipelines.cli import main
from shards import text
from shards.command_line import CommandGroup, IdCommand, extra_of
from shards.errors import AvsError

AVS_DATA = [sys.executable, "-c", "from pipelines.cli import main; main()"]


def raising(error: BaseException) -> click.Group:
    @click.group(cls=CommandGroup)
    def group() -> None: ...

    @group.command()
    def fails() -> None:
        raise error

    return group


def call(group: click.Group, *words: object) -> Result:
    return CliRunner().invoke(group, [str(word) for word in words])


class Refused(AvsError):
    pass


class FromAStore(Exception):
    """As boto's clients raise them: no OSError."""


FromAStore.__module__ = "botocore.exceptions"


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (Refused("no such thing; name another"), 1, "Error: no such thing; name another\n"),
        (
            FileNotFoundError(errno.ENOENT, "No such file", "a/b.csv"),
            1,
            "Error: a/b.csv: No such file; put the file there, or correct the name\n",
        ),
        (FileNotFoundError("bucket/key"), 1, "Error: bucket/key: no such file or folder\n"),
        (PermissionError("bucket"), 1, "Error: bucket: access is refused; check"),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "Error: [Errno 28] No space left on device\n"),
        (FromAStore("Unable to locate credentials"), 1, "Error: Unable to locate credentials\n"),
        (click.UsageError("give exactly one."), 2, "Error: give exactly one (see `"),
        (click.ClickException("not so"), 1, "Error: not so\n"),
        (KeyboardInterrupt(), 130, "Error: interrupted; the same command resumes from what is written\n"),
        (ModuleNotFoundError("No module named 'torch'", name="torch"), 1, "pip install 'avs-data[train]'\n"),
        (ModuleNotFoundError("No module named 'cv2.x'", name="cv2.x"), 1, "cv2 is not installed"),
        (Refused("a\x1b[31m \udcff\nnext"), 1, "Error: a\\x1b[31m \\udcff\nnext\n"),
    ],
)
def test_errors_for_people_are_told_without_a_traceback(error: BaseException, code: int, said: str) -> None:
    result = call(raising(error), "fails")
    assert (result.exit_code, result.stdout) == (code, "")
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_a_number_that_is_none_is_told_in_plain_words() -> None:
    told = call(main, "build", "demo", "--corpora", "c", "--out", "o", "--workers", "abc")
    assert told.exit_code == 2
    assert "'--workers': 'abc' is not a whole number (see `" in told.stderr


@pytest.mark.parametrize(
    "error",
    [
        KeyError("category"),
        ValueError("drawn wrongly"),
        EOFError("cut"),
        ModuleNotFoundError("No module named 'pipelines.x'", name="pipelines.x"),
    ],
)
def test_a_fault_of_the_code_keeps_its_traceback(error: Exception) -> None:
    result = call(raising(error), "fails")
    assert result.exception is error


def test_a_reader_that_goes_away_is_no_error() -> None:
    code = "from pipelines.cli import main; main(['review', '--help'])"
    script = f'{sys.executable} -c "{code}" | true'
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {script}"], capture_output=True, text=True)
    assert "Traceback" not in done.stderr


def test_wrong_calls_say_what_there_is() -> None:
    unknown = call(main, "bild")
    assert unknown.exit_code == 2
    assert "no command 'bild'; there are browse, build, corpora," in unknown.stderr
    missing = call(main, "build", "demo")
    assert missing.exit_code == 2
    assert missing.stderr.count("\n") == 1
    assert "--corpora" in missing.stderr
    assert "build --help" in missing.stderr
    bare = call(main)
    assert bare.exit_code == 2
    assert "demo-corpora" in bare.stderr


@pytest.mark.parametrize(
    ("words", "now"),
    [
        (["ledger", "corpora"], "avs-data fetch ledger"),
        (["retry", "corpora", "--cause", "timeout"], "avs-data fetch retry"),
        (["doctor"], "avs-data fetch doctor"),
        (["fetch", "demo", "--corpora", "a b"], "avs-data fetch run demo --corpora 'a b'"),
        (["fetch", "demo", "--corpora", "c", "--plan"], "avs-data fetch plan demo --corpora c`"),
        (["fetch", "--corpora", "c", "demo"], "avs-data fetch run --corpora c demo"),
    ],
)
def test_calls_of_before_are_answered_with_those_of_now(words: list[str], now: str) -> None:
    result = call(main, *words)
    assert result.exit_code == 2
    assert now in result.stderr


def test_every_package_of_an_extra_is_told_with_it() -> None:
    """Every third-party package that a module imports is either always installed or known to an extra."""
    named = {"cv2", "torch", "torchvision", "safetensors", "tensorboard", "wandb", "wordllama"}
    found = {package: extra_of(package) for package in named}
    assert found == {**dict.fromkeys(named, "train"), "wandb": "wandb", "wordllama": "semantic"}
    assert extra_of("click") is None
    assert extra_of("nosuch") is None
    always = [line for line in metadata.requires("avs-data") or () if "extra" not in line]
    assert any(line.startswith("click") for line in always)


def test_ids_may_begin_with_a_dash() -> None:
    got = []

    @click.command(cls=IdCommand)
    @click.argument("dataset")
    @click.argument("item")
    @click.option("--json", "as_json", is_flag=True, help="JSON.")
    @click.option("--of", help="A value.")
    def command(dataset: str, item: str, as_json: bool, of: str | None) -> None:
        got.append((dataset, item, as_json, of))

    def parsed(*words: str) -> Result:
        return CliRunner().invoke(command, words)

    for item in ("-3Bn-Nt_8aG", "--Bn-Nt_8aG", "-h123456789", "-3Bn-Nt_8aG_000030", "-3Bn-Nt_8aG_1000_11000"):
        for words in (("out", item, "--json"), ("--json", "out", item), ("out", "--json", "--", item)):
            assert parsed(*words).exit_code == 0, words
            assert got.pop() == ("out", item, True, None)
        assert parsed("out", "x", "--of", item).exit_code == 0
        assert got.pop() == ("out", "x", False, item)
    assert "No such option" in parsed("out", "--jsn", "x").output
    assert parsed("--help").exit_code == 0
    assert not got


def test_an_id_with_a_dash_reaches_explain_and_takedown(dataset: str, tmp_path: Path) -> None:
    told = call(main, "explain", dataset, "-3Bn-Nt_8aG")
    assert told.exit_code == 1
    assert "nothing called '-3Bn-Nt_8aG'" in told.stderr
    words = ("takedown", dataset, "--video", "-3Bn-Nt_8aG", "--reason", "asked", "--out", tmp_path / "out")
    assert "has no -3Bn-Nt_8aG" in call(main, *words).stderr


def test_text_of_people_is_shown_as_it_is(corpora: str, tmp_path: Path) -> None:
    """Brackets are rich's markup, and `:x:` its emoji."""
    named = tmp_path / "c[new] :dog:"
    os.symlink(corpora, named)
    out = tmp_path / "[bold]out"
    indexed = call(main, "index", "--corpora", named, "--out", out)
    assert indexed.exit_code == 0, indexed.output
    assert f"{out}/masks.parquet" in indexed.output
    missing = call(main, "build", "demo", "--corpora", tmp_path / "c[old]", "--out", out)
    assert str(tmp_path / "c[old]") in missing.stderr
    recipe = tmp_path / "r[x].toml"
    recipe.write_text("[fetch.sources]\nlvis = 1\n")
    told = call(main, "fetch", "doctor", recipe, "--corpora", named).stderr
    assert "r[x].toml" in told
    doctor = CliRunner(env={"COLUMNS": "300"}).invoke(
        main, ["fetch", "doctor", "--corpora", str(named / "x")]
    )
    assert "c[new] :dog:" in doctor.output
    assert "[fetch.sources]" in doctor.output or "is " in doctor.output


def test_few_samples_are_faster_with_one_worker(corpora: str, tmp_path: Path) -> None:
    words = ("build", "demo", "--corpora", corpora, "--dry-run", "--out", tmp_path / "out")
    several = call(main, *words, "--workers", 2)
    assert several.exit_code == 0, several.output
    assert "below about 1,000 one worker is faster than 2" in several.stderr
    assert "one worker is faster" not in call(main, *words).stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("café,x\n1,2\n".encode("latin-1"), "line 1, byte 3: 0xe9 is not UTF-8 (in Latin-1 it is 'é')"),
        (b"a,b\n1,2\n\xff\xff,4\n", "line 3, byte 8: 0xff is not UTF-8"),
        ("a,b\n".encode("utf-16"), "is not UTF-8 but UTF-16"),
        (b"a,b\n1,\x002\n", "line 2, byte 6: a zero byte"),
        (b"", "is empty or its first line is"),
        (b"\n1,2\n", "is empty or its first line is"),
        (b"b,c\n1,2\n", "has no column a: it must be a CSV with the columns a; its header is b,c"),
        (b"a,a\n1,2\n", "the column a stands twice"),
        (b"a,b\n1,2\n3\n", ":3: 1 values where the header has 2"),
        (b"a,b\n1,2,3\n", ":2: 3 values where the header has 2"),
        (b'a,b\n1,"2\n3,4\n', "not CSV (unexpected end of data)"),
    ],
)
def test_a_table_that_is_none_is_told_by_file_and_place(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(content)
    with pytest.raises(text.TextError) as caught:
        list(text.read_rows(str(path), ["a"]))
    assert str(path) in str(caught.value)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_table_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes('\ufeffa, b\r\n 1 ,"two, ""2"""\r\n\r\nx,\r\n'.encode())
    assert list(text.read_rows(str(path), ["b"])) == [
        (2, {"a": "1", "b": 'two, "2"'}),
        (4, {"a": "x", "b": ""}),
    ]
    path.write_bytes(b"a,b\n1\n2,3\n4,5,6\n")
    bad: list[tuple[int, str]] = []
    assert list(text.read_rows(str(path), (), lambda *told: bad.append(told))) == [(3, {"a": "2", "b": "3"})]
    assert [line for line, _ in bad] == [2, 4]


@pytest.mark.parametrize("kind", ["avsbench", "avs-synthetic"])
def test_an_import_tells_file_and_byte_of_a_table_in_latin_1(kind: str, tmp_path: Path) -> None:
    name, header = {
        "avsbench": ("s4_meta_data.csv", "name,start,category,split"),
        "avs-synthetic": ("annotations.csv", "inst_id,img_id,cls_name,split,audio_name"),
    }[kind]
    (tmp_path / name).write_bytes(f"{header}\naaaaaaaaaaa_0,0,caf\u00e9,train,x\n".encode("latin-1"))
    told = call(main, "import", kind, tmp_path, "--out", tmp_path / "out")
    assert told.exit_code == 1
    assert f"{name}, line 2, byte {len(header) + 20}: 0xe9 is not UTF-8" in told.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "list.csv: No such file or directory"),
        (b"", "it must be a CSV with a header"),
        (b"video_id,split\n", "lists no video"),
        (b"video_id,split\nshort,test\n", ":2: 'short' is no YouTube id"),
        (b"video_id,split\naaaaaaaaaaa\n", ":2: 1 values where the header has 2"),
        ("video_id,title\naaaaaaaaaaa,\u00e9\n".encode("latin-1"), "byte 27: 0xe9 is not UTF-8"),
    ],
)
def test_a_held_out_list_that_is_none_is_told(
    content: bytes | None, said: str, corpora: str, dataset: str, tmp_path: Path
) -> None:
    path = tmp_path / "list.csv"
    if content is not None:
        path.write_bytes(content)
    for words in (
        ("build", "demo", "--corpora", corpora, "--out", tmp_path / "out", "--held-out", path),
        ("publish", dataset, "--version", "1.0.0", "--to", tmp_path / "to", "--held-out", path),
    ):
        told = call(main, *words)
        assert told.exit_code == 1, told.output
        assert said in told.stderr
        assert not (tmp_path / "out").exists()


def test_mistyped_names_in_a_recipe_are_told(corpora: str, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    for labels, said in (
        ('categories = ["dgo"]', "has no category 'dgo' (near: dog"),
        ('map = "vas"', "no label map 'vas': give a name that ships (avs)"),
        (f'map = "{tmp_path}/none.csv"', "none.csv: No such file"),
    ):
        recipe.write_text(f'name = "x"\n[labels]\n{labels}\n')
        for words in (
            ("build", recipe, "--corpora", corpora, "--out", tmp_path / "out"),
            ("plan", recipe, "--corpora", corpora),
            ("fetch", "plan", recipe, "--corpora", corpora),
        ):
            told = call(main, *words)
            assert told.exit_code == 1, told.output
            assert said in told.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["demo-corpora", "--out", "{out}", "--images", "3000", "--workers", "2"],
        ["build", "demo", "--corpora", "{corpora}", "--out", "{out}"],
        ["build", "demo", "--corpora", "{corpora}", "--out", "{out}", "--workers", "2"],
    ],
    ids=["demo-corpora, 2 workers", "build", "build, 2 workers"],
)
def test_an_interrupted_command_ends_in_one_line(words: list[str], corpora: str, tmp_path: Path) -> None:
    """As Ctrl-C does: the signal goes to all processes of the command, at once when it has begun to write."""
    out = tmp_path / "out"
    command = [*AVS_DATA, *(word.format(out=out, corpora=corpora) for word in words)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while process.poll() is None and not out.exists():
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, told = process.communicate(timeout=120)
    assert process.returncode == 130, told
    assert "Traceback" not in told
    assert told.count("Error: interrupted") == 1
