"""Run the commands on a folder of odd inputs, and print for each what is right and what came out.

    python tests/run_cases.py CASES [NAME ...] [--avs-data .venv/bin/avs-data]

A case is a folder with a README, whose text after "Right:" is the expected value, and either `corpora/` (built with
the first of its own recipe.toml, CASES/recipe_NAME.toml and CASES/recipe.toml, then verified) or folders to import.
Nothing is judged: two columns to read side by side. A traceback or a command that does not end is an error.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table
from rich.text import Text

SECONDS = 120
IMPORTERS = {
    "s4_meta_data.csv": "avsbench",
    "ms3_meta_data.csv": "avsbench",
    "metadata.csv": "avsbench",
    "annotations.csv": "avs-synthetic",
}


def expected(case: Path) -> str:
    text = " ".join((case / "README").read_text().split())
    return text.partition("Right:")[2].partition("Command:")[0].strip() or text


def recipes(case: Path) -> list[Path]:
    return [
        path for path in (case / "recipe.toml", *sorted(case.parent.glob("recipe*.toml"))) if path.exists()
    ]


def commands(case: Path, out: Path) -> list[list[str]]:
    """One command a way to read the case, each with an --out of its own."""
    if (case / "corpora").is_dir():
        return [
            ["build", str(recipe), "--corpora", str(case / "corpora"), "--out", str(out / recipe.stem)]
            for recipe in recipes(case)
        ]
    return [
        ["import", importer, str(found.parent), "--out", str(out / found.parent.name)]
        for name, importer in IMPORTERS.items()
        for found in sorted(case.rglob(name))
    ]


def run(avs_data: str, arguments: list[str]) -> tuple[int | None, str]:
    """Exit code (None: it did not end) and what was said."""
    try:
        done = subprocess.run([avs_data, *arguments], capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return None, f"no end after {SECONDS} s"
    return done.returncode, done.stdout + done.stderr


def outcome(avs_data: str, arguments: list[str]) -> tuple[str, bool]:
    """What came out in a few words, and whether the command behaved."""
    code, said = run(avs_data, arguments)
    behaved = code is not None and "Traceback" not in said
    out = Path(arguments[-1])
    lines = [f"{arguments[1].rsplit('/', 1)[-1]}: exit {code}"]
    if not (out / "manifest.json").exists():
        errors = [line for line in said.splitlines() if line.startswith("Error")] or said.splitlines()[-1:]
        return "\n".join([*lines, *(error[:200] for error in errors)]), behaved
    for row in pq.read_table(out / "samples.parquet").to_pylist():
        lines.append(f"sample {row['category']} {row['area_px']} px")
    lengths = sorted({round(row["duration_s"], 3) for row in pq.read_table(out / "pool.parquet").to_pylist()})
    lines.append(f"clips of {', '.join(map(str, lengths))} s")
    for row in pq.read_table(out / "rejections.parquet").to_pylist():
        lines.append(f"{row['stage']}: {row['reason']} {row['item']} ({(row['detail'] or '')[:90]})")
    code, said = run(avs_data, ["verify", str(out), "--deep"])
    lines.append(f"verify: exit {code}")
    return "\n".join(lines), behaved and code is not None and "Traceback" not in said


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cases", type=Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--avs-data", default=str(Path(sys.executable).with_name("avs-data")))
    chosen = parser.parse_args()
    table = Table("case", "expected", "got", show_lines=True)
    behaved = True
    with tempfile.TemporaryDirectory() as folder:
        for case in sorted(path.parent for path in chosen.cases.glob("*/README")):
            if chosen.names and case.name not in chosen.names:
                continue
            for arguments in commands(case, Path(folder) / case.name):
                got, fine = outcome(chosen.avs_data, arguments)
                behaved &= fine
                table.add_row(*map(Text, (case.name, expected(case), got)), style="" if fine else "red")
    Console(width=160).print(table)
    return 0 if behaved else 1


if __name__ == "__main__":
    sys.exit(main())
