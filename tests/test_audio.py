"""Clips: every container to 16 kHz mono FLAC, against signals made by formula."""

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from pipelines.media import audio
from shards.rejections import Reason, Rejected

RULES = {"min_duration_s": 0.5, "max_duration_s": 30.0, "silence_peak": 0.001}


def tone(rate: int, seconds: float, channels: int = 1) -> np.ndarray:
    """float32 (samples, channels): a 440 Hz tone, half as loud in the second channel."""
    wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(int(rate * seconds)) / rate)
    return np.stack([wave / (channel + 1) for channel in range(channels)], axis=1).astype(np.float32)


def write_av(path: Path, signal: np.ndarray, rate: int, codec: str, video: bool = False) -> None:
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("mpeg4", rate=5) if video else None
        stream = container.add_stream(codec, rate=rate, layout="mono" if signal.shape[1] == 1 else "stereo")
        if pictures is not None:
            pictures.width = pictures.height = 64
            for number in range(5):
                picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
                picture.pts, picture.time_base = number, Fraction(1, 5)
                container.mux(pictures.encode(picture))
            container.mux(pictures.encode())
        for start in range(0, len(signal), 1024):
            block = np.ascontiguousarray(signal[start : start + 1024].T)
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=stream.layout.name)
            frame.rate = rate
            frame.pts, frame.time_base = start, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def peak_hz(content: bytes) -> float:
    sound, rate = soundfile.read(io.BytesIO(content))
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    return float(np.argmax(spectrum) * rate / len(sound))


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "m4a", "mp4", "webm"])
@pytest.mark.parametrize(("rate", "channels"), [(48_000, 2), (44_100, 1)])
def test_every_container(tmp_path: Path, suffix: str, rate: int, channels: int) -> None:
    path, signal = tmp_path / f"clip.{suffix}", tone(rate, 2.0, channels)
    if suffix in ("m4a", "mp4"):
        write_av(path, signal, rate, "aac", video=suffix == "mp4")
    elif suffix == "webm":
        rate = 48_000
        write_av(path, tone(rate, 2.0, channels), rate, "libopus")
    else:
        soundfile.write(path, signal, rate)
    flac = audio.to_flac(str(path), **RULES)
    info = soundfile.info(io.BytesIO(flac.content))
    assert (info.samplerate, info.channels, info.subtype, info.format) == (16_000, 1, "PCM_16", "FLAC")
    assert (
        flac.duration_s == info.frames / 16_000 == pytest.approx(2.0, abs=0.1)
    )  # lossy codecs pad their frames
    assert peak_hz(flac.content) == pytest.approx(440, abs=1)
    sound, _ = soundfile.read(io.BytesIO(flac.content))
    loudness = 0.5 * (1.5 / channels if channels == 2 else 1)
    assert np.sqrt(2) * sound[4000:-4000].std() == pytest.approx(loudness, rel=0.05)
    assert audio.to_flac(str(path), **RULES) == flac


def test_resampling_against_the_formula(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(44_100, 1.0), 44_100, subtype="FLOAT")
    ours = audio.decode(str(tmp_path / "a.wav"), 30)
    expected = tone(16_000, 1.0)[:, 0]
    assert len(ours) == len(expected)
    assert np.abs(ours - expected)[200:-200].max() < 1e-4


def test_sixteen_kilohertz_passes_through_to_the_bit(tmp_path: Path) -> None:
    pcm = np.random.default_rng(0).integers(-32767, 32767, 16_000, dtype=np.int16)
    soundfile.write(tmp_path / "a.wav", pcm, 16_000)
    read, _ = soundfile.read(
        io.BytesIO(audio.to_flac(str(tmp_path / "a.wav"), **RULES).content), dtype="int16"
    )
    assert np.abs(read.astype(int) - pcm).max() <= 1  # 32768 in the file, 32767 in the encoder


def test_only_the_first_ten_seconds(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(22_050, 14.0), 22_050)
    assert audio.to_flac(str(tmp_path / "a.wav"), **RULES).duration_s == 10.0


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("short.wav", Reason.AUDIO_TOO_SHORT),
        ("silent.wav", Reason.AUDIO_SILENT),
        ("long.wav", Reason.AUDIO_TOO_LONG),
        ("empty.wav", Reason.AUDIO_UNREADABLE),
        ("text.wav", Reason.AUDIO_UNREADABLE),
        ("text.mp4", Reason.AUDIO_UNREADABLE),
        ("nan.wav", Reason.AUDIO_UNREADABLE),
        ("cut.flac", Reason.AUDIO_UNREADABLE),
        ("picture.mp4", Reason.AUDIO_UNREADABLE),
        ("header_only.wav", Reason.AUDIO_TOO_SHORT),
    ],
)
def test_clips_that_cannot_be_used(tmp_path: Path, name: str, reason: Reason) -> None:
    path, signal = tmp_path / name, tone(16_000, 2.0)
    if name == "short.wav":
        soundfile.write(path, signal[:4000], 16_000)
    elif name == "silent.wav":
        soundfile.write(path, signal * 0.0005, 16_000)
    elif name == "long.wav":
        soundfile.write(path, np.zeros(31 * 8000, np.int16), 8000)
    elif name == "empty.wav":
        path.touch()
    elif name.startswith("text"):
        path.write_text("<html>not found</html>")
    elif name == "nan.wav":
        soundfile.write(path, np.full(20_000, np.nan, np.float32), 16_000, subtype="FLOAT")
    elif name == "cut.flac":
        soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 32_000), 16_000)
        path.write_bytes(path.read_bytes()[:9000])
    elif name == "header_only.wav":
        soundfile.write(path, signal[:0], 16_000)
    else:
        with av.open(str(path), "w") as container:
            pictures = container.add_stream("mpeg4", rate=5)
            pictures.width = pictures.height = 64
            pictures.pix_fmt = "yuv420p"
            container.mux(
                pictures.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24"))
            )
            container.mux(pictures.encode())
    with pytest.raises(Rejected) as caught:
        audio.to_flac(str(path), **RULES)
    assert caught.value.reason == reason, caught.value.detail
