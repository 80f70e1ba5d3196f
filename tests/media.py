"""Media made in tests: photos, masks and recordings whose content a test knows."""

import io
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


def record(path: Path, signal: np.ndarray, rate: int, codec: str, video: bool = False) -> None:
    """Encode (n,) float32 into a file, with a black video track where asked."""
    with av.open(str(path), "w") as container:
        picture = container.add_stream("mpeg4", rate=25) if video else None
        if picture is not None:
            picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        stream = container.add_stream(codec, rate=rate, layout="mono")
        if codec in ("aac", "libopus", "libmp3lame", "libvorbis"):
            stream.bit_rate = 96_000
        form = stream.codec_context.format.name if stream.codec_context.format else "s16"
        if picture is not None:
            for _ in range(round(len(signal) / rate * 25)):
                container.mux(picture.encode(av.VideoFrame(64, 48, "yuv420p")))
            container.mux(picture.encode())
        resampler = av.AudioResampler(format=form, layout="mono", rate=rate)
        for start in range(0, len(signal), 960):
            block = signal[start : start + 960]
            frame = av.AudioFrame.from_ndarray(block[None, :], format="fltp", layout="mono")
            frame.sample_rate, frame.pts = rate, start
            for ready in resampler.resample(frame):
                container.mux(stream.encode(ready))
        container.mux(stream.encode())
