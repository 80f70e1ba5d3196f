"""Media made in tests: photos, masks and recordings whose content a test knows."""

import io
import tempfile
from pathlib import Path

import av
import numpy as np
from PIL import Image


def photo(seed: int, width: int = 160, height: int = 120, quality: int = 85) -> bytes:
    """A JPEG of coloured blobs, another for each seed."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    buffer = io.BytesIO()
    small.resize((width, height), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def mask(seed: int, size: int = 32) -> bytes:
    """A PNG mask of one bit."""
    pixels = np.random.default_rng(seed).integers(0, 2, (size, size), dtype=np.uint8) * 255
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert("1").save(buffer, "PNG")
    return buffer.getvalue()


def sound(seconds: float, rate: int, seed: int = 0) -> np.ndarray:
    """(n,) float32: noise below 3 kHz whose loudness changes, so that every instant is its own."""
    rng = np.random.default_rng(seed)
    count = round(seconds * rate)
    spectrum = np.fft.rfft(rng.standard_normal(count))
    spectrum[np.fft.rfftfreq(count, 1 / rate) > 3000] = 0
    signal = np.fft.irfft(spectrum, count)
    loudness = np.interp(np.arange(count), np.arange(0, count + rate, rate // 4)[: count // (rate // 4) + 2],
                         rng.uniform(0.3, 1.0, count // (rate // 4) + 2))  # fmt: skip
    signal *= loudness
    return (0.5 * signal / np.abs(signal).max()).astype(np.float32)


def encoded(
    signal: np.ndarray,
    rate: int,
    codec: str,
    container: str,
    *,
    video: bool = False,
    options: dict[str, str] | None = None,
    tracks: int = 1,
) -> bytes:
    """(n,) or (channels, n) float32 as FFmpeg writes it, with a black video track where asked.

    tracks: how many times the sound goes in; all but the last are silent.
    """
    planes = np.atleast_2d(signal)
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[len(planes)]
    folder = tempfile.TemporaryDirectory()  # some muxers open their file again
    file = Path(folder.name) / "sound"
    with folder, av.open(str(file), "w", format=container, options=options or {}) as target:
        picture = target.add_stream("mpeg4", rate=25) if video else None
        if picture is not None:
            picture.width, picture.height, picture.pix_fmt, picture.thread_count = 64, 48, "yuv420p", 1
        streams = [target.add_stream(codec, rate=rate, layout=layout) for _ in range(tracks)]
        for stream in streams:
            if not codec.startswith(("pcm", "flac", "alac", "adpcm")):
                stream.bit_rate = 12_200 if "amr" in codec else 96_000
        resamplers = [
            av.AudioResampler(format=each.codec_context.format.name, layout=layout, rate=rate)
            for each in streams
        ]
        shown = 0
        for start in range(0, planes.shape[1], 960):
            while picture is not None and shown * rate < 25 * (start + 960):
                target.mux(picture.encode(av.VideoFrame(64, 48, "yuv420p")))
                shown += 1
            for number, (stream, resampler) in enumerate(zip(streams, resamplers, strict=True)):
                block = np.ascontiguousarray(planes[:, start : start + 960]) * (number == tracks - 1)
                frame = av.AudioFrame.from_ndarray(block.astype(np.float32), format="fltp", layout=layout)
                frame.sample_rate, frame.pts = rate, start
                for ready in resampler.resample(frame):
                    target.mux(stream.encode(ready))
        for stream in (*streams, *([picture] if picture is not None else [])):
            target.mux(stream.encode())
        target.close()
        return file.read_bytes()


CONTAINERS = {"m4a": "ipod", "mkv": "matroska", "ts": "mpegts"}


def record(path: Path, signal: np.ndarray, rate: int, codec: str, video: bool = False) -> None:
    """Encode (n,) float32 into a file of the kind that its name tells."""
    kind = path.suffix[1:]
    path.write_bytes(encoded(signal, rate, codec, CONTAINERS.get(kind, kind), video=video))


def at_16_khz(signal: np.ndarray, rate: int) -> np.ndarray:
    """(n,) sound below 3 kHz to 16 kHz by its spectrum, in numpy: what a decoder should give."""
    count = round(len(signal) * 16_000 / rate)
    spectrum = np.fft.rfft(signal)[: count // 2 + 1]
    return np.fft.irfft(spectrum, count) * (count / len(signal))


def lag(found: np.ndarray, truth: np.ndarray, reach: int = 1600) -> int:
    """Samples by which `found` comes later than `truth`, by cross-correlation."""
    size = len(found) + len(truth)
    product = np.fft.irfft(np.fft.rfft(found, size) * np.conj(np.fft.rfft(truth, size)), size)
    shifts = np.r_[product[-reach:], product[: reach + 1]]
    return int(np.argmax(shifts)) - reach
