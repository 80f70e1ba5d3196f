"""Sound from every kind of file: against signals known in numpy, and against files that say more than they hold."""

import hashlib
import io
import random
import struct
from collections.abc import Callable
from functools import cache
from pathlib import Path

import av
import fsspec
import media
import numpy as np
import pytest
import soundfile

from avs_train.data import decode, sound
from pipelines.fetch import audio
from pipelines.fetch.causes import Cause, Failure
from shards.rejections import Reason, Rejected
from shards.sound import RATE_HZ, containers, decoder, mpeg, to_flac, window_start
from shards.sound import pcm as plain_wavs

RULES = {"min_duration_s": 0.5, "max_duration_s": 30.0, "silence_peak": 0.001}
SECONDS = 3.0

# name: codec, container, rate, video, delay that the file does not state (in samples of its own rate)
FORMS: dict[str, tuple[str, str, int, bool, int]] = {
    "wav": ("pcm_s16le", "wav", 44_100, False, 0),
    "wav 8 bit": ("pcm_u8", "wav", 22_050, False, 0),
    "wav 24 bit": ("pcm_s24le", "wav", 48_000, False, 0),
    "wav float": ("pcm_f32le", "wav", 44_100, False, 0),
    "wav mu-law": ("pcm_mulaw", "wav", 8_000, False, 0),
    "wav adpcm": ("adpcm_ms", "wav", 44_100, False, 0),
    "wav mp3": ("libmp3lame", "wav", 44_100, False, 1105),
    "w64": ("pcm_s16le", "w64", 44_100, False, 0),
    "aiff": ("pcm_s16be", "aiff", 44_100, False, 0),
    "caf": ("pcm_s16be", "caf", 44_100, False, 0),
    "au": ("pcm_s16be", "au", 44_100, False, 0),
    "flac": ("flac", "flac", 44_100, False, 0),
    "ogg flac": ("flac", "ogg", 44_100, False, 0),
    "ogg opus": ("libopus", "ogg", 48_000, False, 0),
    "webm": ("libopus", "webm", 48_000, False, 0),
    "mkv aac": ("aac", "matroska", 44_100, True, 0),
    "mkv mp3": ("libmp3lame", "matroska", 44_100, False, 0),
    "mkv pcm": ("pcm_s16le", "matroska", 16_000, True, 0),
    "m4a": ("aac", "ipod", 44_100, False, 0),
    "m4a alac": ("alac", "ipod", 44_100, False, 0),
    "mp4": ("aac", "mp4", 48_000, True, 0),
    "mp4 opus": ("libopus", "mp4", 48_000, False, 0),
    "mp4 mp3": ("libmp3lame", "mp4", 44_100, False, 0),
    "mov": ("pcm_s16le", "mov", 44_100, True, 0),
    "mp3": ("libmp3lame", "mp3", 44_100, False, 0),
    "mp2": ("mp2", "mp2", 44_100, False, 481),
    "aac": ("aac", "adts", 44_100, False, 1024),
    "ts": ("aac", "mpegts", 44_100, True, 1024),
    "ts mp2": ("mp2", "mpegts", 48_000, True, 481),
    "mpg": ("mp2", "mpeg", 44_100, True, 481),
    "avi": ("libmp3lame", "avi", 44_100, True, 1105),
    "avi pcm": ("pcm_s16le", "avi", 44_100, True, 0),
    "flv": ("aac", "flv", 44_100, False, 1024),
    "wma": ("wmav2", "asf", 44_100, False, -2048),  # FFmpeg's decoder drops the first frame
}
SOUNDFILE = {
    "ogg vorbis": ("OGG", "VORBIS", 44_100),
    "soundfile opus": ("OGG", "OPUS", 48_000),
    "soundfile mp3": ("MP3", "MPEG_LAYER_III", 44_100),
    "rf64": ("RF64", "PCM_16", 44_100),
    "soundfile w64": ("W64", "PCM_16", 44_100),
    "soundfile caf": ("CAF", "PCM_24", 44_100),
    "wavex": ("WAVEX", "PCM_16", 48_000),
}
ALL = [*FORMS, *SOUNDFILE]


def rate_of(name: str) -> int:
    return SOUNDFILE[name][2] if name in SOUNDFILE else FORMS[name][2]


@cache
def signal(rate: int, seconds: float = SECONDS) -> np.ndarray:
    return media.sound(seconds, rate)


@cache
def file(name: str, seconds: float = SECONDS, options: tuple[tuple[str, str], ...] = ()) -> bytes:
    if name in SOUNDFILE:
        kind, subtype, rate = SOUNDFILE[name]
        return written(signal(rate, seconds), rate, kind, subtype)
    codec, container, rate, video, _ = FORMS[name]
    return media.encoded(signal(rate, seconds), rate, codec, container, video=video, options=dict(options))


def written(samples: np.ndarray, rate: int, kind: str = "WAV", subtype: str = "PCM_16") -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=kind, subtype=subtype)
    return buffer.getvalue()


def read(content: bytes, **more: float) -> np.ndarray:
    return decoder.decode(io.BytesIO(content), **more)


def attempt(content: bytes, **more: float) -> np.ndarray | Rejected:
    try:
        return read(content, **more)
    except Rejected as error:
        return error


def refused(content: bytes, **more: float) -> Rejected:
    found = attempt(content, **more)
    assert isinstance(found, Rejected), f"{len(found) / RATE_HZ:.3f} s were read"
    return found


def clip(content: bytes, folder: Path, name: str = "clip") -> decoder.Clip:
    (folder / name).write_bytes(content)
    return decoder.clip(str(folder / name), **RULES)


def alike(found: np.ndarray, truth: np.ndarray, expected_lag: int = 0) -> float:
    """The correlation of what both have, after a lag that must be the expected one."""
    shift = media.lag(found, truth)
    assert abs(shift - expected_lag) <= 8, f"lag {shift}, not {expected_lag}"
    late = found[max(shift, 0) :], truth[max(-shift, 0) :]
    count = min(map(len, late))
    assert count > 10_000
    return float(np.corrcoef(late[0][:count], late[1][:count])[0, 1])


# --- the window: which samples of a file


@pytest.mark.parametrize("name", ALL)
def test_every_kind_of_file_begins_at_its_first_sample_and_ends_at_its_last(name: str) -> None:
    rate = rate_of(name)
    delay_s = FORMS[name][4] / rate if name in FORMS else 0.0
    found = read(file(name))
    truth = media.at_16_khz(signal(rate), rate)
    assert found.dtype == np.float32
    assert alike(found, truth, round(delay_s * RATE_HZ)) > 0.93
    longest_s = SECONDS + abs(delay_s) + 4608 / rate  # what a codec pads its last frame with
    assert SECONDS - abs(delay_s) - 0.01 <= len(found) / RATE_HZ <= longest_s
    if (
        name.startswith(("wav", "w64", "aiff", "caf", "au", "flac", "m4a", "mp4", "mov", "rf64", "ogg"))
        and not delay_s
    ):
        padded_s = 0.03 if name == "wav adpcm" else 0
        assert len(found) / RATE_HZ == pytest.approx(SECONDS, abs=padded_s + 1 / RATE_HZ)
    assert np.array_equal(found, read(file(name)))


@pytest.mark.parametrize(
    "name", ["wav", "flac", "webm", "m4a", "mp4", "mkv pcm", "mp3", "ogg opus", "ts", "ogg vorbis"]
)
def test_a_part_from_the_middle_is_the_same_part(name: str) -> None:
    rate, seconds = rate_of(name), 9.0
    content = file(name, seconds)
    complete = read(content)
    for start_s, duration_s in ((0.0, 2.0), (1.0, 2.0), (4.5, 2.0), (6.0, 4.0)):
        part = read(content, start_s=start_s, duration_s=duration_s)
        expected = complete[round(start_s * RATE_HZ) :][: round(duration_s * RATE_HZ)]
        assert abs(len(part) - len(expected)) <= 1
        assert np.abs(part[: len(expected)] - expected[: len(part)]).max() < 2e-3, (start_s, rate)
    assert len(read(content, start_s=40.0)) == 0


@pytest.mark.parametrize("name", ["wav", "flac", "webm", "m4a", "mp3", "ogg vorbis", "ts", "avi"])
def test_only_the_first_ten_seconds(name: str) -> None:
    assert len(read(file(name, 11.5))) == 160_000


def test_resampling_against_the_formula() -> None:
    at = np.arange(44_100) / 44_100
    found = read(written((0.5 * np.sin(2 * np.pi * 440 * at)).astype(np.float32), 44_100, subtype="FLOAT"))
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE_HZ) / RATE_HZ)
    assert len(found) == RATE_HZ
    assert np.abs(found - expected)[200:-200].max() < 1e-4


def test_an_audio_track_that_begins_late_is_not_preceded_by_silence() -> None:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mov") as target:
        picture = target.add_stream("mpeg4", rate=25)
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        stream = target.add_stream("pcm_s16le", rate=16_000, layout="mono")
        for _ in range(100):
            target.mux(picture.encode(av.VideoFrame(64, 48, "yuv420p")))
        target.mux(picture.encode())
        block = (signal(16_000)[None] * 32768).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
        frame.sample_rate, frame.pts = 16_000, 8_000
        target.mux(stream.encode(frame))
        target.mux(stream.encode())
    assert np.abs(read(buffer.getvalue()) - signal(16_000)).max() < 1e-4


# --- bytes


@pytest.mark.parametrize(
    ("kind", "subtype"), [("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("AIFF", "PCM_16"), ("WAV", "FLOAT")]
)
def test_sixteen_bits_at_16_khz_pass_through_to_the_bit(kind: str, subtype: str, tmp_path: Path) -> None:
    pcm = np.random.default_rng(0).integers(-32768, 32768, 16_000, dtype=np.int16)
    pcm[:4] = -32768, 32767, 0, -1
    samples = (pcm / 32768).astype(np.float32) if subtype == "FLOAT" else pcm
    found = clip(written(samples, 16_000, kind, subtype), tmp_path)
    read_again, rate = soundfile.read(io.BytesIO(found.flac), dtype="int16")
    assert rate == 16_000
    assert np.array_equal(read_again, pcm)
    assert clip(found.flac, tmp_path).flac == found.flac
    info = soundfile.info(io.BytesIO(found.flac))
    assert (info.format, info.subtype, info.channels, info.frames) == ("FLAC", "PCM_16", 1, 16_000)


@pytest.mark.parametrize("name", ["webm", "m4a", "mp3"])
def test_a_fetched_clip_passes_through_the_build_unchanged(name: str, tmp_path: Path) -> None:
    fetched = to_flac(audio.cut(io.BytesIO(file(name, 9.0)), 4.0, 10.0))
    assert clip(fetched, tmp_path).flac == fetched


def test_what_is_louder_than_full_scale_is_limited() -> None:
    pcm, _ = soundfile.read(
        io.BytesIO(to_flac(np.array([1.5, -1.5, 1.0, -1.0, 0.5 / 32768], np.float32))), dtype="int16"
    )
    assert pcm.tolist() == [32767, -32768, 32767, -32768, 0]


def test_the_same_bytes_from_a_folder_and_from_a_store(tmp_path: Path) -> None:
    fsspec.filesystem("memory").pipe_file("/clip", file("webm"))
    assert decoder.clip("memory://clip", **RULES) == clip(file("webm"), tmp_path)


@pytest.mark.parametrize(
    ("name", "called"),
    [("m4a", "a.wav"), ("m4a", "a.mp3"), ("webm", "a.opus"), ("wav", "a.mp4"), ("flac", "a.mp3"), ("mp3", "a.flac"),
     ("aac", "a.ogg"), ("ogg vorbis", "a.aiff"), ("ts", "a.avi"), ("mp4", "%d-a.b"), ("wav", "concat:a|b")],
)  # fmt: skip
def test_content_counts_and_no_name(name: str, called: str, tmp_path: Path) -> None:
    (tmp_path / called).write_bytes(file(name))
    assert np.array_equal(decoder.decode(str(tmp_path / called)), read(file(name)))


# --- lengths that are not stated


def patched(content: bytes, at: int, value: bytes) -> bytes:
    return content[:at] + value + content[at + len(value) :]


@pytest.mark.parametrize("length", [0, 0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 0x7FFFF024])
def test_a_wav_that_was_written_to_a_pipe(length: int) -> None:
    content = written(signal(16_000), 16_000)
    data = content.index(b"data")
    content = patched(patched(content, 4, struct.pack("<I", length)), data + 4, struct.pack("<I", length))
    assert np.array_equal(read(content), read(written(signal(16_000), 16_000)))


def test_a_flac_of_unknown_length() -> None:
    content = file("flac")
    assert int.from_bytes(content[18:26], "big") & (1 << 36) - 1 == 3 * 44_100
    unknown = patched(content, 21, bytes([content[21] & 0xF0]) + bytes(4))
    assert np.array_equal(read(unknown), read(content))
    assert refused(unknown[: len(unknown) // 2]).reason is Reason.AUDIO_TRUNCATED
    assert np.array_equal(read(unknown + b"TAG" + bytes(125)), read(content))


def test_an_au_and_a_caf_of_unknown_length() -> None:
    content = file("au")
    assert np.array_equal(read(patched(content, 8, b"\xff" * 4)), read(content))
    content = file("caf")
    assert np.array_equal(read(patched(content, content.index(b"data") + 4, b"\xff" * 8)), read(content))


def test_a_webm_that_was_streamed() -> None:
    live = file("webm", options=(("live", "1"),))
    assert len(read(live)) == len(read(file("webm")))
    for share in (0.2, 0.5, 0.9):
        assert refused(live[: int(share * len(live)) + 1]).reason is Reason.AUDIO_TRUNCATED


def test_a_wav_without_samples_has_none_of_what_follows() -> None:
    content = written(signal(16_000)[:0], 16_000)
    assert len(read(content)) == 0
    listed = content + b"LIST" + struct.pack("<I", 2000) + b"INFO" + bytes(1996)
    listed = patched(listed, 4, struct.pack("<I", len(listed) - 8))
    assert refused(listed).reason is Reason.AUDIO_TOO_SHORT


# --- files that end early


@pytest.mark.parametrize("name", ALL)
def test_a_file_that_ends_early_is_never_taken_for_a_complete_one(name: str) -> None:
    content, complete = file(name), read(file(name))
    chance = random.Random(name)
    places = [int(len(content) * (k + chance.random()) / 25) for k in range(1, 25)]
    places += [len(content) - chance.randrange(1, 120) for _ in range(5)]
    early = 0
    for place in places:
        found = attempt(content[:place])
        if isinstance(found, Rejected):
            early += 1
            # Below two frames, nothing shows that it is sound.
            expected = Reason.AUDIO_TRUNCATED if place > 1500 else found.reason
            assert found.reason is expected, f"cut at {place}: {found.detail}"
        elif name in ("aac", "mp2") and mpeg.frame(content[place : place + 7]):
            continue  # a stream without a length of its own that ends with a frame
        elif name.startswith("ts") and place % 188 == 0:
            continue  # the same, with a packet
        else:
            assert np.array_equal(found, complete), f"cut at {place}"
    assert early >= 20


def test_both_numbers_are_told() -> None:
    content = file("wav")
    said = refused(content[: len(content) // 2])
    assert "1.500 s" in said.detail
    assert f"{len(content):,}" in said.detail
    assert f"{len(content) // 2:,}" in said.detail


@pytest.mark.parametrize("name", ["wav", "flac", "webm", "mp3", "ogg opus", "ts", "avi pcm"])
def test_a_cut_behind_the_window_takes_nothing_from_it(name: str) -> None:
    content = file(name, 14.0)
    expected = read(content)
    assert np.array_equal(read(content[: int(len(content) * 0.85)]), expected)
    half = len(content) // 2 // 188 * 188 + 100  # within a packet of MPEG-TS
    assert refused(content[:half]).reason is Reason.AUDIO_TRUNCATED


def test_half_an_mp4_with_its_index_first_and_last() -> None:
    first, last = file("mp4", 14.0, (("movflags", "faststart"),)), file("mp4", 14.0)
    assert first.index(b"moov") < first.index(b"mdat")
    assert last.index(b"moov") > last.index(b"mdat")
    assert len(read(first[: int(len(first) * 0.85)])) == 160_000
    assert refused(first[: len(first) // 2]).reason is Reason.AUDIO_TRUNCATED
    for share in (0.3, 0.5, 0.85, 0.99):
        assert refused(last[: int(len(last) * share)]).reason is Reason.AUDIO_TRUNCATED
    assert "no index" in refused(last[: last.index(b"moov") - 4]).detail
    fragmented = file("mp4", 3.0, (("movflags", "frag_keyframe+empty_moov"),))
    assert refused(fragmented[: len(fragmented) // 2]).reason is Reason.AUDIO_TRUNCATED


def test_a_missing_fragment_is_missed_by_the_stated_length() -> None:
    content = media.encoded(
        signal(44_100),
        44_100,
        "aac",
        "mp4",
        options={"movflags": "dash+global_sidx", "frag_duration": "500000"},
    )
    starts = [at - 4 for at in range(len(content)) if content.startswith(b"moof", at)]
    assert len(starts) >= 5
    assert len(read(content)) / RATE_HZ == pytest.approx(SECONDS, abs=0.05)
    assert "its header states 3.0" in refused(content[: starts[3]]).detail


def test_an_ogg_whose_last_page_is_not_marked() -> None:
    content = file("ogg vorbis")
    last = content.rindex(b"OggS")
    assert content[last + 5] & 4
    assert refused(content[:last]).reason is Reason.AUDIO_TRUNCATED
    chained = file("ogg vorbis") + file("ogg vorbis")
    assert len(read(chained)) / RATE_HZ == pytest.approx(2 * SECONDS, abs=0.03)
    assert refused(chained[: int(len(chained) * 0.75)]).reason is Reason.AUDIO_TRUNCATED


def test_an_mp3_with_fewer_frames_than_its_header_states() -> None:
    content = file("mp3")
    frames = frames_of(content)  # the first one holds the number, and no sound
    stated = f"it has 49 frames, its header states {len(frames) - 1}"
    assert refused(content[: frames[50]]).detail == f"the sound ends at 1.255 s: {stated}"
    assert refused(content[: frames[50] + 7]).reason is Reason.AUDIO_TRUNCATED
    head = b"\xff\xfb\x90\xc4"  # 128 kbit/s, 44.1 kHz, mono: 417 bytes
    plain = head + bytes(413)
    first = head + bytes(32) + b"VBRI" + struct.pack(">HHHII", 1, 0, 75, 417 * 40, 40)
    vbri = first.ljust(417, b"\0")
    assert len(read(vbri + 40 * plain)) > 16_000
    assert refused(vbri + 30 * plain).reason is Reason.AUDIO_TRUNCATED


def frames_of(content: bytes) -> list[int]:
    """Where the frames of an MPEG stream begin, by FFmpeg's own parser."""
    codec = av.CodecContext.create("mp3" if b"ID3" in content[:3] or content[1] & 6 else "aac", "r")
    at, places = content.index(b"\xff"), []
    for packet in [*codec.parse(content[at:]), *codec.parse(None)]:
        places.append(at)
        at += packet.size
    return places


# --- MPEG frames


def constant(kbps: int, seconds: float) -> bytes:
    """MP3 frames of one bit rate, without the header that states their number."""
    part = media.sound(seconds, 44_100, kbps)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp3", options={"write_xing": "0", "id3v2_version": "0"}) as target:
        stream = target.add_stream("libmp3lame", rate=44_100, layout="mono")
        stream.bit_rate = 1000 * kbps
        for start in range(0, len(part), 1152):
            frame = av.AudioFrame.from_ndarray(part[None, start : start + 1152], format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 44_100, start
            target.mux(stream.encode(frame))
        target.mux(stream.encode())
    return buffer.getvalue()


def test_a_variable_bit_rate_without_a_header_is_decoded_to_its_end() -> None:
    frames = b"".join(constant(kbps, 1.0) for kbps in (320, 32, 32, 48, 32))
    expected_s = len(frames_of(frames)) * 1152 / 44_100
    guess_s = soundfile.info(io.BytesIO(frames)).duration
    found_s = len(read(frames)) / RATE_HZ
    assert found_s == pytest.approx(expected_s, abs=0.001)
    assert abs(guess_s - expected_s) > 1  # what libsndfile takes it for


JUNK = {
    "zeros": bytes(1000),
    "many zeros": bytes(70_000),
    "noise": np.random.default_rng(0).integers(0, 256, 3000, dtype=np.uint8).tobytes(),
    "text": b"HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\n\r\n",
    "id3": b"ID3\4\0\0" + bytes([0, 0, 7, 104]) + bytes(1000),
    "two id3": (b"ID3\4\0\0" + bytes([0, 0, 7, 104]) + bytes(1000)) * 2,
    "syncs": b"\xff\xfb" * 50,
}


@pytest.mark.parametrize("junk", JUNK)
@pytest.mark.parametrize("name", ["mp3", "aac"])
def test_junk_before_the_first_frame(junk: str, name: str) -> None:
    assert np.array_equal(read(JUNK[junk] + file(name)), read(file(name)))


def test_an_id3_tag_may_stand_before_anything() -> None:
    for name in ("flac", "wav", "ts", "m4a"):
        assert np.array_equal(read(JUNK["id3"] + file(name)), read(file(name)))


@pytest.mark.parametrize(
    "tail", [b"TAG" + b"x" * 125, b"APETAGEX" + bytes(80), b"no sound " * 60, bytes(3000)]
)
def test_what_stands_behind_the_last_frame_is_no_sound(tail: bytes) -> None:
    for name in ("mp3", "aac"):
        found, expected = read(file(name) + tail), read(file(name))
        assert 0 <= len(found) - len(expected) < 1152 * RATE_HZ / 44_100
        same = len(expected) - 200  # the resampler hears the end
        assert np.allclose(found[:same], expected[:same], atol=1e-6)


def test_bytes_that_are_no_frames_between_frames() -> None:
    content = constant(96, 3.0)
    frames = frames_of(content)
    spoiled = content[: frames[40]] + bytes(frames[60] - frames[40]) + content[frames[60] :]
    assert refused(spoiled).reason is Reason.AUDIO_UNREADABLE
    lost = content[: frames[40] + 100] + content[frames[60] + 50 :]
    assert refused(lost).reason is Reason.AUDIO_UNREADABLE


# --- changes inside a file


def peaks_hz(samples: np.ndarray, parts: int) -> list[float]:
    found = []
    for part in np.array_split(samples, parts):
        part = part[2000:-2000]
        spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part))))
        found.append(float(np.argmax(spectrum)) * RATE_HZ / len(part))
    return found


def tone(rate: int, seconds: float = 2.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * 440 * np.arange(int(rate * seconds)) / rate)).astype(np.float32)


@pytest.mark.parametrize(
    ("codec", "container"), [("libmp3lame", "mp3"), ("aac", "adts"), ("aac", "mpegts"), ("mp2", "mp2")]
)
@pytest.mark.parametrize("rates", [(22_050, 44_100), (48_000, 24_000), (44_100, 48_000)])
def test_a_change_of_rate_is_followed(codec: str, container: str, rates: tuple[int, int]) -> None:
    both = b"".join(media.encoded(tone(rate), rate, codec, container) for rate in rates)
    found = read(both)
    assert len(found) / RATE_HZ == pytest.approx(4.0, abs=0.2)
    assert peaks_hz(found, 2) == pytest.approx([440, 440], abs=2)


@pytest.mark.parametrize(("codec", "container"), [("libmp3lame", "mp3"), ("aac", "adts"), ("aac", "mpegts")])
def test_a_change_of_channels_is_followed(codec: str, container: str) -> None:
    wave = tone(44_100)
    both = media.encoded(wave, 44_100, codec, container) + media.encoded(
        np.stack([wave, wave]), 44_100, codec, container
    )
    found = read(both)
    assert len(found) / RATE_HZ == pytest.approx(4.0, abs=0.2)
    first, second = np.array_split(found, 2)
    assert first[4000:-4000].std() == pytest.approx(second[4000:-4000].std(), rel=0.02)


@pytest.mark.parametrize("kind", ["FLAC", "OGG"])
def test_a_second_recording_of_another_rate_has_its_own_speed_or_none(kind: str) -> None:
    subtype = {"FLAC": "PCM_16", "OGG": "VORBIS"}[kind]
    both = written(tone(22_050), 22_050, kind, subtype) + written(tone(44_100), 44_100, kind, subtype)
    if kind == "OGG":  # FFmpeg does not follow it
        assert refused(both).reason is Reason.AUDIO_UNREADABLE
    else:
        assert peaks_hz(read(both), 2) == pytest.approx([440, 440], abs=2)


# --- damage


@pytest.mark.parametrize("seconds", [12.0, 5.0])
@pytest.mark.parametrize("writer", ["FFmpeg", "libsndfile"])
def test_one_wrong_bit_in_a_flac(writer: str, seconds: float) -> None:
    rate, chance = 44_100, random.Random(writer)
    content = file("flac", seconds) if writer == "FFmpeg" else written(signal(rate, seconds), rate, "FLAC")
    begin = next(at for at in range(42, len(content)) if content[at : at + 2] == b"\xff\xf8")
    for stated in (True, False):
        spoiled = bytearray(content)
        if not stated:
            spoiled[21] &= 0xF0
            spoiled[22:26] = bytes(4)
        for at in (begin + 40, *(chance.randrange(begin, int(0.66 * len(content))) for _ in range(5))):
            bit = 1 << chance.randrange(8)
            spoiled[at] ^= bit
            assert refused(bytes(spoiled)).reason is Reason.AUDIO_UNREADABLE, f"byte {at:,}, {bit}"
            spoiled[at] ^= bit
        assert len(read(bytes(spoiled))) == round(min(seconds, 10.0) * RATE_HZ)


@pytest.mark.parametrize(
    ("codec", "container"), [("wavpack", "matroska"), ("tta", "matroska"), ("ac3", "matroska")]
)
def test_a_wrong_checksum_of_other_codecs(codec: str, container: str) -> None:
    content = bytearray(media.encoded(signal(48_000), 48_000, codec, container))
    assert len(read(bytes(content))) > 2 * RATE_HZ
    for at in (0.3, 0.5, 0.7):  # a frame may be as long as a second; in the last one the file may have ended
        content[int(at * len(content))] ^= 4
        assert refused(bytes(content)).reason in (Reason.AUDIO_UNREADABLE, Reason.AUDIO_TRUNCATED)
        content[int(at * len(content))] ^= 4


@pytest.mark.parametrize("codec", ["mp2", "ac3"])
def test_a_program_stream_cut_between_its_packs(codec: str) -> None:
    content = media.encoded(signal(48_000), 48_000, codec, "mpeg")
    for end in range(4 * 2048, len(content) - 2048, 3 * 2048):
        assert refused(content[:end]).reason is Reason.AUDIO_TRUNCATED


def test_an_mp3_in_a_wav_of_unknown_length() -> None:
    content = file("wav mp3")
    begin = content.index(b"data") + 8
    content = patched(content, begin - 4, b"\xff" * 4)
    assert np.array_equal(read(content), read(file("wav mp3")))
    ends, at = {begin}, begin
    while (found := mpeg.frame(content[at : at + 7])) is not None:
        at += found.length
        ends.add(at)
    first, last = sorted(ends)[40:43:2]
    for end in range(first, last, 3):
        if end not in ends:  # between two frames nothing tells
            assert refused(content[:end]).reason is Reason.AUDIO_TRUNCATED, end


@pytest.mark.parametrize("kind", ["WAV", "AIFF", "CAF", "W64"])
def test_two_chunks_of_sound(kind: str) -> None:
    content = written(signal(16_000, 1.0), 16_000, kind)
    name = {"AIFF": b"SSND"}.get(kind, b"data")
    at = content.index(name)
    assert refused(content + content[at:]).reason is Reason.AUDIO_UNREADABLE


@pytest.mark.parametrize("name", ["ogg vorbis", "ogg opus", "ts mp2", "webm"])
def test_lost_packets_are_not_closed_up(name: str) -> None:
    content = file(name)
    if name.startswith("ogg"):
        pages = [at for at in range(len(content)) if content.startswith(b"OggS", at)]
        spoiled = content[: pages[-2]] + content[pages[-1] :]
    elif name == "webm":
        cluster = content.index(b"\x1f\x43\xb6\x75")
        spoiled = content[: cluster + 9000] + bytes(6000) + content[cluster + 15_000 :]
    else:
        third = len(content) // 3 // 188 * 188
        spoiled = content[:third] + content[third + 188 * 200 :]
    assert refused(spoiled).reason in (Reason.AUDIO_UNREADABLE, Reason.AUDIO_TRUNCATED)


@pytest.mark.parametrize("name", ALL)
def test_no_content_ends_in_anything_but_samples_or_a_reason(name: str) -> None:
    chance = random.Random(name)
    content = file(name)
    for _ in range(12):
        spoiled = bytearray(content)
        reach = chance.choice([64, 600, len(content)])
        for _ in range(chance.randrange(1, 12)):
            spoiled[chance.randrange(reach)] = chance.choice([0, 127, 128, 255, chance.randrange(256)])
        found = attempt(bytes(spoiled), max_file_s=30.0)
        if isinstance(found, Rejected):
            assert found.reason.value.startswith("audio_")
        else:
            assert np.isfinite(found).all()
            assert len(found) <= 160_000


# --- channels and tracks


def heard(channels: np.ndarray) -> np.ndarray:
    """(channels, n) at 16 kHz as the decoder mixes it."""
    return read(written(channels.T, 16_000, subtype="FLOAT"))


def test_channels_that_would_cancel_out() -> None:
    left, right = media.sound(3.0, 16_000, 1), media.sound(3.0, 16_000, 2)
    assert np.allclose(heard(np.stack([left, right])), (left + right) / 2, atol=1e-6)
    assert np.allclose(heard(np.stack([left, 0 * left])), left / 2, atol=1e-6)
    assert np.array_equal(heard(np.stack([left, -left])), left)
    assert np.array_equal(heard(np.stack([0.9 * left, -left])), -left)  # the loudest
    offset = heard(np.stack([0.99 * left + 0.1, -left + 0.1]))  # which is no sound
    assert np.allclose(offset, 0.1 - left, atol=1e-6)
    half = np.where(np.arange(len(left)) < len(left) // 2, -left, left)
    assert np.array_equal(np.abs(heard(np.stack([left, half]))), np.abs(left))  # one of the two
    centre = np.zeros((6, len(left)), np.float32)
    centre[2] = left
    assert np.allclose(heard(centre), left / 6, atol=1e-6)
    centre[0] = -left
    assert np.array_equal(np.abs(heard(centre)), np.abs(left))


def test_antiphase_is_not_silence(tmp_path: Path) -> None:
    wave = tone(44_100)
    found = clip(written(np.stack([wave, -wave], 1), 44_100), tmp_path)
    assert decoder.peak(read(found.flac)) == pytest.approx(0.5, abs=0.01)


def test_the_first_track_that_is_not_silent() -> None:
    both = media.encoded(signal(44_100), 44_100, "aac", "matroska", tracks=2)
    assert alike(read(both), media.at_16_khz(signal(44_100), 44_100)) > 0.99
    silent = media.encoded(0 * signal(44_100), 44_100, "aac", "matroska", tracks=2)
    assert decoder.peak(read(silent)) == 0
    assert len(read(silent)) / RATE_HZ == pytest.approx(SECONDS, abs=0.05)


def test_a_codec_that_nobody_decodes() -> None:
    unknown = file("m4a").replace(b"mp4a", b"mha1").replace(b"esds", b"none")
    assert refused(unknown).detail == "no decoder for the codec of its audio track"
    assert refused(unknown).reason is Reason.AUDIO_UNREADABLE
    with pytest.raises(Failure, match="decode_error: no decoder"):
        audio.cut(io.BytesIO(unknown), 0.0, 10.0)
    two = media.encoded(signal(44_100), 44_100, "aac", "mp4", tracks=2)
    first = two.replace(b"mp4a", b"mha1", 1).replace(b"esds", b"none", 1)
    assert alike(read(first), media.at_16_khz(signal(44_100), 44_100)) > 0.99


def test_a_file_without_sound() -> None:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as target:
        picture = target.add_stream("mpeg4", rate=5)
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        target.mux(picture.encode(av.VideoFrame(64, 48, "yuv420p")))
        target.mux(picture.encode())
    assert refused(buffer.getvalue()).detail == "no audio track"


# --- values


def field(offset: int, value: int, size: int = 2) -> Callable[[bytes], bytes]:
    """Another value in a WAV's `fmt ` chunk."""
    return lambda content: patched(
        content, content.index(b"fmt ") + 8 + offset, value.to_bytes(size, "little")
    )


@pytest.mark.parametrize(
    "change",
    [field(4, 0, 4), field(4, 500, 4), field(4, 1_000_000, 4), field(4, 2**31, 4), field(2, 0), field(2, 60_000),
     field(14, 0), field(0, 0x7777)],
    ids=["no rate", "500 Hz", "1 MHz", "2 GHz", "no channels", "60,000 channels", "no bits", "unknown format"],
)  # fmt: skip
def test_headers_that_no_recording_has(change: Callable[[bytes], bytes]) -> None:
    assert refused(change(file("wav"))).reason is Reason.AUDIO_UNREADABLE


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 20_000.0])
def test_samples_that_are_no_sound(value: float) -> None:
    spoiled = signal(44_100).copy()
    spoiled[30_000] = value
    assert refused(written(spoiled, 44_100, subtype="FLOAT")).reason is Reason.AUDIO_UNREADABLE


def test_a_constant_is_silent(tmp_path: Path) -> None:
    for rate in (16_000, 44_100):
        with pytest.raises(Rejected) as caught:
            clip(written(np.full(rate, 0.3, np.float32), rate), tmp_path)
        assert caught.value.reason is Reason.AUDIO_SILENT


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (lambda: written(signal(16_000)[:4000], 16_000), Reason.AUDIO_TOO_SHORT),
        (lambda: written(signal(16_000)[:0], 16_000), Reason.AUDIO_TOO_SHORT),
        (lambda: written(signal(16_000) * 0.001, 16_000), Reason.AUDIO_SILENT),
        (lambda: written(np.zeros(31 * 8000, np.int16), 8000), Reason.AUDIO_TOO_LONG),
        (lambda: written(np.zeros(31 * 8000), 8000, "FLAC"), Reason.AUDIO_TOO_LONG),
        (lambda: constant(32, 31.0), Reason.AUDIO_TOO_LONG),
        (lambda: b"", Reason.AUDIO_UNREADABLE),
        (lambda: b"<html>not found</html>", Reason.AUDIO_UNREADABLE),
        (lambda: media.photo(1), Reason.AUDIO_UNREADABLE),
        (lambda: np.random.default_rng(1).bytes(100_000), Reason.AUDIO_UNREADABLE),
    ],
    ids=[
        "short",
        "no samples",
        "silent",
        "long wav",
        "long flac",
        "long mp3",
        "empty",
        "page",
        "photo",
        "noise",
    ],
)
def test_clips_that_cannot_be_used(content: Callable[[], bytes], reason: Reason, tmp_path: Path) -> None:
    with pytest.raises(Rejected) as caught:
        clip(content(), tmp_path)
    assert caught.value.reason is reason, caught.value.detail


def test_a_clip_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    with pytest.raises(Rejected) as caught:
        decoder.clip(str(tmp_path / "link"), **RULES)
    assert caught.value.reason is Reason.CLIP_MISSING


# --- what a file may cost


class Counting(io.FileIO):
    """A file that knows how many bytes were read of it."""

    taken = 0

    def read(self, size: int = -1, /) -> bytes:
        found = super().read(size)
        self.taken += len(found)
        return found


def test_of_ten_hours_only_what_is_needed_is_read(tmp_path: Path) -> None:
    path, length = tmp_path / "long.wav", 36_000 * 16_000 * 2
    content = patched(written(signal(16_000), 16_000), 4, struct.pack("<I", length + 36))
    with open(path, "wb") as out:
        out.write(patched(content, 40, struct.pack("<I", length)))
        out.truncate(44 + length)  # a file with a hole: it takes no room
    with Counting(path) as opened:
        assert len(decoder.decode(opened)) == 160_000
        with pytest.raises(Rejected) as caught:
            decoder.decode(opened, max_file_s=30.0)
        assert caught.value.reason is Reason.AUDIO_TOO_LONG
        assert opened.taken < 5_000_000


def test_a_header_that_states_a_thousand_million_seconds() -> None:
    content = file("flac")
    samples = int.from_bytes(content[18:26], "big") | (1 << 36) - 1
    states = [patched(content, 18, samples.to_bytes(8, "big"))]
    for name, chunk, at, value in (
        ("aiff", b"COMM", 10, b"\x7f\0\0\0"),
        ("caf", b"data", 4, (10**14).to_bytes(8, "big")),
        ("au", b".snd", 8, b"\x70\0\0\0"),
        ("wav", b"data", 4, b"\0\0\0\x70"),
    ):
        content = file(name)
        states.append(patched(content, content.index(chunk) + at, value))
    for content in states:
        assert refused(content, max_file_s=30.0).reason is Reason.AUDIO_TRUNCATED


@pytest.mark.parametrize("count", [1_000_000, 89_000_000, 0xFFFFFFFF])
def test_an_mp4_may_not_list_more_samples_than_it_can_hold(count: int) -> None:
    fragmented = file("mp4", 3.0, (("movflags", "frag_keyframe+empty_moov"),))
    for content, name, at in ((file("m4a"), b"stsz", 8), (file("m4a"), b"stts", 8), (fragmented, b"trun", 4)):
        place = content.index(name) + 4 + at
        said = refused(patched(content, place, struct.pack(">I", count)))
        assert "its index lists" in said.detail


def test_content_that_is_made_to_keep_its_reader_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shards.sound.section._MOST", 2000)
    streamed = file("webm", options=(("live", "1"),))
    assert len(read(streamed)) == 3 * RATE_HZ
    for content in (streamed + b"\xec\x80" * 5000, b"\xff\xfb\x90\xc4" * 5000 + bytes(500)):
        assert refused(content).detail == "more than 2,000 parts"


PLAYLISTS = {
    "m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile '{}'\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
    "pls": "[playlist]\nFile1={}\nNumberOfEntries=1\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet>'
    "<Representation><BaseURL>{}</BaseURL></Representation></AdaptationSet></Period></MPD>",
    "asx": '<asx version="3.0"><entry><ref href="{}"/></entry></asx>',
    "subtitles": "1\n00:00:00,000 --> 00:00:02,000\n{}\n",
}


@pytest.mark.parametrize("kind", PLAYLISTS)
@pytest.mark.parametrize("called", ["clip.mp4", "clip.m3u8", "clip.wav"])
def test_a_file_that_names_others_is_no_sound(kind: str, called: str, tmp_path: Path) -> None:
    (tmp_path / "secret.wav").write_bytes(file("wav"))
    (tmp_path / called).write_text(PLAYLISTS[kind].format(tmp_path / "secret.wav"))
    with pytest.raises(Rejected) as caught:
        decoder.decode(str(tmp_path / called))
    assert caught.value.reason is Reason.AUDIO_UNREADABLE
    assert caught.value.detail.startswith("no known kind of sound")


def test_a_movie_whose_data_lies_elsewhere_reads_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "secret.wav").write_bytes(file("wav"))
    content = file("mov")
    assert b"url \0\0\0\1" in content  # the data is in this file
    elsewhere = content.replace(b"url \0\0\0\1", b"url \0\0\0\0")
    found = attempt(elsewhere)
    assert isinstance(found, Rejected) or np.array_equal(found, read(content))


def test_ffmpeg_is_refused_another_file() -> None:
    container, section = containers.recognise(io.BytesIO(file("wav")))
    with decoder._open(container, section) as opened, pytest.raises(Rejected, match="another file"):
        opened.io_open("/etc/passwd", 0, {})


@pytest.mark.parametrize("kind", ["wav", "mp3"])
def test_a_disk_that_fails_is_no_bad_file(kind: str) -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() + (size or 0) > 20_000:
                raise OSError(5, "the disk fails")
            return super().read(size)

    with pytest.raises(OSError, match="the disk fails"):
        decoder.decode(Failing(file(kind)))


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("more", [b"", b"LIST\4\0\0\0INFO"])
def test_a_plain_wav_is_read_as_ffmpeg_reads_it(
    channels: int, more: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in part, with an odd end, and where it is cut."""
    pcm = np.random.default_rng(0).integers(-9_000, 9_000, 2 * 22_050 * channels).astype("<i2").tobytes()
    size = 2 * channels
    heading = struct.pack("<HHIIHH", 1, channels, 22_050, 22_050 * size, size, 16)
    chunks = b"fmt \x10\0\0\0" + heading + more + b"data" + struct.pack("<I", len(pcm)) + pcm
    content = b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks

    def told(content: bytes, start_s: float, duration_s: float, most_s: float | None) -> str:
        try:
            samples = decoder.decode(
                io.BytesIO(content), start_s=start_s, duration_s=duration_s, max_file_s=most_s
            )
        except Rejected as error:
            return repr(error)
        return hashlib.sha256(samples).hexdigest()

    cases = [
        (made, *part, most_s)
        for most_s in (None, 1.8)
        for made in (
            content,
            content + b"\0",
            content[:-1],
            content[:-20_000],
            content[:20],
            content + more * 9,
        )
        for part in ((0.0, 1.0), (0.3, 0.7), (1.2, 0.4), (1.9, 1.0), (5.0, 1.0))
    ]
    ours = [told(*case) for case in cases]
    monkeypatch.setattr(plain_wavs, "plain", lambda _: None)
    assert ours == [told(*case) for case in cases]


# --- who uses it


def test_predict_hears_what_a_dataset_holds(tmp_path: Path) -> None:
    (tmp_path / "a.mp3").write_bytes(file("m4a"))
    samples = read(file("m4a"))
    assert np.array_equal(sound.window(tmp_path / "a.mp3"), samples[15_360 : 15_360 + 15_600])
    (tmp_path / "a.mp3").write_bytes(file("m4a")[:9000])
    with pytest.raises(
        decode.DecodeError, match=r"a\.mp3 holds no sound that can be heard: audio_truncated: "
    ):
        sound.window(tmp_path / "a.mp3")


def test_windows() -> None:
    assert [window_start(160_000, number) for number in (0, 1, 9, 10)] == [0, 15_360, 138_240, 138_240]
    assert window_start(15_600, 1) == window_start(100, 1) == 0
    assert window_start(40_000, 4) == 15_360


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (lambda: file("m4a")[:9000], Cause.AUDIO_TRUNCATED),
        (lambda: b"<html>", Cause.DECODE_ERROR),
        (lambda: written(signal(16_000)[:8000], 16_000), Cause.TOO_SHORT),
    ],
)
def test_fetch_has_causes_of_its_own(content: Callable[[], bytes], cause: Cause) -> None:
    with pytest.raises(Failure) as caught:
        audio.cut(io.BytesIO(content()), 0.0, 10.0)
    assert caught.value.cause is cause
