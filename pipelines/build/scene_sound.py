"""How a recipe makes one sound of a scene's clips: parts, gains, places, and the sum."""

from collections.abc import Sequence

import msgspec
import numpy as np

from pipelines.recipes.recipe import Recipe, SceneSound
from shards import hashing, records
from shards.records import Source
from shards.rejections import Reason, Rejected
from shards.sound import RATE_HZ, mix, pcm_to_flac
from shards.writer import Content

NOISE = Source("", (), 0, (0, 0, 0, 0), None)


def sounded(
    key: str,
    kind: records.Kind,
    width: int,
    sources: Sequence[Source],
    clips: Sequence[np.ndarray],
    recipe: Recipe,
) -> tuple[tuple[Source, ...], records.Sound, Content]:
    """Sources with what the recipe does to their clips, how they became one sound, and the sound.

    Args:
        key, width: of the sample, and of its photo in pixels.
        sources: category, masks and clip of each; one without a clip is noise. clips: (n,) int16 of each.

    Raises:
        Rejected: the part of a clip that would be heard is silent.
    """
    rules, seed = recipe.scene.sound, recipe.seed
    samples = round(rules.duration_s * RATE_HZ)
    if kind == "noise":
        parts = [(0, mix.noise(seed, key, samples))]
    else:
        both = zip(sources, clips, strict=True)
        parts = [_part(source, pcm, samples, recipe) for source, pcm in both]
    names = [f"{source.category}|{'+'.join(source.mask_ids)}" for source in sources]
    loudest = min(names, key=lambda name: hashing.hash64(seed, "loudest", key, name), default="")
    below = [0.0 if name == loudest else _below_db(rules, seed, key, name) for name in names]
    rule = "equal_rms" if kind == "noise" else rules.rule  # a raw sum says nothing of noise
    gains = mix.gains(rule, [pcm for _, pcm in parts], rules.level_db, below)
    placed = []
    for source, (start, _), gain_db in zip(sources, parts, gains, strict=True):
        pan = _pan(source, key, width, seed) if rules.stereo else 0.5
        late = mix.delay(pan) if rules.stereo and rules.delay else 0
        given = {"crop_start_s": start / RATE_HZ, "gain_db": gain_db, "pan": pan, "delay": late}
        placed.append(msgspec.structs.replace(source, **given))
    tracks = [
        mix.Track(pcm, source.gain_db, source.pan, source.delay)
        for source, (_, pcm) in zip(placed, parts, strict=True)
    ]
    channels, law = (2, rules.pan) if rules.stereo else (1, "")
    made = mix.render(tracks, samples, channels, law)
    content = Content.of(pcm_to_flac(made.pcm))
    told = records.Sound(
        rules.rule, channels, law, samples / RATE_HZ, made.scale, made.clipped, content.sha256
    )
    return tuple(placed), told, content


def _part(source: Source, pcm: np.ndarray, samples: int, recipe: Recipe) -> tuple[int, np.ndarray]:
    """Where the part of a clip begins that is heard, and the part, `samples` long."""
    start = mix.crop_start(pcm, samples, recipe.scene.sound.crop)
    part = mix.cropped(pcm, start, samples)
    peak, least = max(int(part.max()), -int(part.min())) / 32768, recipe.select.silence_peak
    if not peak or peak < least:
        clip = source.audio.id if source.audio else "noise"
        told = f"{clip} from {start / RATE_HZ:g} s on: peak {peak:.5f}; at least {least:g}"
        raise Rejected(Reason.AUDIO_SILENT, told)
    return start, part


def _below_db(rules: SceneSound, seed: int, key: str, name: str) -> float:
    """By how much a source is quieter than the loudest under `snr`, drawn by hash, to a tenth."""
    spread = round(10 * (rules.snr_high_db - rules.snr_low_db))
    return (round(10 * rules.snr_low_db) + int(hashing.unit(seed, "snr", key, name) * (spread + 1))) / 10


def _pan(source: Source, key: str, width: int, seed: int) -> float:
    """Where a source is heard: at the middle of its box; what is not seen, anywhere, drawn by hash."""
    if not source.mask_ids:
        return int(hashing.unit(seed, "pan", key, source.category) * 1001) / 1000
    x, _, wide, _ = source.bbox
    return (1000 * (2 * x + wide) + width) // (2 * width) / 1000
