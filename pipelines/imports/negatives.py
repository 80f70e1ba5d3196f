"""Photos under sounds that they do not show: the list of negatives that EASE draws for AVSBench-semantic.

    vid, uid, orig_a_obj, s_min, s_sec, split, label         a clip of metadata.csv
    neg_a_obj, use_noise, use_silent, use_offscreen          what is heard instead
    neg_vggish_emb_dir                                       .../LABEL/UID of the clip that is heard off the screen

EASE's script writes the list, with a header before each LABEL, for a share of the clips of val and test. Every frame
of such a clip becomes a sample with an empty mask, beside the one with its own sound. The noise is this project's own:
EASE keeps features of its noise, no sound.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipelines.imports.planned import Found, PlannedSample
from pipelines.imports.tables import rows
from shards import records
from shards.records import Audio, Kind
from shards.rejections import Reason, Rejected, rejection
from shards.scene_sound import NOISE, SoundRules, mixed
from shards.sound import RATE_HZ, WINDOW_SAMPLES, mix, pcm_of, pcm_to_flac
from shards.writer import Content

SEED = 0  # of imports
RULES = SoundRules("vpo", "first", WINDOW_SAMPLES / RATE_HZ)
_FLAGS: dict[str, Kind] = {"use_noise": "noise", "use_silent": "silence", "use_offscreen": "off_screen"}
_COLUMNS = ("uid", "orig_a_obj", "split", "label", "neg_a_obj", *_FLAGS, "neg_vggish_emb_dir")


def plan(found: Found, path: str) -> None:
    """Add the negatives of a list to the samples of AVSBench-semantic.

    Raises:
        LayoutError: no such file. TextError: not CSV in UTF-8, or a column is missing.
    """
    clips: dict[tuple[str, str], list[PlannedSample]] = {}
    for sample in found.samples:
        label, uid = sample.component.removeprefix(f"{found.name}:").split("/", 1)
        clips.setdefault((label, uid), []).append(sample)
    folder, _, name = path.rpartition("/")
    for where, row in rows(found, folder or ".", [name], _COLUMNS):
        if row["uid"] == "uid":  # the header again
            continue
        try:
            found.samples += _of_row(row, clips)
        except Rejected as error:
            found.rejections.append(rejection("import", where, error.reason, error.detail))


def _of_row(
    row: Mapping[str, str], clips: Mapping[tuple[str, str], list[PlannedSample]]
) -> Iterator[PlannedSample]:
    kinds = [kind for name, kind in _FLAGS.items() if row[name] == "True"]
    if len(kinds) != 1 or any(row[name] not in ("True", "False") for name in _FLAGS):
        told = ", ".join(f"{name} {row[name]!r}" for name in _FLAGS)
        raise Rejected(Reason.BAD_ROW, f"{told}: one of them is True, the others False")
    frames = _clip(clips, row["label"], row["uid"], row["split"], row["orig_a_obj"])
    heard: list[PlannedSample] = []
    if kinds == ["off_screen"]:
        label, _, uid = row["neg_vggish_emb_dir"].rstrip("/").rpartition("/")
        heard = _clip(clips, label.rpartition("/")[2], uid, row["split"], row["neg_a_obj"])
        _expect_absent(frames[0], heard[0])
    for number, frame in enumerate(frames[: len(heard) or None]):
        unseen = replace(
            frame, kind=kinds[0], mask_id="", mask_path="", colours_path="", clip_id="", video_id="",
            audio_path="", label="", names=(), start_s=0.0,
        )  # fmt: skip
        if not heard:
            yield unseen
            continue
        other = heard[number]
        yield replace(
            unseen, clip_id=other.clip_id, video_id=other.video_id, audio_path=other.audio_path,
            window=other.window, start_s=other.start_s, label=other.label, names=other.names,
        )  # fmt: skip


def _clip(
    clips: Mapping[tuple[str, str], list[PlannedSample]], label: str, uid: str, split: str, a_obj: str
) -> list[PlannedSample]:
    """The frames of a clip, which must be as the list says."""
    frames = clips.get((label, uid))
    if not frames:
        raise Rejected(Reason.BAD_ROW, f"{label}/{uid}: metadata.csv has no such clip that can be used")
    if frames[0].label != a_obj:
        raise Rejected(Reason.BAD_ROW, f"{label}/{uid}: {a_obj!r}, metadata.csv says {frames[0].label!r}")
    if frames[0].split != split:
        raise Rejected(
            Reason.NO_CLIP,
            f"{label}/{uid} is of {frames[0].split}: a sample of {split} hears clips of {split}",
        )
    return frames


def _expect_absent(seen: PlannedSample, heard: PlannedSample) -> None:
    if not heard.names or len(heard.label.split("_")) > 1:
        raise Rejected(Reason.SEVERAL_SOUNDS, f"{heard.label!r} is heard: one class is needed")
    if heard.video_id == seen.video_id or set(heard.names) & set(seen.names):
        raise Rejected(Reason.NOT_SURELY_ABSENT, f"{heard.label!r} is heard where {seen.label!r} is seen")


def sounding(
    key: str, kind: Kind, heard: tuple[Audio, bytes] | None, names: Sequence[str]
) -> tuple[dict[str, Any], Content]:
    """What the record of a negative says of its sound, and the sound.

    Args:
        heard: of `off_screen`, the clip as the pool has it; `names` is then its one class.
    """
    sources, parts = [], []
    if heard:
        sources = [records.Source(names[0], (), 0, (0, 0, 0, 0), heard[0])]
        parts = [(0, mix.cropped(pcm_of(heard[1]), 0, RULES.samples))]
    elif kind == "noise":
        sources, parts = [NOISE], [(0, mix.noise(SEED, key, RULES.samples))]
    placed, made = mixed(key, sources, parts, RULES, SEED)
    flac = Content.of(pcm_to_flac(made.pcm))
    sound = records.Sound(
        RULES.rule, RULES.channels, RULES.pan_law, RULES.duration_s, made.scale, made.clipped, flac.sha256
    )
    return {"scene_kind": kind, "scene_sources": placed, "sound": sound}, flac
