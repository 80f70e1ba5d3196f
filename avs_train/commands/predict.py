"""`avs-train predict`."""

import json
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import click

from avs_train import config as configuration
from avs_train.commands import options
from shards import storage
from shards.command_line import NOTHING, Command
from shards.errors import AvsError

if TYPE_CHECKING:
    import numpy as np

    from avs_train.display import RunDisplay


@click.command(cls=Command, kept=NOTHING)
@click.argument("seen", type=click.Path(path_type=Path))
@click.argument("rest", nargs=-1, metavar="[SOUND] [KEY=VALUE]...")
@click.option("--model", required=True, metavar="RUN", help="Run folder or checkpoint.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="SEEN with what sounds left bright and outlined.  [default: SEEN-overlay.png or .mp4]",
)
@click.option(
    "--masks",
    type=click.Path(path_type=Path),
    metavar="JSON",
    help="Also the masks, in COCO's run lengths; by class too, where RUN tells classes.",
)
@click.option(
    "--mask", type=click.Path(path_type=Path), metavar="PNG", help="Of a photo: also its mask, 0 and 255."
)
@click.option(
    "--fps",
    type=click.FloatRange(0.001, 1000),
    default=1.0,
    show_default=True,
    help="Frames a second of a folder.",
)
@click.option(
    "--every",
    type=click.FloatRange(0),
    default=0.0,
    metavar="S",
    help="Of a video: seconds from one new mask to the next; the frames between keep the last.  [default: each frame]",
)
@options.JSON
def command(
    seen: Path,
    rest: tuple[str, ...],
    model: str,
    out: Path | None,
    masks: Path | None,
    mask: Path | None,
    fps: float,
    every: float,
    as_json: bool,
) -> None:
    """Mark what makes the sound in SEEN: a photo, a video, or a folder of frames.

    A video is heard itself, or SOUND in place of its own. A photo and a folder need SOUND: any audio or video file. Of
    a photo's sound the window from 0.96 s to 1.935 s is heard, or the last complete one of a shorter sound; of a
    video's, for each frame the 0.975 s around it. The video keeps its size, its times and its sound.

    \b
    Examples:
      avs-train predict clip.mp4 --model runs/sama_avs --out overlay.mp4 --masks masks.json
      avs-train predict photo.jpg dog.wav --model runs/sama_avs
      avs-train predict frames/ sound.wav --fps 25 --model runs/sama_avs
    """
    from avs_train.display import RunDisplay
    from shards import terminal

    overrides = [each for each in rest if "=" in each and not Path(each).is_file()]
    if peeked := configuration.of_model(model, overrides):
        configuration.check_weights(peeked)
    with RunDisplay(f"Mark what sounds in {seen}", "Mark", "frames") as display:
        marked = _mark(seen, rest, model, out, masks, mask, fps, every, display)
    if as_json:
        terminal.out_json(asdict(marked))
    else:
        terminal.out(
            f"{marked.out}: the mask covers {marked.covered:.1%} of the photo"
            if marked.photo
            else f"{marked.out}: {marked.frames} frames, the masks cover {marked.covered:.1%} of them"
        )


@dataclass(frozen=True)
class _Marked:
    """What was written; `covered`: the share of the pixels that sounds, in [0, 1]."""

    out: str
    photo: bool
    frames: int
    covered: float


def _mark(
    seen: Path,
    rest: tuple[str, ...],
    model: str,
    out: Path | None,
    masks: Path | None,
    mask: Path | None,
    fps: float,
    every: float,
    bar: "RunDisplay",
) -> _Marked:
    import cv2
    import numpy as np

    from avs_train import assembly, predict
    from avs_train.data import decode, sound
    from avs_train.pictures import by_class, overlay
    from avs_train.video import VideoError, Writer, is_photo, open_video
    from shards.sound import RATE_HZ

    sounds = [Path(each) for each in rest if "=" not in each or Path(each).is_file()]
    overrides = [each for each in rest if Path(each) not in sounds]
    if len(sounds) > 1 or not all(each.is_file() for each in sounds):
        raise click.UsageError(f"{' '.join(map(str, sounds))}: give one SOUND, a file that is there")
    heard = sounds[0] if sounds else None
    if not seen.exists():
        raise AvsError(f"{seen}: no such file or folder; give a photo, a video, or a folder of frames")
    photo = seen.is_file() and is_photo(seen)
    target = out or seen.with_name(f"{seen.stem}-overlay{'.png' if photo else '.mp4'}")
    if target.resolve() in (seen.resolve(), heard and heard.resolve()):
        raise VideoError(f"{target} is what is read: give another --out")
    if mask and not photo:
        raise VideoError("--mask is for a photo: ask for --masks JSON")
    for written in (target, mask) if photo else ():
        if written and not (written.suffix and cv2.haveImageWriter(str(written))):
            raise AvsError(f"{written}: give the name of a picture, such as out.png")
    settings, _ = assembly.open_settings(model, ["model.compile=false", *overrides])
    names = assembly.class_names(settings)

    def marked(image: "np.ndarray", found: "np.ndarray") -> "np.ndarray":
        return by_class(image, found, names) if names else overlay(image, found > 0)

    if photo:
        if heard is None:
            raise VideoError(f"{seen} is a photo: give the SOUND to look for too")
        picture = decode.photo(storage.read_bytes(str(seen)))
        (found,) = predict.open_masks(settings)([picture], [sound.window(heard)])
        _write(target, cv2.cvtColor(marked(picture, found), cv2.COLOR_RGB2BGR))
        if mask:
            _write(mask, (found > 0).astype(np.uint8) * 255)
        _write_masks(masks, seen, [predict.told(0, 0.0, found, names)])
        return _Marked(str(target), True, 1, float((found > 0).mean()))

    video = open_video(seen, Fraction(fps).limit_denominator(1000))
    if video.sound_s is None and heard is None:
        raise VideoError(f"{seen} has no sound: give one as SOUND, or a video that can be heard")
    delay_s = 0.0 if heard else video.sound_s or 0.0
    waveform = sound.all_of(heard or seen)
    told, covered = [], 0.0
    with Writer(target, video.rate, heard or seen, delay_s) as writer:
        bar.begin({"frames": video.count, "sound s": round(len(waveform) / RATE_HZ, 1)}, video.count)
        pairs = predict.masks_of(
            predict.open_masks(settings),
            video.frames(),
            waveform,
            sound_s=delay_s,
            every_s=every,
            at_once=settings.evaluate.batch_size,
        )
        for frame, found in pairs:
            writer.write(marked(frame.image, found), frame.time_s)
            if masks:
                told.append(predict.told(frame.index, round(frame.time_s, 6), found, names))
            covered += float((found > 0).mean())
            bar.step(frame.index + 1, {})
        count = frame.index + 1
    _write_masks(masks, seen, told)
    return _Marked(str(target), False, count, covered / count)


def _write_masks(path: Path | None, seen: Path, masks: list[dict[str, object]]) -> None:
    from shards import storage

    if path:
        storage.write_atomic(str(path), json.dumps({"of": seen.name, "masks": masks}).encode())


def _write(path: Path, picture: "np.ndarray") -> None:
    import cv2

    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), picture):
        raise AvsError(f"{path} cannot be written")
