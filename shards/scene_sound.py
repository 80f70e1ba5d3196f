"""How rules make one sound of a scene's clips: parts, gains, and the sum. A build mixes so, and a trainer that gives a
scene other clips.

What depends on the clips is decided here: where the part begins that is heard, and the gains. Where a source is heard
from (`pan`, `delay`) is a matter of the scene, and stays.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

import msgspec
import numpy as np

from shards import hashing
from shards.records import Source
from shards.rejections import Reason, Rejected
from shards.sound import MAX_AUDIO_S, RATE_HZ, mix, pcm_of

_MOST_STARTS = 100_000  # clips whose parts are kept in mind: 20 MB
NOISE = Source("", (), 0, (0, 0, 0, 0), None)


@dataclass(frozen=True)
class SoundRules:
    """How the sounds of a dataset of scenes were made; `sound` of its manifest. `mix` says what each rule does.

    level_db: RMS below full scale of the sum, not of `vpo`. snr_low_db, snr_high_db: by how much the other sources of
    `snr` are quieter than the loudest. silence_peak: a part with a lower peak, in [0, 1], is not heard.
    """

    rule: Literal["vpo", "equal_rms", "snr"]
    crop: Literal["first", "middle", "loudest"]
    duration_s: Annotated[float, msgspec.Meta(gt=0, le=MAX_AUDIO_S)]
    channels: Literal[1, 2] = 1
    pan_law: Literal["", "linear", "constant_power"] = ""  # empty in mono
    level_db: Annotated[float, msgspec.Meta(ge=-60, le=0)] = -25.0
    snr_low_db: Annotated[float, msgspec.Meta(ge=0, le=40)] = 0.0
    snr_high_db: Annotated[float, msgspec.Meta(ge=0, le=40)] = 10.0
    silence_peak: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0

    @property
    def samples(self) -> int:
        return round(self.duration_s * RATE_HZ)


def part(pcm: np.ndarray, rules: SoundRules, name: str) -> tuple[int, np.ndarray]:
    """Where the part of a clip begins that is heard, and the part, (rules.samples,) int16.

    Args:
        pcm: (n,) int16. name: of the clip, for the error.

    Raises:
        Rejected: the part is silent.
    """
    start = mix.crop_start(pcm, rules.samples, rules.crop)
    return start, _loud_enough(mix.cropped(pcm, start, rules.samples), start, rules, name)


@dataclass
class Parts:
    """The parts of clips as the pool holds them. Of a clip that was heard before, no more is decoded than its part."""

    rules: SoundRules
    _starts: dict[bytes, int] = field(default_factory=dict)  # by half of the clip's hash

    def of(self, flac: bytes, sha256: str, name: str) -> tuple[int, np.ndarray]:
        """As `part`, of a clip with this hash. Raises Rejected."""
        key = bytes.fromhex(sha256[:32])
        start = self._starts.get(key)
        if start is None:
            start, found = part(pcm_of(flac), self.rules, name)
            if len(self._starts) >= _MOST_STARTS:
                self._starts.clear()
            self._starts[key] = start
            return start, found
        found = np.resize(pcm_of(flac, start, self.rules.samples), self.rules.samples)
        return start, _loud_enough(found, start, self.rules, name)


def _loud_enough(found: np.ndarray, start: int, rules: SoundRules, name: str) -> np.ndarray:
    peak = max(int(found.max()), -int(found.min())) / 32768
    if not peak or peak < rules.silence_peak:
        told = f"{name} from {start / RATE_HZ:g} s on: peak {peak:.5f}; at least {rules.silence_peak:g}"
        raise Rejected(Reason.AUDIO_SILENT, told)
    return found


def mixed(
    key: str, sources: Sequence[Source], parts: Sequence[tuple[int, np.ndarray]], rules: SoundRules, seed: int
) -> tuple[tuple[Source, ...], mix.Mix]:
    """Sources with the places of their parts and with their gains, and their sum.

    Args:
        key: of the sample. sources: with pan and delay; one without a clip is noise. parts: of each, as of `part`.
    """
    names = [f"{source.category}|{'+'.join(source.mask_ids)}" for source in sources]
    loudest = min(names, key=lambda name: hashing.hash64(seed, "loudest", key, name), default="")
    below = [0.0 if name == loudest else _below_db(rules, seed, key, name) for name in names]
    noise = any(source.audio is None for source in sources)
    rule = "equal_rms" if noise else rules.rule  # a raw sum says nothing of noise
    gains = mix.gains(rule, [pcm for _, pcm in parts], rules.level_db, below)
    placed = tuple(
        msgspec.structs.replace(source, crop_start_s=start / RATE_HZ, gain_db=gain_db)
        for source, (start, _), gain_db in zip(sources, parts, gains, strict=True)
    )
    tracks = [
        mix.Track(pcm, source.gain_db, source.pan, source.delay)
        for source, (_, pcm) in zip(placed, parts, strict=True)
    ]
    return placed, mix.render(tracks, rules.samples, rules.channels, rules.pan_law)


def _below_db(rules: SoundRules, seed: int, key: str, name: str) -> float:
    """By how much a source is quieter than the loudest under `snr`, drawn by hash, to a tenth."""
    spread = round(10 * (rules.snr_high_db - rules.snr_low_db))
    return (round(10 * rules.snr_low_db) + int(hashing.unit(seed, "snr", key, name) * (spread + 1))) / 10
