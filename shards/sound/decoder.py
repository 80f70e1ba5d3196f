"""Any sound or video file to 16 kHz mono, by its content: what is decoded is held against what the file states.

FFmpeg decodes. It is told the kind of the file (`containers.recognise`), opens nothing else, and says nothing when a
file ends early: that is found here. Only the part that is asked for is decoded, and nothing else is kept in memory.
"""

import io
import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import IO, Any, NoReturn, cast

import av
import numpy as np
from av.audio.frame import format_dtypes

from shards import storage
from shards.rejections import Reason, Rejected
from shards.sound import MAX_AUDIO_S, RATE_HZ, containers, flac, mpeg, pcm, to_flac
from shards.sound.containers import Container
from shards.sound.section import Section
from shards.sound.window import Window, plausible

_SILENT_PEAK = 0.001  # -60 dB: a track to pass over for another one
_GAP_S = 0.1  # between one frame and the next by the times that the file gives them: less is rounding
_PREROLL_S = 2.0  # decoded and dropped after a seek: codecs need packets before the first right sample
_EDGE = RATE_HZ // 100
_DTYPES = {name: np.dtype(kind) for name, kind in {**format_dtypes, "s64": "i8", "s64p": "i8"}.items()}
_STEADY = 16  # frames whose times are averaged where a container rounds them
_MPEG = frozenset({"mp1", "mp1float", "mp2", "mp2float", "mp3", "mp3float"})  # FFmpeg's decoders
_SELF_FRAMED = _MPEG | {"ac3", "eac3"}  # each frame of which says how long it is
_CHECKED = frozenset({"flac", "wavpack", "tta", "truehd", "mlp", "ac3", "eac3"})  # which have checksums

# What frames of DTS begin with, 16 and 14 bit, big and little endian; and how far FFmpeg looks for it.
_DTS_MARKS = (b"\x7f\xfe\x80\x01", b"\xfe\x7f\x01\x80", b"\x1f\xff\xe8\x00", b"\xff\x1f\x00\xe8")
_DTS_REACH = 32_768


@dataclass(frozen=True)
class Clip:
    """An encoded clip and its length in seconds."""

    flac: bytes
    duration_s: float


def clip(
    url: str,
    *,
    min_duration_s: float,
    max_duration_s: float,
    silence_peak: float,
    part_s: tuple[float | None, float | None] = (None, None),
    is_padded: bool = False,
) -> Clip:
    """The first 10 s of a file as the shards hold it; the same file gives the same bytes.

    Args:
        part_s: where in the file the clip begins and ends, seconds; then the file may be of any length.
        is_padded: zeros at the end are no sound, and left out.

    Raises:
        Rejected: unreadable, ends early, too short, longer than `max_duration_s`, or silent.
    """
    start_s, end_s = part_s[0] or 0.0, part_s[1]
    samples = decode(
        url,
        start_s=start_s,
        duration_s=MAX_AUDIO_S if end_s is None else min(MAX_AUDIO_S, end_s - start_s),
        max_file_s=max_duration_s if part_s == (None, None) else None,
    )
    if is_padded:
        heard = np.flatnonzero(np.rint(samples * np.float32(32768.0)))  # zeros as the FLAC would have them
        samples = samples[: heard[-1] + 1 if len(heard) else 0]
    duration_s = len(samples) / RATE_HZ
    if duration_s < min_duration_s or not len(samples):
        raise Rejected(Reason.AUDIO_TOO_SHORT, f"{duration_s:.3f} s; at least {min_duration_s:g} s")
    loudest = peak(samples)
    if loudest < silence_peak:
        raise Rejected(Reason.AUDIO_SILENT, f"peak {loudest:.6f}; at least {silence_peak:g}")
    return Clip(to_flac(samples), duration_s)


def peak(samples: np.ndarray) -> float:
    """The largest distance of (n,) samples from their mean; 10 ms at each end do not count if there is more.

    So a constant is silent, whatever its value, although it begins and ends with a step.
    """
    inner = samples[_EDGE:-_EDGE] if len(samples) > 4 * _EDGE else samples
    return float(np.abs(inner - inner.mean()).max()) if len(inner) else 0.0


def decode(
    source: str | IO[bytes],
    *,
    start_s: float = 0.0,
    duration_s: float = MAX_AUDIO_S,
    max_file_s: float | None = None,
) -> np.ndarray:
    """A part of a file's sound, fewer samples where the sound ends: (n,) float32, mono, 16 kHz.

    Times count from the first sample of the sound, after the encoder's delay where the file states it. Which of
    several tracks and channels is heard: see `shards/README.md`.

    Args:
        source: a URL, or an open file that can seek. What lies elsewhere is fetched complete: read through a
            decoder, a network that fails would look like a bad file.

    Raises:
        Rejected: CLIP_MISSING, AUDIO_UNREADABLE, AUDIO_TRUNCATED where the file ends early and before the part does,
            AUDIO_TOO_LONG where the sound goes on after `max_file_s`, AUDIO_TOO_SHORT for a WAV without samples.
    """
    if not isinstance(source, str):
        return _decode(source, start_s, duration_s, max_file_s)
    local = storage.is_local(source)
    try:
        file = storage.open_read(source) if local else io.BytesIO(storage.read_bytes(source))
    except FileNotFoundError as error:
        raise Rejected(Reason.CLIP_MISSING, f"no file {source.rsplit('/', 1)[-1]}") from error
    with file:
        return _decode(file, start_s, duration_s, max_file_s)


def _decode(file: IO[bytes], start_s: float, duration_s: float, max_file_s: float | None) -> np.ndarray:
    container, section = containers.recognise(file)
    found = pcm.plain(section) if container.demuxer == "wav" and not _hides_dts(section) else None
    if found is not None:
        return _of_plain(found, start_s, duration_s, max_file_s)
    tracks: list[int] = []
    first: np.ndarray | None = None
    while True:
        try:
            with _open(container, section) as opened:
                tracks = tracks or _tracks(opened, container, section)
                track = _Track(opened, opened.streams.audio[tracks.pop(0)], container, section)
                samples = track.read(start_s, duration_s)
                if max_file_s is not None:
                    track.stay_below(max_file_s)
        except (av.FFmpegError, OverflowError) as error:
            _reject(container, section, _said(error), error)
        first = samples if first is None else first
        if peak(samples) >= _SILENT_PEAK:
            return samples
        if not tracks:
            return first


def _of_plain(found: pcm.Plain, start_s: float, duration_s: float, max_file_s: float | None) -> np.ndarray:
    plausible(found.channels, found.rate_hz)
    if max_file_s is not None and found.length / found.rate_hz > max_file_s + _GAP_S:
        raise _too_long(max_file_s)
    window = Window(start_s, duration_s)
    begin, end = (min(found.length, round(at_s * found.rate_hz)) for at_s in (window.begin_s, window.end_s))
    if begin < end:
        window.add([found.read(begin, end)], found.channels, found.rate_hz, begin / found.rate_hz)
    return window.samples()


def _too_long(max_file_s: float) -> Rejected:
    return Rejected(Reason.AUDIO_TOO_LONG, f"longer than {max_file_s:g} s, the most that is allowed")


def _open(container: Container, section: Section) -> av.container.InputContainer:
    section.seek(0)
    # FFmpeg asks of PCM in a WAV whether it hides DTS; of 2,500 packets, where a few tell, and none without its mark.
    options = {}
    if container.demuxer in ("wav", "w64"):
        options["max_probe_packets"] = "4" if _hides_dts(section) else "1"
    return av.open(
        section, "r", format=container.demuxer, options=options, metadata_errors="replace", io_open=_refuse
    )


def _hides_dts(section: Section) -> bool:
    head = section.at(0, _DTS_REACH)
    return any(mark in head for mark in _DTS_MARKS)


def _refuse(*_: object) -> NoReturn:
    raise Rejected(Reason.AUDIO_UNREADABLE, "it names another file or address to read")


def _tracks(opened: av.container.InputContainer, container: Container, section: Section) -> list[int]:
    """The audio tracks that can be decoded, by number: FFmpeg's best first, then the others in order."""
    audio = opened.streams.audio
    if not audio:
        _reject(container, section, "no audio track")
    known = [place for place, track in enumerate(audio) if track.codec_context is not None]
    if not known:
        _reject(container, section, "no decoder for the codec of its audio track")
    best = opened.streams.best("audio")
    return sorted(known, key=lambda place: (best is None or audio[place].index != best.index, place))


def _reject(
    container: Container, section: Section, detail: str, error: BaseException | None = None
) -> NoReturn:
    """A file that does not decode: because it ends early, if anything shows that."""
    if cut := container.ending(section):
        raise Rejected(Reason.AUDIO_TRUNCATED, cut) from error
    raise Rejected(Reason.AUDIO_UNREADABLE, detail) from error


class _Damaged(Exception):
    """A packet that does not decode. `last`: none follows, so the file may end inside it."""

    def __init__(self, detail: str, last: bool) -> None:
        super().__init__(detail)
        self.last = last


class _Track:
    """One track of an open file, read once and forwards."""

    def __init__(
        self, opened: av.container.InputContainer, stream: Any, container: Container, section: Section
    ) -> None:
        self._opened, self._stream, self._container, self._section = opened, stream, container, section
        self._packets = _packets(opened, stream)
        self._first_pts: int | None = None
        self._next_s: float | None = None  # when the next frame is due, by the times that the file gives
        self._frame_s = 0.0  # the length of the last frame
        self._window = Window()
        self._filled = False
        codec = stream.codec_context.name
        self._self_framed = codec in _SELF_FRAMED
        self._mpeg_frames = container.demuxer in ("mp3", "aac") or (
            container.demuxer in ("wav", "w64") and codec in _MPEG
        )
        self._numbers = flac.Numbers() if container.demuxer == "flac" else None
        if stream.channels and stream.rate:  # else the first frame tells
            plausible(stream.channels, stream.rate)
        if codec in _CHECKED:
            stream.codec_context.options = {"err_detect": "crccheck+explode"}
        stream.codec_context.open(strict=False)

    def read(self, start_s: float, duration_s: float) -> np.ndarray:
        """(n,) float32, 16 kHz, from `start_s` on."""
        window = self._window = Window(start_s, duration_s)
        try:
            self._collect(window)
        except (av.FFmpegError, _Damaged) as error:
            if window.reached_s < start_s + duration_s and self._lacks_s(0.05) != 0:
                self._reject(error)
        self._filled = window.reached_s >= start_s + duration_s
        if not self._filled:
            self._expect_end()
        beyond_s = window.reached_s - (self._stated_s() or window.reached_s)
        filled_up = 0 < beyond_s <= self._frame_s  # what fills the last frame up is no sound
        return window.samples(window.reached_s - beyond_s if filled_up else None)

    def stay_below(self, max_file_s: float) -> None:
        """Reject a track that goes on after `max_file_s`: its packets tell, a length that is stated may be wrong."""
        reached_s = self._window.reached_s
        while self._filled and reached_s <= max_file_s + _GAP_S:
            packet = next(self._packets, None)
            if packet is None:
                return
            if packet.pts is not None and self._first_pts is not None:
                reached_s = max(reached_s, float((packet.pts - self._first_pts) * self._stream.time_base))
        if reached_s > max_file_s + _GAP_S:
            raise _too_long(max_file_s)

    def _collect(self, window: Window) -> None:
        at_s, frames = self._begin(window.begin_s)
        clocked = self._container.clocked
        for frame in frames:
            channels, rate_hz = frame.layout.nb_channels, frame.sample_rate
            plausible(channels, rate_hz)
            time_s = frame.time if clocked else None
            if time_s is not None:  # one that goes back begins another recording, as in a chained Ogg
                gap_s = 0.0 if self._next_s is None else time_s - self._next_s
                if gap_s > _GAP_S:
                    at_s += gap_s
                    if at_s > window.begin_s:
                        raise _Damaged(f"{gap_s:.3f} s are missing", last=False)
                self._next_s = time_s
            self._frame_s = frame.samples / rate_hz
            if self._next_s is not None:
                self._next_s += self._frame_s
            window.add(_planes(frame, channels), channels, rate_hz, at_s)
            at_s = window.reached_s
            if at_s >= window.end_s:
                return

    def _begin(self, begin_s: float) -> tuple[float, Iterator[av.AudioFrame]]:
        """Where the first frame lies that is decoded, and the frames."""
        frames = self._frames()
        if not self._container.seeks or begin_s <= _PREROLL_S:
            return 0.0, frames
        head = list(islice(frames, _STEADY))
        if len(head) < _STEADY:
            return 0.0, iter(head)
        origin_s = _offset_s(head)
        wanted_s = begin_s - _PREROLL_S + origin_s
        self._opened.seek(int(wanted_s / self._stream.time_base), stream=self._stream)
        self._packets = _packets(self._opened, self._stream)
        frames = self._frames()
        head = list(islice(frames, _STEADY))
        if not head:  # the sound ended before
            self._next_s = begin_s
        return _offset_s(head) - origin_s if head else begin_s, chain(head, frames)

    def _frames(self) -> Iterator[av.AudioFrame]:
        """The frames of the packets that are left. One that does not decode is damage, unless it is no sound at all."""
        damage, stray, decoded = "", False, False
        held: list[av.AudioFrame] = []  # of FLAC, until the next packet bears it out
        for packet in self._packets:
            if damage and packet.size:
                raise _Damaged(damage, last=False)
            if self._first_pts is None:
                self._first_pts = packet.pts
            if packet.is_corrupt and self._container.clocked and decoded:
                damage = "a packet that is not complete"
            if self._self_framed and mpeg.is_cut(bytes(packet)):
                damage = "a frame that is not complete"
            try:
                frames = packet.decode()
            except av.FFmpegError as error:
                frames = []
                if self._is_sound(packet, decoded):
                    damage = _said(error)
            if frames and stray and decoded:  # it may stand before the first frame and behind the last
                raise _Damaged("bytes between its frames that are none", last=False)
            if self._numbers is not None and packet.size and not damage:
                damage = self._numbers.fault(bytes(packet), [frame.samples for frame in frames])
                frames, held = ([], []) if damage else (held, frames)
            stray = stray or (self._mpeg_frames and mpeg.is_stray(bytes(packet)))
            decoded = decoded or bool(frames)
            yield from frames
        yield from held
        if damage:
            raise _Damaged(damage, last=True)

    def _is_sound(self, packet: av.Packet, decoded: bool) -> bool:
        """Not a tag between MPEG's frames, and not the part of a frame that a stream begins with."""
        if self._mpeg_frames:
            return mpeg.frame(bytes(packet)[:7]) is not None or mpeg.is_cut(bytes(packet))
        return decoded or self._container.demuxer not in ("mpegts", "mpeg")

    def _expect_end(self) -> None:
        """Reject a file that ends before the window does, unless all that it states of its length is there."""
        place = f"the sound ends at {self._window.reached_s:.3f} s"
        if cut := self._container.ending(self._section):
            raise Rejected(Reason.AUDIO_TRUNCATED, f"{place}: {cut}")
        if self._lacks_s(0.05 + 2 * self._frame_s):
            raise Rejected(Reason.AUDIO_TRUNCATED, f"{place}, its header states {self._stated_s():.3f} s")

    def _reject(self, error: Exception) -> NoReturn:
        """A packet that does not decode: because the file ends within it, if it is the last one."""
        place = f"the sound ends at {self._window.reached_s:.3f} s"
        cut = self._container.ending(self._section)
        if not cut and isinstance(error, _Damaged) and error.last:
            cut = "within a packet"
        if cut:
            raise Rejected(Reason.AUDIO_TRUNCATED, f"{place}: {cut}") from error
        raise Rejected(Reason.AUDIO_UNREADABLE, f"{place}: {_said(error)}") from error

    def _lacks_s(self, slack_s: float) -> float | None:
        """What the sound lacks to the length that the file states, 0 within the slack; None where it states none.

        FLAC's is exact, whatever the slack.
        """
        stated_s = self._stated_s()
        if stated_s is None:
            return None
        if self._container.demuxer == "flac":
            slack_s = 0.5 / self._stream.rate
        lacking_s = stated_s - max(self._window.reached_s, self._next_s or 0.0)
        return lacking_s if lacking_s > slack_s else 0.0

    def _stated_s(self) -> float | None:
        """The length of the sound that the file states; None where FFmpeg would reckon it from bit rates."""
        if self._container.states and self._stream.duration:
            return float(self._stream.duration * self._stream.time_base)
        if self._container.demuxer == "matroska" and len(self._opened.streams) == 1 and self._opened.duration:
            return self._opened.duration / av.time_base
        return None


def _packets(opened: av.container.InputContainer, stream: Any) -> Iterator[Any]:
    packets: Iterator[Any] = opened.demux(stream)
    while True:
        try:
            yield next(packets)
        except (StopIteration, IndexError):  # PyAV's, at the end, where another stream has appeared meanwhile
            return


def _offset_s(frames: Iterable[av.AudioFrame]) -> float:
    """What the frames' times are ahead of the count of their samples: the median, as a container may round them."""
    counted_s, offsets = 0.0, []
    for frame in frames:
        if frame.time is not None:
            offsets.append(frame.time - counted_s)
        counted_s += frame.samples / frame.sample_rate
    return statistics.median(offsets) if offsets else 0.0


def _planes(frame: av.AudioFrame, channels: int) -> list[np.ndarray]:
    """The frame's own samples: (n,) of each channel, or (n * channels,) of all by turns."""
    dtype, planes = _DTYPES[frame.format.name], cast(Any, frame.planes)  # buffers
    count = frame.samples if frame.format.is_planar else frame.samples * channels
    return [np.frombuffer(plane, dtype, count) for plane in planes]


def _said(error: BaseException) -> str:
    """A decoder's words without the file's name, so that a rejection reads the same wherever the corpora lie."""
    if not isinstance(error, av.FFmpegError):
        return str(error)
    return f"{type(error).__name__}: {' '.join(str(error.strerror or '').split())[:200]}"
