"""Moving pictures in and out: the frames of a video file or of a folder, and a new video with the sound kept."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from avs_train.data import decode
from shards import storage
from shards.errors import AvsError

TICKS = Fraction(1, 90_000)  # s; what times of frames are rounded to when they are written
PHOTOS = re.compile(r"image2|.*_pipe")  # FFmpeg's names for files of one still picture
KEPT = (
    "aac",
    "mp3",
    "opus",
    "vorbis",
    "flac",
    "ac3",
    "eac3",
)  # sound that is copied where the new file takes it
ENCODERS = {"h264": "libx264", "vp9": "libvpx-vp9", "opus": "libopus"}
_ENCODED_HZ = 48_000  # sound that is not copied


class VideoError(AvsError):
    """A video that cannot be read or written; says what to do."""


@dataclass(frozen=True)
class Frame:
    """image: (H, W, 3) uint8 RGB as it is shown, rotated where the file asks for it. time_s: from the first frame."""

    index: int
    time_s: float
    image: np.ndarray


@dataclass(frozen=True)
class Video:
    """What is known of a video before it is read. sound_s: when its sound begins, from the first frame; None: no sound.

    count: frames, as far as the file says; 0 where it does not. rate: frames a second, on average.
    """

    path: Path
    rate: Fraction
    count: int
    sound_s: float | None

    def frames(self) -> Iterator[Frame]:
        """Every frame that decodes, in order; all have the size of the first."""
        read = _folder_frames(self.path, self.rate) if self.path.is_dir() else _video_frames(self)
        first: np.ndarray | None = None
        for index, (time_s, image) in enumerate(read):
            first = image if first is None else first
            if image.shape != first.shape:
                image = decode.resized(image, np.empty_like(first))
            yield Frame(index, time_s, image)


def is_photo(path: Path) -> bool:
    """Whether a file is one still picture, by its content."""
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            return bool(PHOTOS.fullmatch(container.format.name))
    except (av.FFmpegError, OSError, ValueError):
        return cv2.haveImageReader(str(path))


def open_video(path: Path, rate: Fraction) -> Video:
    """A video file, or a folder of frames shown at `rate`.

    Raises:
        VideoError: no moving pictures there.
    """
    if path.is_dir():
        count = len(_pictures(path))
        if not count:
            raise VideoError(
                f"{path} holds no frames: JPEG, PNG or other image files, in the order of their numbers"
            )
        return Video(path, rate, count, None)
    with _opened(path) as container:
        if not container.streams.video:
            raise VideoError(f"{path} has no moving pictures: give a photo and this sound, or a video")
        stream = container.streams.video[0]
        found = stream.average_rate or stream.guessed_rate or Fraction(25)
        seconds = float(container.duration / av.time_base) if container.duration else 0.0
        sound = container.streams.best("audio")
        sound_s = None if sound is None else _start_s(sound) - _start_s(stream)
        return Video(path, Fraction(found), stream.frames or round(seconds * found), sound_s)


class Writer:
    """A new video: frames of one size, and the sound of another file.

    The file gets its name when it is complete. Its ending chooses the container, and that the codecs.

    Args:
        sound: file whose sound is kept, without loss where the container takes it as it is; None for none.
        delay_s: when that sound begins, from the first frame.
    """

    def __init__(self, out: Path, rate: Fraction, sound: Path | None, delay_s: float) -> None:
        out.parent.mkdir(parents=True, exist_ok=True)
        self.out, self.rate = out, rate
        self._part = out.with_name(f".{out.stem}.part{out.suffix}")
        try:
            self._container: Any = av.open(str(self._part), "w")
        except (av.FFmpegError, ValueError) as error:
            raise VideoError(f"{out} is no video's name: end it in .mp4, .mkv, .mov or .webm") from error
        self._video: Any = None
        self._last = -1
        self._source: Any = _opened(sound) if sound else None
        self._sound = self._sound_packets(delay_s) if self._source else iter(())
        self._next: Any = None

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        try:
            if kind is None and self._video is not None:
                self._container.mux(self._video.encode())
                self._mux_sound(float("inf"))
            self._container.close()
        finally:
            if self._source:
                self._source.close()
            if kind is None and self._video is not None:
                self._part.replace(self.out)
            else:
                self._part.unlink(missing_ok=True)

    def write(self, image: np.ndarray, time_s: float) -> None:
        """(H, W, 3) uint8 RGB, shown from `time_s` on; later than the frame before."""
        if self._video is None:
            self._begin(*image.shape[:2])
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        self._last = max(self._last + 1, round(time_s / TICKS))
        frame.pts, frame.time_base = self._last, TICKS
        self._container.mux(self._video.encode(frame))
        self._mux_sound(time_s)

    def _begin(self, height: int, width: int) -> None:
        codec = self._container.default_video_codec
        self._video = self._container.add_stream(ENCODERS.get(codec, codec), rate=self.rate)
        self._video.width, self._video.height = width, height
        # Colour at half the size is what every player takes, and wants even sides.
        self._video.pix_fmt = "yuv444p" if width % 2 or height % 2 else "yuv420p"
        self._video.codec_context.time_base = TICKS
        self._next = next(self._sound, None)  # adds its stream, before the header is written

    def _mux_sound(self, until_s: float) -> None:
        while self._next is not None:
            if self._next.pts is not None and float(self._next.pts * self._next.time_base) > until_s:
                return
            self._container.mux(self._next)
            self._next = next(self._sound, None)

    def _sound_packets(self, delay_s: float) -> Iterator[Any]:
        stream = self._source.streams.best("audio")
        codec = stream.codec_context.codec.canonical_name
        shift_s = delay_s - _start_s(stream)

        def shifted(item: Any) -> Any:
            if item.pts is not None:
                item.pts += round(shift_s / item.time_base)
            return item

        if codec in KEPT and codec in self._container.supported_codecs:
            target = self._container.add_stream_from_template(stream)
            for packet in self._source.demux(stream):
                if packet.pts is not None:
                    packet = shifted(packet)
                    packet.dts, packet.stream = packet.pts, target
                    yield packet
            return
        layout = "mono" if stream.codec_context.channels == 1 else "stereo"
        encoder = self._container.default_audio_codec
        target = self._container.add_stream(ENCODERS.get(encoder, encoder), rate=_ENCODED_HZ, layout=layout)
        target.codec_context.open()
        size = target.codec_context.frame_size or None
        resampler = av.AudioResampler(target.format, layout, _ENCODED_HZ, size)
        for frame in itertools.chain(self._decoded(stream), [None]):
            for piece in resampler.resample(frame):
                yield from target.encode(shifted(piece))
        yield from target.encode(None)

    def _decoded(self, stream: Any) -> Iterator[Any]:
        for packet in self._source.demux(stream):
            try:
                yield from packet.decode()
            except av.FFmpegError:
                continue  # damage: the rest may still be heard


def _video_frames(video: Video) -> Iterator[tuple[float, np.ndarray]]:
    with _opened(video.path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        begin: float | None = None
        last = -float(1 / video.rate)
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.FFmpegError:
                continue  # a damaged frame: what comes after it may still be shown
            for frame in frames:
                time_s = (
                    frame.time if frame.time is not None else (begin or 0.0) + last + float(1 / video.rate)
                )
                begin = time_s if begin is None else begin
                last = time_s - begin
                image = frame.to_ndarray(format="rgb24")
                yield last, np.rot90(image, round(frame.rotation / 90)) if frame.rotation else image
        if begin is None:
            raise VideoError(f"{video.path} holds no frame that decodes")


def _folder_frames(path: Path, rate: Fraction) -> Iterator[tuple[float, np.ndarray]]:
    for index, picture in enumerate(_pictures(path)):
        try:
            yield float(index / rate), decode.photo(storage.read_bytes(str(picture)))
        except decode.DecodeError as error:
            raise VideoError(f"{picture}: {error}") from error


def _pictures(folder: Path) -> list[Path]:
    """The picture files of a folder, 2 before 10."""
    endings = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}
    found = [path for path in folder.iterdir() if path.suffix.lower() in endings]
    return sorted(
        found,
        key=lambda path: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.name)],
    )


def _start_s(stream: Any) -> float:
    return float(stream.start_time * stream.time_base) if stream.start_time is not None else 0.0


def _opened(path: Path) -> Any:
    try:
        return av.open(str(path), metadata_errors="replace")
    except (av.FFmpegError, OSError, ValueError) as error:
        raise VideoError(f"{path} is no video or sound that can be read: {error}") from error
