"""A video in, an overlay out: the mask follows the sound that is on, and times, size and sound stay."""

import json
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner
from pycocotools import mask as coco
from torch import nn

from avs_train import assembly, cli
from avs_train.models.build import PIXEL_MEAN, PIXEL_STD
from avs_train.predict import run_lengths, window_around

WIDTH, HEIGHT, RATE, SECONDS = 160, 120, 10, 8
RED, BLUE = (20, 30, 40), (100, 50, 40)  # x, y and side of a square
LOW, HIGH = 300.0, 3000.0  # Hz: red sounds low, blue high


class Listener(nn.Module):
    """Marks red where it hears low tones, blue where high ones, nothing in silence: what a perfect model would do."""

    def forward(self, image, audio):
        colour = image * torch.tensor(PIXEL_STD).view(3, 1, 1) + torch.tensor(PIXEL_MEAN).view(3, 1, 1)
        bands = audio[:, :64] * 2 - 2  # mean log-mel
        loud = bands.max(dim=1).values > -3
        low = bands.argmax(dim=1) < 24
        channel = torch.where(low, 0, 2)
        seen = colour[torch.arange(len(colour)), channel] - colour[:, 1]
        logits = torch.where(loud[:, None, None], (seen - 60) / 10, torch.full_like(seen, -9.0))
        return nn.functional.avg_pool2d(logits[:, None], 4)


@pytest.fixture(autouse=True)
def listener(monkeypatch):
    monkeypatch.setattr(assembly, "open_model", lambda config, device: Listener())


def sounding(time_s):
    """What is on: low, high, nothing, low, two seconds each."""
    return ("low", "high", "", "low")[min(int(time_s / 2), 3)]


def tones(rate, seconds=SECONDS):
    time_s = np.arange(round(rate * seconds)) / rate
    hz = np.array([{"low": LOW, "high": HIGH, "": 0.0}[sounding(t)] for t in time_s])
    return (0.5 * np.sin(2 * np.pi * hz * time_s) * (hz > 0)).astype(np.float32)


def picture(width=WIDTH, height=HEIGHT):
    image = np.full((height, width, 3), 90, np.uint8)
    for (x, y, side), colour in ((RED, (230, 60, 60)), (BLUE, (60, 60, 230))):
        image[y : y + side, x : x + side] = colour
    return image


def truth(time_s, width=WIDTH, height=HEIGHT):
    mask = np.zeros((height, width), bool)
    x, y, side = {"low": RED, "high": BLUE}.get(sounding(time_s), (0, 0, 0))
    mask[y : y + side, x : x + side] = True
    return mask


def video(path, *, codec="libx264", audio="aac", size=(WIDTH, HEIGHT), times=None, delay_s=0.0, sound=True):
    """Both squares all the time; the sound from `delay_s` on."""
    times = np.arange(RATE * SECONDS) / RATE if times is None else times
    with av.open(str(path), "w") as target:
        stream = target.add_stream(codec, rate=RATE)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p" if size[0] % 2 == 0 else "yuv444p"
        if audio == "aac":  # a container whose clock is fine enough for uneven times
            stream.codec_context.time_base = Fraction(1, 1000)
        if sound:
            heard = target.add_stream(audio, rate=16000, layout="mono")
        for index, time_s in enumerate(times):
            frame = av.VideoFrame.from_ndarray(picture(*size), format="rgb24")
            frame.pts, frame.time_base = (
                (round(time_s * 1000), Fraction(1, 1000)) if audio == "aac" else (index, Fraction(1, RATE))
            )
            target.mux(stream.encode(frame))
        target.mux(stream.encode())
        if sound:
            samples = tones(16000)[round(delay_s * 16000) :]
            frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 16000, round(delay_s * 16000), Fraction(1, 16000)
            target.mux(heard.encode(frame))
            target.mux(heard.encode())
    return path


def predict(*arguments, ok=True):
    said = CliRunner().invoke(cli.main, ["predict", *map(str, arguments), "--model", "tiny"])
    if ok and said.exception:
        raise AssertionError(said.output) from said.exception
    return said.output


def masks(path):
    found = json.loads(path.read_text())["masks"]
    decoded = [
        coco.decode(coco.frPyObjects(each["segmentation"], *each["segmentation"]["size"])) for each in found
    ]
    return [each["time_s"] for each in found], [mask.astype(bool) for mask in decoded]


def iou(one, other):
    return (one & other).sum() / max(1, (one | other).sum())


def follows(times, found):
    """The mask is that of what sounds, wherever the 0.975 s around a frame hold one sound alone; returns how many."""
    checked = 0
    for time_s, mask in zip(times, found, strict=True):
        edges = [edge for edge in (2, 4, 6) if abs(time_s - edge) < 0.55]
        if edges:
            continue
        expected = truth(time_s)
        if sounding(time_s):
            assert iou(mask, expected) > 0.85, time_s
        else:
            assert not mask.any(), time_s
        checked += 1
    return checked


@pytest.mark.parametrize(
    ("ending", "codec", "audio", "kept"),
    [
        ("mp4", "libx264", "aac", True),
        ("mkv", "mpeg4", "pcm_s16le", False),
        ("avi", "mpeg4", "libmp3lame", True),
    ],
)
def test_the_mask_follows_the_sound_that_is_on(tmp_path, ending, codec, audio, kept):
    clip = video(tmp_path / f"clip.{ending}", codec=codec, audio=audio)
    out = tmp_path / "overlay.mp4"
    said = predict(clip, "--out", out, "--masks", tmp_path / "masks.json")
    assert "80 frames" in said
    times, found = masks(tmp_path / "masks.json")
    with av.open(str(clip)) as given:
        assert times == pytest.approx([frame.time for frame in given.decode(video=0)], abs=0.002)
    assert follows(times, found) >= 45
    with av.open(str(out)) as made, av.open(str(clip)) as given:
        frames = [(frame.time, frame.to_ndarray(format="rgb24")) for frame in made.decode(video=0)]
        assert [time for time, _ in frames] == pytest.approx(times, abs=0.002)
        for (time_s, image), mask in zip(frames, found, strict=True):
            assert image.shape == (HEIGHT, WIDTH, 3)
            if sounding(time_s) and mask.any():
                inside, outside = image[20:60:4, 20:60:4][mask[20:60:4, 20:60:4]], image[80:, :10]
                assert outside.mean() < 45  # darkened: 0.3 of 90
                assert not len(inside) or inside.mean() > 90
        made.seek(0)
        codecs = [
            container.streams.audio[0].codec_context.codec.canonical_name for container in (made, given)
        ]
        assert (codecs[0] == codecs[1]) == kept
    sound, expected = heard(out), tones(16000)
    assert len(sound) == pytest.approx(len(expected), abs=2400)
    seconds = slice(4000, 30000), slice(36000, 62000), slice(68000, 92000)
    assert [np.abs(sound[each]).max() > 0.2 for each in seconds] == [True, True, False]


def heard(path):
    with av.open(str(path)) as container:
        resampler = av.AudioResampler("flt", "mono", 16000)
        frames = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
    return np.concatenate([frame.to_ndarray().ravel() for frame in frames])


def test_sound_that_begins_late_is_heard_when_it_is_on(tmp_path):
    clip = video(tmp_path / "late.mp4", delay_s=3.0)
    predict(clip, "--out", tmp_path / "o.mp4", "--masks", tmp_path / "m.json")
    times, found = masks(tmp_path / "m.json")
    for time_s, mask in zip(times, found, strict=True):
        if time_s < 2.4:
            assert not mask.any(), time_s
        if time_s > 6.6:
            assert iou(mask, truth(time_s)) > 0.85, time_s
    sound = heard(tmp_path / "o.mp4")
    assert np.abs(sound[-6000:]).max() > 0.2


def test_uneven_times_and_odd_sides_stay(tmp_path):
    times = np.cumsum([0, 0.04, 0.5, 0.033, 0.7, 0.2, 0.9, 0.1, 0.8])
    clip = video(tmp_path / "uneven.mp4", times=times, size=(161, 121))
    predict(clip, "--out", tmp_path / "o.mp4", "--masks", tmp_path / "m.json")
    assert masks(tmp_path / "m.json")[0] == pytest.approx(times, abs=0.002)
    with av.open(str(tmp_path / "o.mp4")) as made:
        frames = list(made.decode(video=0))
    assert [frame.time for frame in frames] == pytest.approx(times, abs=0.002)
    assert (frames[0].width, frames[0].height) == (161, 121)


def test_another_sound_takes_the_place_of_the_videos_own(tmp_path):
    clip = video(tmp_path / "silent.mp4", sound=False)
    assert "has no sound: give one as SOUND" in predict(clip, ok=False)
    soundfile.write(
        tmp_path / "high.wav", 0.5 * np.sin(np.arange(44100 * 9) / 44100 * 2 * np.pi * HIGH), 44100
    )
    predict(clip, tmp_path / "high.wav", "--out", tmp_path / "o.mkv", "--masks", tmp_path / "m.json")
    _, found = masks(tmp_path / "m.json")
    assert all(iou(mask, truth(3)) > 0.85 for mask in found)
    assert np.abs(heard(tmp_path / "o.mkv")).max() > 0.3


def test_a_folder_of_frames_and_a_sound(tmp_path):
    (tmp_path / "frames").mkdir()
    for index in range(SECONDS * 2):  # 2 a second; names whose order is not that of the alphabet
        cv2.imwrite(str(tmp_path / "frames" / f"clip_{index + 5}.png"), picture()[:, :, ::-1])
    soundfile.write(tmp_path / "sound.wav", tones(16000), 16000)
    arguments = [tmp_path / "frames", tmp_path / "sound.wav", "--fps", 2, "--masks", tmp_path / "m.json"]
    predict(*arguments)
    times, found = masks(tmp_path / "m.json")
    assert times == [index / 2 for index in range(16)]
    assert follows(times, found) >= 7
    assert (tmp_path / "frames-overlay.mp4").is_file()
    assert "has no sound" in predict(tmp_path / "frames", ok=False)
    (tmp_path / "frames" / "clip_7.png").write_text("no picture")
    assert "clip_7.png: photo of 10 bytes that does not decode" in predict(*arguments, ok=False)


def test_a_mask_may_be_made_now_and_then(tmp_path):
    clip = video(tmp_path / "clip.mp4")
    predict(clip, "--every", 1, "--masks", tmp_path / "m.json", "evaluate.batch_size=3")
    _, found = masks(tmp_path / "m.json")
    for second in range(8):
        assert all((mask == found[10 * second]).all() for mask in found[10 * second : 10 * second + 10])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["words.mp4"], "is no video or sound that can be read"),
        (["tone.wav"], "tone.wav has no moving pictures"),
        (["photo.jpg"], "is a photo: give the SOUND"),
        (["photo.jpg", "words.mp4"], "holds no sound that can be heard"),
        (["clip.mp4", "nowhere.wav"], "a file that is there"),
        (["clip.mp4", "--out", "clip.mp4"], "is what is read: give another --out"),
        (["clip.mp4", "--out", "clip.pdf"], "end it in .mp4"),
        (["clip.mp4", "--mask", "m.png"], "--mask is for a photo"),
        (["empty"], "holds no frames"),
    ],
)
def test_what_cannot_be_watched_is_said(tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "words.mp4").write_text("no video")
    (tmp_path / "empty").mkdir()
    soundfile.write(tmp_path / "tone.wav", tones(16000), 16000)
    cv2.imwrite(str(tmp_path / "photo.jpg"), picture())
    video(tmp_path / "clip.mp4", times=[0, 0.1])
    text = predict(*arguments, ok=False)
    assert said in text
    assert "Traceback" not in text
    assert not [path.name for path in tmp_path.iterdir() if "overlay" in path.name or "part" in path.name]


def test_windows_are_around_their_time_and_inside_the_sound():
    waveform = np.arange(40000, dtype=np.float32)
    assert window_around(waveform, 1.0)[0] == 16000 - 7800
    assert window_around(waveform, 0.1)[0] == 0
    assert window_around(waveform, 2.6)[-1] == 39999
    assert not window_around(waveform, 3.1).any()
    assert not window_around(waveform, -0.6).any()
    assert np.array_equal(window_around(np.ones(100, np.float32), 0.0), np.ones(15600))


@pytest.mark.parametrize("kind", ["random", "empty", "full", "first"])
def test_run_lengths_are_cocos(kind):
    rng = np.random.default_rng(0)
    mask = {"random": rng.random((7, 5)) > 0.5, "empty": np.zeros((7, 5), bool), "full": np.ones((7, 5), bool),
            "first": np.eye(7, 5, dtype=bool)}[kind]  # fmt: skip
    found = run_lengths(mask)
    assert sum(found["counts"]) == 35
    assert np.array_equal(coco.decode(coco.frPyObjects(found, 7, 5)).astype(bool), mask)
