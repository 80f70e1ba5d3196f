"""The sound of a scene with other clips: each source hears another one of its category each epoch, mixed as a build
mixes (`shards/scene_sound.py`). A pure function of (seed, epoch, sample), so that ranks, workers and resuming change
nothing; epoch 0 is the sound in the shards.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from avs_train.data.samples import Split
from shards import records
from shards.records import SampleRecord, Source
from shards.rejections import Rejected
from shards.scene_sound import SoundRules, mixed, part
from shards.sound import mix

Part = tuple[int, np.ndarray]  # where the part of a clip begins, and the part


class Remix:
    """Scenes of a split with the clips of an epoch.

    Args:
        clip: gives (n,) int16, 16 kHz, of a clip of the pool by its id.
    """

    def __init__(self, split: Split, clip: Callable[[str], np.ndarray]) -> None:
        assert split.sound  # or the caller asked for what cannot be
        self._rules, self._seed, self._clip = split.sound, split.pairing_seed, clip
        self._pools, self._name = split.clips.pools, split.name

    def sound(self, record: SampleRecord, epoch: int) -> np.ndarray | None:
        """(n,) or (n, 2) int16 of a scene in an epoch; None where no clip of a source's category can be heard, and the
        sound in the shard is to be kept.

        A clip whose part would be silent is passed over, as a build passes it over. Noise is other noise each epoch;
        levels, pans and delays stay.
        """
        assert record.sound  # of a scene
        how = record.sound
        rules = replace(  # an imported dataset may have both mono and stereo
            self._rules,
            rule=how.rule,  # type: ignore[arg-type]  # of those that a manifest has
            duration_s=how.duration_s,
            channels=how.channels,  # type: ignore[arg-type]
            pan_law=how.pan_law,  # type: ignore[arg-type]
        )
        heard: list[tuple[Source, Part]] = []
        taken: list[int] = []
        for source in record.sources:
            if source.audio is None:
                key = f"{record.key}|{epoch}" if epoch else record.key
                heard.append((source, (0, mix.noise(self._seed, key, rules.samples))))
                continue
            drawn = self._draw(record, source, epoch, rules, taken)
            if drawn is None:
                return None
            heard.append((source, drawn))
        sources, parts = [one for one, _ in heard], [found for _, found in heard]
        return mixed(record.key, sources, parts, rules, self._seed)[1].pcm

    def _draw(
        self, record: SampleRecord, source: Source, epoch: int, rules: SoundRules, taken: list[int]
    ) -> Part | None:
        """The part of the source's clip that is heard; adds the clip to `taken`, and those that are silent there."""
        drawn = records.paired_as(record, source)
        while True:
            index = self._pools.draw(self._seed, epoch, drawn, self._name, source.category, taken)
            if index is None:
                return None
            taken.append(index)
            clip_id = self._pools.ids[index]
            try:
                return part(self._clip(clip_id), rules, clip_id)
            except Rejected:
                continue
