"""The configuration of a run: frozen, checked as a whole, written beside what it produced.

A configuration is a TOML file, by path or by the name of one in `avs_train/configs/`. `base = "NAME"` takes another one
first; `section.key=value` on the command line comes last.
"""

import difflib
import tomllib
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from avs_train import run_state
from avs_train.model_config import MOST_PIXELS, ModelConfig
from shards.errors import AvsError
from shards.text import TextError, read_toml

CONFIGS = Path(__file__).parent / "configs"
_MOST = 2**53  # of all numbers


class ConfigError(AvsError):
    """Everything that is wrong with a configuration, one fault a line."""

    def __init__(self, source: str, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        super().__init__(
            f"{source} has {len(faults)} fault{'s' * (len(faults) > 1)}:\n  " + "\n  ".join(faults)
        )


def option(
    default: Any, *, least: float | None = None, most: float | None = None, choices: Sequence[str] = ()
) -> Any:
    """A field with its bounds, inclusive."""
    return field(default=default, metadata={"least": least, "most": most, "choices": tuple(choices)})


@dataclass(frozen=True)
class AudioConfig:
    """What turns a clip into 128 numbers."""

    encoder: str = option("vggish", choices=("vggish", "mel_statistics"))
    checkpoint: str = ""  # VGGish weights, converted or official
    embeddings: str = ""  # table from `avs-train embed`; empty: embed each clip when it is first heard
    downmix: str = option("refuse", choices=("refuse", "mean"))  # stereo: mean of both channels is heard


@dataclass(frozen=True)
class DataConfig:
    """How samples reach the model."""

    dataset: str = ""  # name of the dataset this configuration is for; another is refused; empty: any
    audio: str = option(
        "frozen", choices=("frozen", "repaired")
    )  # repaired: a new clip of the category each epoch; of scenes for each source, mixed anew
    kinds: str = ""  # of scenes that are trained on, as "single,mixture"; empty: all
    augment: bool = False  # another part of each photo, mirrored or not, every epoch; the paper does not
    fraction: float = option(1.0, least=0.0001, most=1)  # few-shot: of the training videos
    window_shards: int = option(8, least=1)  # shards whose samples are shuffled together
    workers: int = option(4, least=0, most=1024)  # decoding threads
    prefetch: int = option(3, least=1)  # batches decoded ahead
    cache_dir: str = ""  # remote shards; empty: the user's cache folder
    cache_gb: float = option(20.0, least=0)
    image_embeddings_gb: float = option(
        0.0, least=0
    )  # ap_sam: keep its image embeddings in the run; 0: do not
    corrupt_tolerance: float = option(0.001, least=0, most=1)  # fraction of a split


@dataclass(frozen=True)
class TrainConfig:
    """Loss, schedule and how a step is carried out."""

    epochs: int = option(80, least=1)
    batch_size: int = option(8, least=1)  # global: over all ranks and micro-batches
    micro_batch: int = option(0, least=0)  # most samples at once on one device; 0: this rank's whole part
    lr: float = option(2e-4, least=0)
    lr_end: float = option(1e-7, least=0)  # the cosine, one value an epoch, ends here
    weight_decay: float = option(0.01, least=0)
    bce_weight: float = option(1.0, least=0)  # of cross-entropy, between classes too
    iou_weight: float = option(1.0, least=0)
    negatives: str = option(
        "bce", choices=("bce", "bce_iou")
    )  # loss of an empty target; losses.py says which
    precision: str = option("auto", choices=("auto", "bf16", "fp32"))  # auto: bf16 on a GPU, fp32 on a CPU
    device: str = option("auto", choices=("auto", "cuda", "cpu"))
    seed: int = 0
    init: str = ""  # begin from this run, or from a checkpoint file: ours, or the released SAMA-AVS weights
    sam_checkpoint: str = ""  # official or converted SAM weights for the frozen part
    validate_first: bool = False  # also before the first step: what chance gives
    validate_every: int = option(1, least=1)  # epochs
    save_every: int = option(0, least=0)  # steps between checkpoints; 0: at the end of each epoch
    log_every: int = option(10, least=1)  # steps
    tensorboard: bool = True
    wandb: str = ""  # project name; needs the extra `wandb`


@dataclass(frozen=True)
class EvaluateConfig:
    """How masks are measured."""

    batch_size: int = option(8, least=1)
    resolution: int = option(
        0, least=0, most=MOST_PIXELS
    )  # side of the masks compared; 0: the model's input size, as the paper
    pictures: int = option(8, least=0)  # sample predictions drawn


@dataclass(frozen=True)
class Config:
    """One run. `name` is the file's, and the default run folder's."""

    name: str
    description: str
    model: ModelConfig = field(default_factory=ModelConfig)
    audio: AudioConfig = AudioConfig()
    data: DataConfig = DataConfig()
    train: TrainConfig = TrainConfig()
    evaluate: EvaluateConfig = EvaluateConfig()

    def faults(self) -> list[str]:
        """What sections say that does not go together."""
        if not self.data.image_embeddings_gb:
            return []
        why = {
            "the sound is in them": self.model.name == "sama",
            "sam trains nothing": self.model.name == "sam",
            "model.train_encoder changes them at every step": self.model.train_encoder,
            "data.augment shows another part of a photo every epoch": self.data.augment,
        }
        return [
            f"data.image_embeddings_gb = {self.data.image_embeddings_gb}: image embeddings cannot be kept, {reason}; "
            "leave it 0"
            for reason, holds in why.items()
            if holds
        ]

    @property
    def mask_size(self) -> int:
        return self.evaluate.resolution or self.model.image_size


SECTIONS: dict[str, type] = {
    "model": ModelConfig,
    "audio": AudioConfig,
    "data": DataConfig,
    "train": TrainConfig,
    "evaluate": EvaluateConfig,
}
# What may change between a checkpoint and the run that resumes from it: nothing here moves a number.
FREE_ON_RESUME = {
    "model.checkpointing", "model.compile", "model.attention", "audio.checkpoint", "audio.embeddings", "data.dataset",
    "data.workers", "data.prefetch", "data.cache_dir", "data.cache_gb", "data.image_embeddings_gb",
    "data.corrupt_tolerance", "train.micro_batch",
    "train.device", "train.init", "train.sam_checkpoint", "train.save_every", "train.log_every", "train.tensorboard",
    "train.wandb", "evaluate.batch_size", "evaluate.pictures",
}  # fmt: skip


def names() -> list[str]:
    """The configurations that come with the package."""
    return sorted(path.stem for path in CONFIGS.glob("*.toml"))


def load(name_or_path: str, overrides: Sequence[str] = ()) -> Config:
    """Read, compose, override and check a configuration.

    Args:
        overrides: `section.key=value`, or `key=value` where only one section has the key; values as in TOML, text
            also without quotes.
    Raises:
        ConfigError: with every fault at once.
    """
    faults: list[str] = []
    path = _find(name_or_path)
    values = _composed(path, faults, ())
    for override in overrides:
        _override(values, override, faults)
    return _checked(path.stem, values, str(name_or_path), faults)


def from_values(values: Mapping[str, Any], source: str, overrides: Sequence[str] = ()) -> Config:
    """The configuration that a checkpoint's `state.json` holds, overridden.

    Raises:
        ConfigError: with every fault at once.
    """
    faults: list[str] = []
    sections = {
        title: dict(value) if isinstance(value, Mapping) else value for title, value in values.items()
    }
    for override in overrides:
        _override(sections, override, faults)
    return _checked(str(values.get("name", "")), sections, source, faults)


def of_model(model: str, overrides: Sequence[str] = ()) -> Config | None:
    """The configuration of a run folder or of a name, read without torch; None where a folder holds no run."""
    if not Path(model).is_dir():
        return load(model, overrides)
    for folder in (Path(model, "best"), Path(model, "last"), Path(model)):
        if (folder / "state.json").is_file():
            return from_values(run_state.read(folder)["config"], str(folder), overrides)
    return None


def check_weights(config: Config) -> None:
    """That the checkpoints which a configuration names are there, said before torch is imported.

    Raises:
        ConfigError: one is not; says where the page is that tells how to get it.
    """
    named = {"train.sam_checkpoint": config.train.sam_checkpoint}
    if Path(config.train.init).is_file():
        named = {}  # it may hold the frozen weights too
    if config.audio.encoder == "vggish":
        named["audio.checkpoint"] = config.audio.checkpoint
    faults = [
        f"{key}: {path} is not there; docs/train_on_gpus.md says where its weights come from and how to convert them"
        for key, path in named.items()
        if path and not Path(path).is_file()
    ]
    if faults:
        raise ConfigError(config.name, faults)


def to_values(config: Config) -> dict[str, Any]:
    """Sections of plain values, keys without a value left out: what TOML and JSON can hold."""
    plain = asdict(config)
    for section in SECTIONS:
        plain[section] = {key: value for key, value in plain[section].items() if value is not None}
    return plain


def to_toml(config: Config) -> str:
    """The full configuration as a TOML file that `load` reads back."""
    lines = [f"description = {_toml(config.description)}"]
    for section, values in to_values(config).items():
        if section in SECTIONS:
            lines += ["", f"[{section}]", *(f"{key} = {_toml(value)}" for key, value in values.items())]
    return "\n".join(lines) + "\n"


def changes(saved: Mapping[str, Any], config: Config) -> list[str]:
    """Settings that decide the numbers of a run and differ from a checkpoint's, one line each."""
    now = to_values(config)
    return [
        f"{section}.{key}: {saved.get(section, {}).get(key)!r} then, {now[section].get(key)!r} now"
        for section in SECTIONS
        for key in sorted(saved.get(section, {}).keys() | now[section].keys())
        if f"{section}.{key}" not in FREE_ON_RESUME
        and saved.get(section, {}).get(key) != now[section].get(key)
    ]


def _find(name_or_path: str) -> Path:
    packaged = CONFIGS / f"{name_or_path}.toml"
    if packaged.is_file():
        return packaged
    if Path(name_or_path).is_file():
        return Path(name_or_path)
    close = difflib.get_close_matches(name_or_path, names(), n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    raise ConfigError(name_or_path, [f"no such file, nor one of: {', '.join(names())}{hint}"])


def _composed(path: Path, faults: list[str], above: tuple[Path, ...]) -> dict[str, Any]:
    try:
        values = read_toml(str(path))
    except TextError as error:
        raise ConfigError(str(path), [str(error)]) from error
    base = values.pop("base", None)
    if base is None:
        return values
    beside = path.parent / f"{base}.toml"
    below = beside if beside.is_file() else _find(str(base))
    if below in above or below == path:
        raise ConfigError(str(path), [f"base {base!r} leads back to itself"])
    merged = _composed(below, faults, (*above, path))
    for key, value in values.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = {**merged[key], **value}
        else:
            merged[key] = value
    return merged


def _override(values: dict[str, Any], override: str, faults: list[str]) -> None:
    name, equals, text = override.partition("=")
    if not equals:
        faults.append(f"{override!r}: an override is section.key=value")
        return
    section, dot, key = name.partition(".")
    if not dot:
        holders = [title for title, kind in SECTIONS.items() if name in {each.name for each in fields(kind)}]
        if len(holders) != 1:
            faults.append(
                f"{name}: {_no_such_key(name) if not holders else 'say which: ' + _either(holders, name)}"
            )
            return
        section, key = holders[0], name
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    values.setdefault(section, {})[key] = value


def _checked(name: str, values: dict[str, Any], source: str, faults: list[str]) -> Config:
    sections: dict[str, Any] = {}
    for title, section in values.items():
        if title in ("name", "description"):
            continue
        if title not in SECTIONS:
            faults.append(f"{title}: no such section; there are {', '.join(SECTIONS)}")
        elif not isinstance(section, dict):
            faults.append(f"{title} = {section!r}: [{title}] is a section")
        else:
            accepted = dict(_accepted(title, section, faults))
            sections[title] = SECTIONS[title](**accepted)
            if title == "model":
                faults += [f"model.{fault}" for fault in sections[title].faults()]
    found = Config(name, str(values.get("description", "")), **sections)
    faults += found.faults()
    if faults:
        raise ConfigError(source, faults)
    return found


def _accepted(title: str, section: Mapping[str, Any], faults: list[str]) -> Iterator[tuple[str, Any]]:
    kinds = typing.get_type_hints(SECTIONS[title])
    rules = {each.name: each.metadata for each in fields(SECTIONS[title])}
    for key, value in section.items():
        if key not in kinds:
            faults.append(f"{title}.{key}: {_no_such_key(key)}")
            continue
        allowed = typing.get_args(kinds[key]) if isinstance(kinds[key], types.UnionType) else (kinds[key],)
        if float in allowed and type(value) is int:
            value = float(value)
        rule = rules[key]
        if type(value) not in allowed:
            wanted = " or ".join(kind.__name__ for kind in allowed if kind is not types.NoneType)
            faults.append(f"{title}.{key} = {value!r}: expected {wanted}")
        elif isinstance(value, int | float) and not -_MOST <= value <= _MOST:  # nan is neither
            faults.append(f"{title}.{key} = {value!r}: not a number up to {_MOST:,}")
        elif rule.get("choices") and value not in rule["choices"]:
            faults.append(f"{title}.{key} = {value!r}: choose {', '.join(rule['choices'])}")
        elif rule.get("least") is not None and value < rule["least"]:
            faults.append(f"{title}.{key} = {value!r}: at least {rule['least']}")
        elif rule.get("most") is not None and value > rule["most"]:
            faults.append(f"{title}.{key} = {value!r}: at most {rule['most']}")
        else:
            yield key, value


def _no_such_key(key: str) -> str:
    known = [f"{title}.{each.name}" for title, kind in SECTIONS.items() for each in fields(kind)]
    close = difflib.get_close_matches(key, [name.split(".")[1] for name in known], n=1)
    named = [name for name in known if close and name.split(".")[1] == close[0]]
    return "no such key" + (f"; did you mean {named[0]}?" if named else "; `avs-train fit --help` lists them")


def _either(holders: Sequence[str], key: str) -> str:
    return " or ".join(f"{holder}.{key}" for holder in holders)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    return repr(value)
