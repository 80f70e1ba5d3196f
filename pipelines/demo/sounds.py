"""Synthesised sounds, one timbre a category, every variation a hash of (seed, key). No category is louder."""

import numpy as np

from shards.hashing import hash64, unit


def sound(category: str, seed: int, key: str, rate_hz: int, seconds: float) -> np.ndarray:
    """float32 (samples,) in [-0.7, 0.7]: something is heard in every half second."""
    rng = np.random.default_rng(hash64(seed, "sound", key))
    t = np.arange(int(rate_hz * seconds)) / rate_hz
    pitch = 2 ** ((unit(seed, "pitch", key) - 0.5) / 3)  # two semitones up or down
    wave = _TIMBRES[category](t, rate_hz, pitch, rng) + 0.004 * rng.standard_normal(len(t))
    gain = 0.3 + 0.4 * unit(seed, "gain", key)
    return (gain * wave / np.abs(wave).max()).astype(np.float32)


def _sweep(hz: np.ndarray, rate_hz: int) -> np.ndarray:
    """Phase in radians of a tone whose frequency is `hz` at each sample."""
    return 2 * np.pi * np.cumsum(hz) / rate_hz


def _harmonics(phase: np.ndarray, weights: list[float]) -> np.ndarray:
    return np.sum([weight * np.sin((k + 1) * phase) for k, weight in enumerate(weights)], axis=0)


def _band(t: np.ndarray, rate_hz: int, low: float, high: float, rng: np.random.Generator) -> np.ndarray:
    """Noise between two frequencies."""
    spectrum = np.fft.rfft(rng.standard_normal(len(t)))
    hz = np.fft.rfftfreq(len(t), 1 / rate_hz)
    noise = np.fft.irfft(spectrum * ((hz >= low) & (hz <= high)), len(t))
    return noise / (noise.std() + 1e-9)


def _strokes(
    t: np.ndarray, every: float, decay: float, rng: np.random.Generator, jitter: float = 0.0
) -> np.ndarray:
    """An envelope that jumps to 1 every so many seconds and dies away."""
    starts = (
        np.arange(0, t[-1] + every, every)
        + jitter * every * rng.uniform(-1, 1, int(t[-1] / every) + 2)[:None]
    )
    since = t - np.maximum.reduce([np.where(t >= start, start, -1e9) for start in starts[:400]])
    return np.where(since < 1e6, np.exp(-since / decay), 0.0)


def _alarm_clock(t: np.ndarray, rate: int, pitch: float, rng: np.random.Generator) -> np.ndarray:
    return np.sign(np.sin(2 * np.pi * 2050 * pitch * t)) * ((t % 0.25) < 0.13)


def _ambulance(t: np.ndarray, rate: int, pitch: float, rng: np.random.Generator) -> np.ndarray:
    hz = pitch * (950 + 350 * np.sin(2 * np.pi * t / 1.3 + rng.uniform(0, 6)))
    return _harmonics(_sweep(hz, rate), [1, 0.5, 0.3, 0.15])


def _bird(t: np.ndarray, rate: int, pitch: float, rng: np.random.Generator) -> np.ndarray:
    hz = pitch * (4200 + 1300 * np.sin(2 * np.pi * 9 * t))
    return np.sin(_sweep(hz, rate)) * ((t % 0.32) < 0.2)


def _bus(t: np.ndarray, rate: int, pitch: float, rng: np.random.Generator) -> np.ndarray:
    hum = _harmonics(_sweep(np.full(len(t), 62 * pitch), rate), [1, 0.8, 0.7, 0.5, 0.4])
    return hum + 0.35 * _band(t, rate, 80, 420, rng)


def _cat(t: np.ndarray, rate: int, pitch: float, rng: np.random.Generator) -> np.ndarray:
    bow = (t % 0.85) / 0.85
    hz = pitch * (520 + 330 * np.sin(np.pi * bow)) * (1 + 0.012 * np.sin(2 * np.pi * 7 * t))
    return _harmonics(_sweep(hz, rate), [0.6, 1, 0.8, 0.5, 0.35, 0.2]) * np.sin(np.pi * bow) ** 0.6


def _computer_keyboard(t: np.ndarray, rate: int, pitch: float, rng: np.random.Generator) -> np.ndarray:
    return _band(t, rate, 2500, 7000, rng) * _strokes(t, 0.11, 0.006, rng, jitter=0.4)


def _dog(t: np.ndarray, rate: int, pitch: float, rng: np.random.Generator) -> np.ndarray:
    envelope = _strokes(t, 0.42, 0.07, rng, jitter=0.1)
    voice = _harmonics(_sweep(pitch * (260 + 420 * envelope), rate), [1, 0.9, 0.8, 0.5, 0.3])
    return (voice + 0.8 * _band(t, rate, 400, 1600, rng)) * envelope


def _guitar(t: np.ndarray, rate: int, pitch: float, rng: np.random.Generator) -> np.ndarray:
    notes = 147 * pitch * 2 ** (rng.integers(0, 8, 60) / 12)
    phase = _sweep(notes[np.minimum((t / 0.38).astype(int), 59)], rate)
    return _harmonics(phase, [1, 0.7, 0.5, 0.35, 0.3, 0.2, 0.15]) * np.exp(-(t % 0.38) / 0.16)


def _helicopter(t: np.ndarray, rate: int, pitch: float, rng: np.random.Generator) -> np.ndarray:
    beat = 0.5 + 0.5 * np.sin(2 * np.pi * 13 * pitch * t)
    return _band(t, rate, 40, 700, rng) * beat**3


def _horse(t: np.ndarray, rate: int, pitch: float, rng: np.random.Generator) -> np.ndarray:
    fall = (t % 0.95) / 0.95
    hz = pitch * (1900 - 1150 * fall) * (1 + 0.06 * np.sin(2 * np.pi * 17 * t))
    return (
        _harmonics(_sweep(hz, rate), [1, 0.6, 0.4])
        * (1 - fall) ** 0.5
        * (0.6 + 0.4 * np.sin(2 * np.pi * 17 * t))
    )


def _lion(t: np.ndarray, rate: int, pitch: float, rng: np.random.Generator) -> np.ndarray:
    growl = 0.55 + 0.45 * np.sign(np.sin(2 * np.pi * 29 * pitch * t))
    return (_band(t, rate, 70, 520, rng) + 0.3 * _band(t, rate, 520, 1500, rng)) * growl


def _piano(t: np.ndarray, rate: int, pitch: float, rng: np.random.Generator) -> np.ndarray:
    notes = 523 * pitch * 2 ** (rng.integers(0, 10, 60) / 12)
    phase = _sweep(notes[np.minimum((t / 0.5).astype(int), 59)], rate)
    return (_harmonics(phase, [1, 0.35, 0.12]) + 0.6 * np.sin(1.5 * phase)) * np.exp(-(t % 0.5) / 0.35)


_TIMBRES = {
    "alarm_clock": _alarm_clock,
    "ambulance": _ambulance,
    "bird": _bird,
    "bus": _bus,
    "cat": _cat,
    "computer_keyboard": _computer_keyboard,
    "dog": _dog,
    "guitar": _guitar,
    "helicopter": _helicopter,
    "horse": _horse,
    "lion": _lion,
    "piano": _piano,
}
SOUNDING = tuple(_TIMBRES)
