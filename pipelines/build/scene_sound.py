"""The sound of a scene as a recipe makes it of its clips."""

from collections.abc import Sequence

import msgspec
import numpy as np

from pipelines.recipes.recipe import Recipe
from shards import hashing, records
from shards.records import Source
from shards.scene_sound import SoundRules, mixed
from shards.sound import RATE_HZ, mix, pcm_to_flac
from shards.writer import Content


def rules(recipe: Recipe) -> SoundRules:
    """What the manifest says of how a recipe's sounds are made."""
    told = recipe.scene.sound
    return SoundRules(
        rule=told.rule,  # type: ignore[arg-type]  # the recipe's own check allows no other, nor another crop or pan
        crop=told.crop,  # type: ignore[arg-type]
        duration_s=round(told.duration_s * RATE_HZ) / RATE_HZ,
        channels=2 if told.stereo else 1,
        pan_law=told.pan if told.stereo else "",  # type: ignore[arg-type]
        level_db=told.level_db,
        snr_low_db=told.snr_low_db,
        snr_high_db=told.snr_high_db,
        silence_peak=recipe.select.silence_peak,
    )


def sounded(
    key: str,
    width: int,
    sources: Sequence[Source],
    parts: Sequence[tuple[int, np.ndarray]],
    recipe: Recipe,
) -> tuple[tuple[Source, ...], records.Sound, Content]:
    """Sources with what the recipe does to their clips, how they became one sound, and the sound.

    Args:
        key, width: of the sample, and of its photo in pixels.
        sources: category, masks and clip of each; one without a clip is noise. parts: of each that has one, as of
            `shards.scene_sound.part`.
    """
    how, seed, stereo = rules(recipe), recipe.seed, recipe.scene.sound.stereo
    waiting, placed, heard = iter(parts), [], []
    for source in sources:
        pan = _pan(source, key, width, seed) if stereo else 0.5
        late = mix.delay(pan) if stereo and recipe.scene.sound.delay else 0
        placed.append(msgspec.structs.replace(source, pan=pan, delay=late))
        heard.append(next(waiting) if source.audio else (0, mix.noise(seed, key, how.samples)))
    told_of, made = mixed(key, placed, heard, how, seed)
    content = Content.of(pcm_to_flac(made.pcm))
    told = records.Sound(
        how.rule, how.channels, how.pan_law, how.duration_s, made.scale, made.clipped, content.sha256
    )
    return told_of, told, content


def _pan(source: Source, key: str, width: int, seed: int) -> float:
    """Where a source is heard: at the middle of its box; what is not seen, anywhere, drawn by hash."""
    if not source.mask_ids:
        return int(hashing.unit(seed, "pan", key, source.category) * 1001) / 1000
    x, _, wide, _ = source.bbox
    return (1000 * (2 * x + wide) + width) // (2 * width) / 1000
