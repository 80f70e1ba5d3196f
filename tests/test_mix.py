"""Mixed sound, against the same arithmetic in fractions and floating point, written plainly."""

import hashlib
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards.scene_sound import Parts, SoundRules, part
from shards.sound import RATE_HZ, mix, pcm_of, pcm_to_flac

SAMPLES = 64
RNG = np.random.default_rng(16)


def loud(samples: int = SAMPLES, peak: int = 32_768) -> np.ndarray:
    return RNG.integers(-peak, peak, samples).astype(np.int16)


tracks = st.builds(
    lambda seed, tenths, thousandths, late: mix.Track(
        np.random.default_rng(seed).integers(-32_768, 32_768, SAMPLES).astype(np.int16),
        tenths / 10,
        thousandths / 1000,
        late,
    ),
    st.integers(0, 1000),
    st.integers(-1200, 600),
    st.integers(0, 1000),
    st.integers(-11, 11),
)


def expected(found: list[mix.Track], channels: int, law: str) -> np.ndarray:
    """(SAMPLES, channels) float64 sum, as a textbook writes it."""
    total = np.zeros((SAMPLES, channels))
    for track in found:
        right = round(track.pan * 1000) / 1000
        parts = {
            "": (1.0, 1.0),
            "linear": (1 - right, right),
            "constant_power": (math.sqrt(1 - right), math.sqrt(right)),
        }
        for channel in range(channels):
            late = 0 if channels == 1 else max(0, track.delay if channel == 0 else -track.delay)
            heard = np.concatenate([np.zeros(late), track.pcm[: SAMPLES - late]])
            total[:, channel] += heard * 10 ** (track.gain_db / 20) * parts[law][channel]
    return total


@given(
    st.lists(tracks, min_size=1, max_size=5), st.sampled_from([(1, ""), (2, "linear"), (2, "constant_power")])
)
def test_a_mix_is_the_sum_that_fits(found: list[mix.Track], how: tuple[int, str]) -> None:
    made, right = mix.render(found, SAMPLES, *how), expected(found, *how)
    over = (right > 32767) | (right < -32768)
    assert made.pcm.dtype == np.int16
    assert made.scale * 65536 == int(made.scale * 65536)
    if made.scale == 1:
        assert made.clipped == 0
        # Each factor is off by half of 1/65536 at most: a quarter of a step of the loudest sample, and in stereo a
        # quarter of the gain besides.
        off = sum(0.26 + (how[0] - 1) * 0.26 * 10 ** (track.gain_db / 20) for track in found)
        assert np.abs(made.pcm.reshape(right.shape) - right).max() <= 0.51 + off
    else:
        assert (
            abs(made.clipped - over.sum())
            <= (np.abs(np.abs(right) - 32767.5) < 1 + 1e-4 * np.abs(right)).sum()
        )
        assert np.abs(made.pcm.reshape(right.shape) - right * made.scale).max() <= 2 + 3e-4 * 32768
        assert (
            np.abs(made.pcm.astype(int)).max() >= 32767 - np.abs(right).max() / 65536 - 1
        )  # no quieter than it must


def test_one_clip_as_it_is_passes_unchanged() -> None:
    pcm = loud()
    pcm[0] = -32768
    assert (mix.render([mix.Track(pcm)], SAMPLES).pcm == pcm).all()
    assert mix.render([mix.Track(pcm)], SAMPLES).scale == 1
    assert not mix.render([], SAMPLES, 2, "linear").pcm.any()
    two = mix.render([mix.Track(pcm, pan=0.0), mix.Track(pcm[::-1], pan=1.0)], SAMPLES, 2, "linear")
    assert (two.pcm == np.stack([pcm, pcm[::-1]], axis=1)).all()


def test_gains_are_exact_to_a_tenth() -> None:
    for tenths in range(-1200, 601, 7):
        assert (
            abs(mix.factor(tenths / 10) - 65536 * 10 ** (tenths / 200))
            <= 0.5 + 1e-9 * 10 ** (tenths / 200) * 65536
        )
    for level in (-40.0, -25.0, -3.0):
        pcm = loud(5000, 900)
        rms_db = 10 * math.log10(np.mean((pcm / 32768.0) ** 2))
        gain = mix.gain_to(level, pcm)
        assert gain == round(gain, 1)
        assert abs(rms_db + gain - level) <= 0.05 + 1e-9
    with pytest.raises(ValueError, match="silence has no level"):
        mix.gain_to(-20.0, np.zeros(9, np.int16))
    with pytest.raises(ValueError, match="a gain of 61"):
        mix.factor(61.0)


def test_rules_of_gains() -> None:
    quiet, strong = loud(4000, 300), loud(4000, 20_000)
    assert mix.gains("vpo", [quiet, strong], -25.0, [0.0, 0.0]) == [0.0, 0.0]
    assert mix.gains("equal_rms", [quiet], -25.0, [9.0]) == [mix.gain_to(-25.0, quiet)]
    assert mix.gains("snr", [], -25.0, []) == []
    for rule, below in (("equal_rms", 0.0), ("snr", 6.5)):
        found = mix.gains(rule, [quiet, strong], -25.0, [0.0, 6.5])
        heard = [pcm * 10 ** (gain / 20) for pcm, gain in zip((quiet, strong), found, strict=True)]
        first, second, both = (
            10 * math.log10(np.mean((one / 32768) ** 2)) for one in (*heard, heard[0] + heard[1])
        )
        assert abs(first - second - below) <= 0.101
        assert abs(both + 25) <= 0.06
    assert mix.gains("equal_rms", [quiet, -quiet], -25.0, [0.0, 0.0]) == [mix.gain_to(-25.0, quiet)] * 2


def test_crops_and_short_clips() -> None:
    pcm = loud(20_000, 50)
    pcm[9_700:11_000] = loud(1_300, 20_000)
    assert [mix.crop_start(pcm, 4_000, rule) for rule in ("first", "middle")] == [0, 8_000]
    best = max(range(0, 16_001, 1_600), key=lambda at: (sum(int(v) ** 2 for v in pcm[at : at + 4_000]), -at))
    assert mix.crop_start(pcm, 4_000, "loudest") == best
    assert (mix.cropped(pcm, best, 4_000) == pcm[best : best + 4_000]).all()
    assert mix.crop_start(np.zeros(9_000, np.int16), 4_000, "loudest") == 0
    for samples in (1, 1_599, 1_600, 4_321, 19_999, 20_000):
        starts = range(0, len(pcm) - samples + 1, 1_600)
        energies = [sum(int(value) ** 2 for value in pcm[at : at + samples]) for at in starts]
        assert mix.crop_start(pcm, samples, "loudest") == 1_600 * energies.index(max(energies))
    short = np.arange(5, dtype=np.int16)
    assert mix.cropped(short, 0, 12).tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1]
    assert mix.crop_start(short, 12, "middle") == 0


def test_noise_is_white_uniform_and_a_function_of_its_key() -> None:
    found = mix.noise(3, "abc", 40_001)
    key = int.from_bytes(hashlib.sha256(b"noise\x1f3\x1fabc").digest()[:16], "big")
    bits = np.random.Philox(key=key).random_raw(2).tolist()
    first = b"".join(value.to_bytes(8, "little") for value in bits)
    assert found[:8].tolist() == np.frombuffer(first, "<i2").tolist()
    assert (found[:20_000] == mix.noise(3, "abc", 20_000)).all()
    assert (found != mix.noise(4, "abc", 40_001)).mean() > 0.99
    assert abs(found.std() / (32768 / math.sqrt(3)) - 1) < 0.02
    power = (np.abs(np.fft.rfft(found[:40_000].reshape(100, 400))) ** 2).mean(axis=0)[1:-1]
    assert power.max() / power.mean() < 2


def test_delays_are_those_of_a_head() -> None:
    assert [mix.delay(pan) for pan in (0.0, 0.5, 1.0)] == [-11, 0, 11]
    for thousandths in range(1001):
        right = Fraction(2 * thousandths - 1000, 1000) * mix.DELAY_SAMPLES
        assert abs(mix.delay(thousandths / 1000) - right) <= Fraction(1, 2)


def test_bytes_of_a_mix_do_not_change() -> None:
    """Held, because every machine must make the same: integers have no other result."""
    step = np.arange(SAMPLES, dtype=np.int64)
    ramps = [((step * k * 997) % 65_536 - 32_768).astype(np.int16) for k in (1, 2, 3)]
    found = [mix.Track(ramp, gain, pan, mix.delay(pan)) for ramp, gain, pan in
             zip(ramps, (-3.3, 2.1, -11.7), (0.125, 0.5, 0.969), strict=True)]  # fmt: skip
    digests = [hashlib.sha256(mix.render(found, SAMPLES, *how).pcm.astype("<i2").tobytes()).hexdigest()[:16]
               for how in ((1, ""), (2, "linear"), (2, "constant_power"))]  # fmt: skip
    assert digests == HELD
    stereo = mix.render(found, SAMPLES, 2, "linear").pcm
    with pytest.raises(ValueError, match="16 kHz mono"):
        pcm_of(pcm_to_flac(stereo))
    assert (pcm_of(pcm_to_flac(ramps[0])) == ramps[0]).all()


HELD = ["d15f1f4fff07cd31", "78e889487f8408ca", "c8e86ecd2ef81d67"]


@pytest.mark.parametrize("crop", mix.CROPS)
@pytest.mark.parametrize("seconds", [0.7, 5.0, 5.03, 10.0])
def test_a_part_that_is_decoded_alone_is_that_of_the_whole_clip(crop: str, seconds: float) -> None:
    rules = SoundRules("equal_rms", crop, 5.0)
    parts = Parts(rules)
    for seed in range(3):
        pcm = np.random.default_rng(seed).integers(-9000, 9000, round(seconds * RATE_HZ)).astype(np.int16)
        pcm[: len(pcm) // 3] //= 8 * (seed + 1)
        flac = pcm_to_flac(pcm)
        digest = hashlib.sha256(flac).hexdigest()
        wanted, expected_part = part(pcm, rules, "clip")
        for _ in range(2):
            start, found = parts.of(flac, digest, "clip")
            assert start == wanted
            np.testing.assert_array_equal(found, expected_part)
