"""The recipe: one TOML file that says what a dataset is. Parsed once, every fault reported together."""

import hashlib
import tomllib
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, get_args, get_origin

from shards import format
from shards import text as texts
from shards.errors import AvsError
from shards.manifest import Manifest
from shards.sound import mix

RECIPES = Path(__file__).parent
HUMAN, SAM = "human", "sam"  # who drew a mask


class RecipeError(AvsError):
    """A recipe that cannot be used; the message lists every fault with value, rule and remedy."""


def number(default: float, low: float, high: float = float("inf")) -> Any:
    """A field whose value must lie between two bounds, both allowed."""
    return field(default=default, metadata={"low": low, "high": high})


def choice(default: str, *choices: str) -> Any:
    """A field that takes one of some texts."""
    return field(default=default, metadata={"choices": choices})


@dataclass(frozen=True)
class Labels:
    map: str = "avs"  # a label map that ships with the project, or the path of one
    categories: tuple[str, ...] = ()  # and their kinds; none named: all of the map
    narrower_sounds: bool = (
        False  # hear what one kind sounds over masks that show any (a baby crying over persons)
    )


@dataclass(frozen=True)
class Select:
    instances: str = choice("union", "union", "instance", "single")
    min_area_fraction: float = number(0.005, 0, 1)  # of the image, after instances are joined
    max_area_fraction: float = number(0.95, 0, 1)
    min_side_px: int = number(128, 1)  # the image's shorter side
    max_image_pixels: int = number(50_000_000, 1, format.MAX_PIXELS)
    not_exhaustive: bool = (
        False  # keep unions where the corpus says that more may be seen than is annotated (LVIS)
    )
    mask_sources: tuple[str, ...] = (
        "human",
    )  # and sam: what `avs-train segment` drew where there are boxes alone
    min_predicted_iou: float = number(0.88, 0, 1)  # of masks by sam: how good it thinks that they are
    min_stability: float = number(0.95, 0, 1)  # of those, too: IoU of the mask cut a little tighter and wider
    crowd: bool = False  # keep masks of a crowd (LVIS iscrowd)
    group_of: bool = False  # keep boxes drawn around a group (Open Images IsGroupOf)
    depiction: bool = False  # keep drawings and toys (Open Images IsDepiction)
    background_sounds: bool = False  # keep clips in which the corpus says that something else is heard more
    image_licences: tuple[str, ...] = ()  # none named: any, unknown too
    audio_licences: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()  # CSV files of what was judged bad: URLs, or paths from the recipe's folder
    per_class_cap: int = number(0, 0)  # samples of one category; 0: no cap
    min_duration_s: float = number(1.0, 0, 10)
    max_duration_s: float = number(60.0, 0)  # of the media file; what is kept is its first 10 s at most
    silence_peak: float = number(0.001, 0, 1)  # a clip whose every sample is below is silent


@dataclass(frozen=True)
class Split:
    train: int = number(52_609, 0)
    val: int = number(5_000, 0)
    test: int = number(5_000, 0)
    exact: bool = False  # trim each split to its size
    near_duplicates: bool = True  # keep near-duplicates that `avs-data fetch` found in one split
    held_out: tuple[
        str, ...
    ] = ()  # CSV files below the corpora folder with videos that training must not hear


@dataclass(frozen=True)
class Shares:
    """How many of the scenes that are possible are made: each is or is not, by a hash of what it is about."""

    single: float = number(1.0, 0, 1)  # of the sources of a photo, each heard alone
    mixture_of_2: float = number(0.0, 0, 1)  # of its pairs of sources, heard together
    mixture_of_3: float = number(0.0, 0, 1)
    silence: float = number(0.0, 0, 1)  # of the photos, under silence
    noise: float = number(0.0, 0, 1)
    off_screen: float = number(0.0, 0, 1)  # of the photos, under a sound of what they surely do not show


@dataclass(frozen=True)
class SceneSound:
    """How clips become the sound of a scene; `shards/sound/mix.py` says what each rule does."""

    rule: str = choice("equal_rms", *mix.RULES)
    level_db: float = number(
        -25.0, -60, -6
    )  # RMS below full scale of the sum, before it is panned; not of vpo
    snr_low_db: float = number(
        0.0, 0, 40
    )  # by how much snr's other sources are quieter than the loudest, by hash
    snr_high_db: float = number(10.0, 0, 40)
    crop: str = choice("first", *mix.CROPS)
    duration_s: float = number(10.0, 1, 10)
    stereo: bool = False
    pan: str = choice("linear", *mix.PAN_LAWS)  # in stereo
    delay: bool = False  # and between the ears


@dataclass(frozen=True)
class Scene:
    """What may be heard over a photo: one thing, several, none. Without this table: one, by one clip as it is."""

    targets: tuple[str, ...] = ("binary",)  # and classes, instances
    sources: str = choice("category", "category", "instance")  # instance: one object of several, in stereo
    min_distance: float = number(0.2, 0, 1)  # of the photo's width, between the centres of such objects
    max_overlap: float = number(0.2, 0, 1)  # of the smaller of two masks that sound together
    min_sources: int = number(1, 1)  # that a photo offers; photos with fewer make no scene
    most_per_photo: int = number(
        0, 0
    )  # scenes of one photo, those with the lowest hash; 0: all that are drawn
    off_screen: str = choice(
        "verified", "verified", "not_annotated"
    )  # what makes certain that it is not there
    shares: Shares = Shares()
    evaluation: Shares = Shares()  # of val and test; left out: as `shares`
    sound: SceneSound = SceneSound()


@dataclass(frozen=True)
class Shards:
    samples_per_shard: int = number(1_000, 1)
    clips_per_shard: int = number(500, 1)


@dataclass(frozen=True)
class Recipe:
    """What a dataset is. `text` is the file as written, `sha256` that of its bytes."""

    name: str
    seed: int = 0
    corpora: tuple[str, ...] = ()  # that are read; none named: all that are there
    labels: Labels = Labels()
    select: Select = Select()
    split: Split = Split()
    scene: Scene = Scene(targets=())  # no targets: no table [scene]
    shards: Shards = Shards()
    fetch: dict[str, Any] = field(default_factory=dict)  # read by `avs-data fetch` alone
    about: str = ""  # what `plan` and `fetch plan` say of it
    text: str = field(default="", metadata={"internal": True})
    folder: str = field(default="", metadata={"internal": True})  # that its file lies in

    @property
    def takes_models(self) -> bool:
        """Whether masks of a model are taken, so that records tell who drew each."""
        return self.select.mask_sources != (HUMAN,)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


def load(name_or_path: str) -> Recipe:
    """Read a recipe from a path, or by the name of one that ships with the project.

    Raises:
        RecipeError: no such file, no TOML, or fields that break their rules: all of them named.
    """
    path = Path(name_or_path)
    if not path.exists() and (RECIPES / f"{name_or_path}.toml").exists():
        path = RECIPES / f"{name_or_path}.toml"
    try:
        text = texts.read_text(str(path), texts.TOML_BYTES)
        table = tomllib.loads(text)
    except OSError as error:
        shipped = ", ".join(sorted(recipe.stem for recipe in RECIPES.glob("*.toml")))
        raise RecipeError(
            f"{name_or_path}: {error.strerror}; give the path of a TOML file or one of: {shipped}"
        ) from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise RecipeError(f"{path} is not TOML: {error}") from error
    return replace(parse(table, text, str(path)), folder=str(path.parent))


def recorded(made: Manifest) -> Recipe | None:
    """The recipe that a dataset was built by, as its manifest has it; None where it was imported, not built.

    Raises:
        RecipeError: it is none.
    """
    text = made.recipe["text"]
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise RecipeError(f"the manifest's recipe is not TOML: {error}") from error
    return None if set(table) == {"import"} else parse(table, text, "the manifest's recipe")


def parse(table: dict[str, Any], text: str, source: str) -> Recipe:
    """A recipe from a parsed TOML table; `source` names it in errors."""
    faults: list[str] = []
    recipe = read_table(Recipe, {**table, "text": text}, "", faults)
    if recipe is not None:
        select, split = recipe.select, recipe.split
        if select.min_area_fraction > select.max_area_fraction:
            faults.append(
                f"select.min_area_fraction = {select.min_area_fraction} is above max_area_fraction = "
                f"{select.max_area_fraction}: nothing would be kept"
            )
        if not select.mask_sources or (unknown := sorted(set(select.mask_sources) - {HUMAN, SAM})):
            told = ", ".join(unknown) if select.mask_sources else "none"
            faults.append(f"select.mask_sources = {told}: take of {HUMAN}, {SAM}")
        if split.train + split.val + split.test == 0:
            faults.append("split: train, val and test are all 0; give at least one a size")
        if "scene" in table and isinstance(table["scene"], dict):
            faults += _scene_faults(recipe)
            if "evaluation" not in table["scene"]:
                recipe = replace(recipe, scene=replace(recipe.scene, evaluation=recipe.scene.shares))
    if faults or recipe is None:
        raise RecipeError(
            f"{source} has {len(faults)} fault(s):\n" + "\n".join(f"  - {fault}" for fault in faults)
        )
    return recipe


def _scene_faults(recipe: Recipe) -> Iterator[str]:
    scene = recipe.scene
    if unknown := sorted(set(scene.targets) - set(format.TARGETS)):
        yield f"scene.targets = {', '.join(unknown)}: take of {', '.join(format.TARGETS)}"
    if "binary" not in scene.targets:
        yield f"scene.targets = {list(scene.targets)}: binary is always one, every sample has its mask"
    if recipe.select.instances != "union":
        yield (
            f"select.instances = '{recipe.select.instances}' with a table [scene]: leave it at union; "
            "scene.sources = 'instance' lets single objects sound"
        )
    if scene.sources == "instance" and not scene.sound.stereo:
        yield (
            "scene.sources = 'instance' with scene.sound.stereo = false: nothing in mono tells which of two objects of "
            "one category sounds; set scene.sound.stereo = true"
        )
    for name in ("shares", "evaluation"):
        shares = getattr(scene, name)
        if not any(getattr(shares, share.name) for share in fields(shares)):
            yield f"scene.{name}: all are 0, so there is no scene; give at least one a share"
    sound = scene.sound
    if sound.snr_low_db > sound.snr_high_db:
        yield f"scene.sound.snr_low_db = {sound.snr_low_db:g} is above snr_high_db = {sound.snr_high_db:g}"
    if round(sound.level_db, 1) != sound.level_db:
        yield f"scene.sound.level_db = {sound.level_db!r}: gains are tenths of a decibel, write one decimal"


def read_table(cls: type, table: dict[str, Any], prefix: str, faults: list[str]) -> Any:
    """A frozen dataclass from a TOML table; what breaks a rule is added to `faults`, named with `prefix`."""
    known = {f.name: f for f in fields(cls)}
    for name in sorted(set(table) - set(known)):
        choices = ", ".join(n for n, f in known.items() if not f.metadata.get("internal"))
        faults.append(f"{prefix}{name} is unknown; known here: {choices}")
    if "name" in known and not table.get("name"):
        faults.append("name is missing: say what the dataset is called")
        table = {**table, "name": "?"}
    values = {}
    for name, f in known.items():
        if name not in table:
            continue
        where, value = prefix + name, table[name]
        if is_dataclass(f.type):
            if isinstance(value, dict):
                values[name] = read_table(f.type, value, where + ".", faults)  # type: ignore[arg-type]
            else:
                faults.append(f"{where} = {value!r}: write it as a table, [{where}]")
            continue
        kind = get_origin(f.type) or f.type
        if (
            kind is tuple
            and isinstance(value, list)
            and all(isinstance(v, get_args(f.type)[0]) for v in value)
        ):
            value = tuple(value)
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            faults.append(f"{where} = {value!r}: takes {_KINDS[kind]}")  # type: ignore[index]
            if f.default is MISSING and f.default_factory is MISSING:
                values[name] = value  # nothing is made of it
            continue
        low, high = f.metadata.get("low", value), f.metadata.get("high", value)
        if f.metadata and "low" in f.metadata and not low <= value <= high:
            faults.append(
                f"{where} = {value!r}: must be at least {low:g}"
                + (f" and at most {high:g}" if high < 1e18 else "")
            )
        if value not in f.metadata.get("choices", (value,)):
            faults.append(f"{where} = {value!r}: one of {', '.join(f.metadata['choices'])}")
        values[name] = value
    return cls(**values)


_KINDS = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
    tuple: "a list of texts",
    dict: "a table",
}
