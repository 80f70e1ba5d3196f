"""Sound as the shards hold it: its rate and length, the windows that a model hears, and the one FLAC encoder.

`shards.sound.decoder` reads files. It is a module of its own, because a trainer that streams shards needs no FFmpeg.
"""

import io

import numpy as np
import soundfile

RATE_HZ = 16_000
MAX_AUDIO_S = 10.0
WINDOW_SAMPLES = 15_600  # 0.975 s: 96 frames of 400 samples, hop 160; what VGGish hears of one window
HOP_SAMPLES = 15_360  # window i starts at 0.96 i seconds


def window_start(samples: int, window: int) -> int:
    """First sample of the window number `window` in a clip of `samples` samples.

    AVS-Synthetic uses window 1, [0.96, 1.935] s. A shorter clip gives its last complete window, as AVSBench repeats
    the last one; a clip shorter than one window starts at 0.
    """
    return max(0, min(window, (samples - WINDOW_SAMPLES) // HOP_SAMPLES)) * HOP_SAMPLES


def to_flac(samples: np.ndarray) -> bytes:
    """16 kHz mono 16-bit FLAC of (n,) float32 in [-1, 1); what lies beyond is limited.

    One step is 1/32768, so that 16-bit sound that was read as float is written as it was.
    """
    return pcm_to_flac(np.clip(np.rint(samples * np.float32(32768.0)), -32768, 32767).astype(np.int16))


def pcm_to_flac(pcm: np.ndarray) -> bytes:
    """16 kHz 16-bit FLAC of (n,) or (n, channels) int16, as it is."""
    buffer = io.BytesIO()
    soundfile.write(buffer, pcm, RATE_HZ, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def pcm_of(flac: bytes, start: int = 0, samples: int = -1) -> np.ndarray:
    """(n,) int16 of a clip as the pool holds it.

    Args:
        start, samples: which part; fewer samples where the clip ends, -1: all to the end.

    Raises:
        soundfile.LibsndfileError: no sound. ValueError: not mono, or not 16 kHz.
    """
    with Flac(io.BytesIO(flac)) as file:
        if file.samplerate != RATE_HZ or file.channels != 1:
            raise ValueError(
                f"a clip of {file.samplerate} Hz and {file.channels} channels: the pool has 16 kHz mono"
            )
        return file.part(start, samples if samples >= 0 else file.frames, "int16")


class Flac(soundfile.SoundFile):
    """`SoundFile` seeks before and after each read, and a seek in FLAC decodes frames once more: this does not."""

    def seekable(self) -> bool:
        return False

    def part(self, start: int, samples: int, dtype: str) -> np.ndarray:
        """(n,) or (n, channels) from `start` on; n is `samples`, fewer where the sound ends.

        Raises:
            soundfile.LibsndfileError, ValueError: it ends before it says that it does.
        """
        start = min(start, self.frames)
        wanted = min(samples, self.frames - start)
        if start:
            self.seek(start)
        found = self.read(wanted, dtype=dtype)
        if len(found) < wanted:
            raise ValueError(f"{len(found)} samples of {wanted} from {start} on")
        return found
