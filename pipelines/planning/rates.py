"""What one item costs, as measured, and what a machine and its storage cost, as assumed: two TOML files."""

import tomllib
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from pipelines.recipes.recipe import number, read_table
from shards.errors import AvsError

HERE = Path(__file__).parent
SHIPPED_RATES, ASSUMED_PRICES = HERE / "rates.toml", HERE / "prices.toml"


class RatesError(AvsError):
    """A file of rates or prices that cannot be used; the message lists every fault."""


@dataclass(frozen=True)
class Seconds:
    """Processor seconds of one core for one item of a stage."""

    index_lvis: float = number(0, 0)  # a mask listed
    index_open_images: float = number(0, 0)
    index_vggsound: float = number(0, 0)  # a clip listed
    match: float = number(0, 0)  # a mask listed: read, linked to a category or rejected
    link: float = number(0, 0)  # a mask listed: its photo's names brought together
    measure: float = number(0, 0)  # a matched mask
    group: float = number(0, 0)  # a mask through a shuffle
    slice: float = number(0, 0)  # one slice of a table through a shuffle, whatever its rows
    reject: float = number(0, 0)  # a rejection through the shuffle to its table
    select: float = number(0, 0)  # a matched mask
    clips: float = number(0, 0)  # a clip listed: matched, stamped, split
    convert: float = number(0, 0)  # a clip decoded and encoded
    load_pool: float = number(0, 0)  # a clip of the pool, in every worker that pairs
    pair: float = number(0, 0)  # a sample
    plan_shard: float = number(0, 0)  # a sample through the shuffle to its shard
    shard: float = number(0, 0)  # a sample written
    finish_sample: float = number(0, 0)
    finish_shard: float = number(0, 0)


@dataclass(frozen=True)
class Bytes:
    """Bytes of one item; photos and clips differ between corpora, so `--corpora` counts its own."""

    photo: float = number(0, 0)
    clip: float = number(0, 0)  # a media file before conversion
    flac: float = number(0, 0)
    mask_png: float = number(0, 0)
    record: float = number(0, 0)  # KEY.json and the tar headers of a sample
    slice: float = number(0, 0)  # of a table, beside its rows
    name_row: float = number(0, 0)  # the names of a mask's photo in a shuffle
    mask_row: float = number(0, 0)  # a measured mask in a shuffle
    reject_row: float = number(0, 0)  # a rejection in a shuffle
    sample_row: float = number(0, 0)  # a paired sample in a shuffle
    pool_row: float = number(0, 0)  # a clip of the pool in the memory of every worker that pairs
    part_row: float = number(0, 0)  # a sample in the tables


@dataclass(frozen=True)
class Kept:
    """Fractions that the rules keep."""

    samples: float = number(1, 0, 1)  # of the pairs (photo, category) that the label map links
    paired: float = number(1, 0, 1)  # of those, with a clip of their split
    clips: float = number(1, 0, 1)  # of linked clips


@dataclass(frozen=True)
class Rates:
    """Where, when and how they were measured, and the rates. `start_s`: seconds before and between stages."""

    machine: str = ""
    date: str = ""
    command: str = ""
    start_s: float = number(0, 0)
    seconds: Seconds = Seconds()
    bytes: Bytes = Bytes()
    kept: Kept = Kept()


@dataclass(frozen=True)
class Prices:
    """What is paid, in `currency`. They differ by provider, region and contract: assumptions to be replaced."""

    currency: str = ""
    core_hour: float = number(0, 0)
    gb_month: float = number(0, 0)  # stored
    gb_egress: float = number(0, 0)  # leaving the provider's network


def load_rates(path: str | Path = SHIPPED_RATES) -> Rates:
    return _load(Rates, path)


def load_prices(path: str | Path = ASSUMED_PRICES) -> Prices:
    return _load(Prices, path)


def _load(kind: type, path: str | Path) -> Any:
    """A frozen record from TOML; RatesError where a field is unknown, missing or out of range."""
    faults: list[str] = []
    try:
        table = tomllib.loads(Path(path).read_text())
    except OSError as error:
        raise RatesError(f"{path}: {error.strerror}; avs-data plan --measure FILE writes one") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RatesError(f"{path} is not TOML: {error}") from error
    for name in _missing(kind, table, ""):
        faults.append(f"{name} is missing: nothing is taken to cost nothing; write 0 where it does")
    loaded = read_table(kind, table, "", faults)
    if faults:
        raise RatesError(
            f"{path} has {len(faults)} fault(s):\n" + "\n".join(f"  - {each}" for each in faults)
        )
    return loaded


def _missing(kind: type, table: dict[str, Any], prefix: str) -> list[str]:
    names = [f"{prefix}{f.name}" for f in fields(kind) if f.name not in table]
    for f in fields(kind):
        if isinstance(f.type, type) and hasattr(f.type, "__dataclass_fields__"):
            below = table.get(f.name)
            names += _missing(f.type, below, f"{f.name}.") if isinstance(below, dict) else []
    return names


def dump(rates: Rates) -> str:
    """TOML that `load_rates` reads back to the same numbers, at four digits."""
    lines = []
    for name, value in asdict(rates).items():
        if isinstance(value, dict):
            lines += ["", f"[{name}]"]
            lines += [f"{key} = {float(f'{each:.4g}')!r}" for key, each in value.items()]
        else:
            text = (
                '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' if isinstance(value, str) else ""
            )
            lines.append(f"{name} = {text or repr(float(f'{value:.4g}'))}")
    return "\n".join(lines) + "\n"
