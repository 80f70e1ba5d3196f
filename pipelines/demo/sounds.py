"""Synthesised sounds, one timbre a category. Pitch, pace, loudness and noise vary from clip to clip.

A voice gives (n,) float64 for `t`, the seconds since the start. Every voice has an event at least each 0.7 s, so
any window of a second is heard.
"""

from collections.abc import Callable

import numpy as np

from shards.hashing import hash64

Voice = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def synthesise(seed: int, category: str, number: int, rate_hz: int, duration_s: float) -> np.ndarray:
    """Mono sound of a category, (round(duration x rate),) float32 in [-1, 1], peak between 0.25 and 0.8."""
    rng = np.random.default_rng(hash64(seed, "sound", category, number))
    t = np.arange(round(duration_s * rate_hz)) / rate_hz
    sound = _VOICES[category](t, rng)
    sound = sound / np.abs(sound).max() + rng.uniform(0.0005, 0.004) * rng.standard_normal(len(t))
    return (sound / np.abs(sound).max() * rng.uniform(0.25, 0.8)).astype(np.float32)


def room_noise(seed: int, key: str, rate_hz: int, duration_s: float) -> np.ndarray:
    """Wind: low noise that swells. (n,) float32."""
    rng = np.random.default_rng(hash64(seed, "wind", key))
    t = np.arange(round(duration_s * rate_hz)) / rate_hz
    return (0.3 * _low_noise(t, rng, 400) * (0.6 + 0.4 * np.sin(2 * np.pi * 0.3 * t))).astype(np.float32)


def _phase(frequency_hz: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Radians of an oscillator with a moving frequency."""
    return 2 * np.pi * np.cumsum(frequency_hz) * (t[1] - t[0])


def _partials(phase: np.ndarray, amplitudes: list[float]) -> np.ndarray:
    return sum((a * np.sin((k + 1) * phase) for k, a in enumerate(amplitudes)), np.zeros_like(phase))


def _low_noise(t: np.ndarray, rng: np.random.Generator, cutoff_hz: float) -> np.ndarray:
    """Noise below a cutoff, about [-1, 1]: random values at twice the cutoff, joined by lines."""
    points = max(int(t[-1] * 2 * cutoff_hz) + 2, 2)
    return np.interp(t, np.linspace(0, t[-1], points), rng.uniform(-1, 1, points))


def _beats(t: np.ndarray, rng: np.random.Generator, period_s: float, jitter: float = 0.1) -> np.ndarray:
    """Start times from the beginning to the end of `t`, about `period_s` apart."""
    steps = period_s * (1 + jitter * rng.uniform(-1, 1, int(t[-1] / period_s / (1 - jitter)) + 2))
    starts = rng.uniform(0, 0.05) + np.concatenate([[0], np.cumsum(steps)])
    return starts[starts < t[-1]]


def _repeat(
    t: np.ndarray, starts: np.ndarray, length_s: float, event: Callable[[np.ndarray, int], np.ndarray]
) -> np.ndarray:
    """Sum of events; `event(u, k)` sounds for `u` seconds since start k."""
    rate = 1 / (t[1] - t[0])
    sound = np.zeros_like(t)
    for k, start in enumerate(starts):
        first = int(start * rate)
        last = min(first + int(length_s * rate), len(t))
        if last - first > 8:
            sound[first:last] += event(np.arange(last - first) / rate, k)
    return sound


def _bark(t: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    pitch = rng.uniform(330, 480)

    def event(u: np.ndarray, _: int) -> np.ndarray:
        tone = _partials(_phase(pitch * (1.25 - 2.2 * u), u), [1, 0.9, 0.7, 0.5, 0.3])
        return (tone + 1.2 * _low_noise(u, rng, 1800)) * np.exp(-u * 16) * np.minimum(u / 0.006, 1)

    return _repeat(t, _beats(t, rng, rng.uniform(0.3, 0.48)), 0.24, event)


def _meow(t: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    pitch, length = rng.uniform(560, 700), rng.uniform(0.5, 0.62)

    def event(u: np.ndarray, _: int) -> np.ndarray:
        x = u / length
        glide = pitch * (0.85 + 0.5 * np.sin(np.pi * np.clip(x, 0, 1)) + 0.02 * np.sin(2 * np.pi * 6 * u))
        return _partials(_phase(glide, u), [0.7, 1, 0.8, 0.3, 0.12]) * np.sin(np.pi * np.clip(x, 0, 1)) ** 0.6

    return _repeat(t, _beats(t, rng, length + 0.08, 0.04), length, event)


def _whinny(t: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    top, tremble, length = rng.uniform(1500, 1900), rng.uniform(11, 15), rng.uniform(0.75, 0.95)

    def event(u: np.ndarray, _: int) -> np.ndarray:
        shake = np.sin(2 * np.pi * tremble * u)
        tone = _partials(_phase(top * (1 - 0.45 * u / length) * (1 + 0.09 * shake), u), [1, 0.55, 0.4, 0.2])
        return (
            (tone + 0.25 * _low_noise(u, rng, 3000)) * (0.6 + 0.4 * shake) * np.sin(np.pi * u / length) ** 0.4
        )

    return _repeat(t, _beats(t, rng, length + 0.05, 0.03), length, event)


def _roar(t: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    growl = rng.uniform(22, 32)
    swell = 0.65 + 0.35 * np.sin(2 * np.pi * rng.uniform(0.5, 0.9) * t + rng.uniform(0, 6))
    flutter = 0.55 + 0.45 * np.sign(np.sin(_phase(growl * (1 + 0.1 * _low_noise(t, rng, 3)), t)))
    voice = _partials(
        _phase(rng.uniform(85, 115) * (1 + 0.05 * _low_noise(t, rng, 4)), t), [0.6, 0.8, 0.7, 0.5, 0.3]
    )
    return (0.9 * _low_noise(t, rng, 450) + 0.5 * voice) * flutter * swell


def _tweet(t: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    low, span = rng.uniform(3200, 4200), rng.uniform(900, 1700)

    def event(u: np.ndarray, k: int) -> np.ndarray:
        sweep = low + span * (u / 0.09 if k % 3 else 1 - u / 0.09)
        return np.sin(_phase(sweep, u)) * np.sin(np.pi * u / 0.09)

    return _repeat(t, _beats(t, rng, rng.uniform(0.13, 0.2)), 0.09, event)


def _engine(t: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    speed = rng.uniform(38, 55) * (1 + 0.08 * np.sin(2 * np.pi * 0.25 * t + rng.uniform(0, 6)))
    hum = _partials(_phase(speed, t), [0.5, 1, 0.6, 0.8, 0.3, 0.4, 0.15])
    return hum + 0.12 * _low_noise(t, rng, 250)


def _siren(t: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    middle, pace = rng.uniform(850, 1000), rng.uniform(0.7, 1.4)
    sweep = middle * (1 + 0.42 * np.sin(2 * np.pi * pace * t + rng.uniform(0, 6)))
    return _partials(_phase(sweep, t), [1, 0.1, 0.45, 0.05, 0.2])


def _strings(t: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    notes = rng.choice([82.4, 110.0, 146.8, 196.0, 246.9, 164.8], 16)

    def event(u: np.ndarray, k: int) -> np.ndarray:
        f = notes[k % len(notes)]
        harmonics = range(1, 15)
        tone = sum(
            np.sin(0.22 * np.pi * h) / h**0.7 * np.sin(2 * np.pi * f * h * u) * np.exp(-u * (2 + 0.9 * h))
            for h in harmonics
        )
        return tone + 0.4 * rng.uniform(-1, 1, len(u)) * np.exp(-u * 300)

    return _repeat(t, _beats(t, rng, rng.uniform(0.2, 0.3), 0.03), 1.2, event)


def _hammers(t: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    notes = rng.choice([523.3, 587.3, 659.3, 784.0, 880.0, 1046.5], (16, 2))

    def event(u: np.ndarray, k: int) -> np.ndarray:
        f = notes[k % len(notes)][:, None]
        tones = [
            a * np.sin(2 * np.pi * f * h * np.sqrt(1 + 0.0008 * h * h) * u) * np.exp(-u * d)
            for h, a, d in ((1, 1, 2.5), (2, 0.4, 4), (3, 0.15, 6))
        ]
        return np.sum(tones, axis=(0, 1)) * np.minimum(u / 0.004, 1)

    return _repeat(t, _beats(t, rng, rng.uniform(0.35, 0.55), 0.02), 1.4, event)


def _keys(t: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    def event(u: np.ndarray, _: int) -> np.ndarray:
        down, up = np.exp(-u * 220), 0.5 * np.exp(-np.abs(u - 0.055) * 500)
        return rng.uniform(0.6, 1) * rng.uniform(-1, 1, len(u)) * (down + up)

    return _repeat(t, _beats(t, rng, rng.uniform(0.11, 0.16), 0.35), 0.09, event)


def _rotor(t: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    chop = ((t * rng.uniform(11, 15)) % 1.0) * 6
    return (_low_noise(t, rng, 1200) + 0.5 * np.sin(2 * np.pi * 70 * t)) * np.exp(-chop) + 0.05 * np.sin(
        2 * np.pi * rng.uniform(2300, 2700) * t
    )


def _bell(t: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    f = rng.uniform(2000, 2500)

    def event(u: np.ndarray, _: int) -> np.ndarray:
        return sum(
            a * np.sin(2 * np.pi * f * r * u) * np.exp(-u * 14) for r, a in ((1, 1), (1.51, 0.7), (2.07, 0.5))
        )

    return _repeat(t, _beats(t, rng, 1 / rng.uniform(16, 22), 0.02), 0.15, event)


_VOICES: dict[str, Voice] = {
    "alarm_clock": _bell,
    "ambulance": _siren,
    "bird": _tweet,
    "bus": _engine,
    "cat": _meow,
    "computer_keyboard": _keys,
    "dog": _bark,
    "guitar": _strings,
    "helicopter": _rotor,
    "horse": _whinny,
    "lion": _roar,
    "piano": _hammers,
}
