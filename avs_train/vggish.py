"""VGGish: 0.96 s of sound to 128 numbers (Hershey et al., arXiv 1609.09430; weights from AudioSet).

The log-mel front end and the network, with the parameter names of the PyTorch port's checkpoint
(`vggish-10086976.pth`). No PCA: audio-visual segmentation takes the network's own output.
"""

from functools import lru_cache

import torch
from torch import Tensor, nn

RATE_HZ = 16_000
FRAME = 400  # samples, 25 ms
HOP = 160  # samples, 10 ms
FFT = 512
BANDS = 64
LOWEST_HZ, HIGHEST_HZ = 125.0, 7500.0
LOG_OFFSET = 0.01
EXAMPLE = 96  # frames in one example, and from one example to the next
EXAMPLE_SAMPLES = FRAME + (EXAMPLE - 1) * HOP  # 15,600: the shortest sound with one whole example
EMBEDDING_DIM = 128


def log_mel(waveform: Tensor) -> Tensor:
    """Log-mel examples of a sound.

    Args:
        waveform: (..., n), mono, 16 kHz, in [-1, 1]. Below 0.975 s, one example, silence is added.

    Returns:
        (..., k, 96, 64) in the precision of the waveform: k whole examples, one every 0.96 s.

    Raises:
        ValueError: the sound is empty.
    """
    samples = waveform.shape[-1]
    if samples == 0:
        raise ValueError("the sound has 0 samples: at least 1 is needed; the clip has no audio")
    waveform = nn.functional.pad(waveform, (0, max(0, EXAMPLE_SAMPLES - samples)))
    window = torch.hann_window(FRAME, periodic=True, dtype=waveform.dtype, device=waveform.device)
    magnitude = torch.fft.rfft(waveform.unfold(-1, FRAME, HOP) * window, FFT).abs()
    log = torch.log(magnitude @ _mel_weights().to(magnitude) + LOG_OFFSET)
    return log.unfold(-2, EXAMPLE, EXAMPLE).transpose(-1, -2)


@lru_cache(maxsize=1)
def _mel_weights() -> Tensor:
    """(257, 64) float64: triangles linear in HTK mel over the spectrum's bins, without the bin at 0 Hz."""

    def mel(hz: Tensor) -> Tensor:
        return 1127.0 * torch.log1p(hz / 700.0)

    bins = mel(torch.linspace(0, RATE_HZ / 2, FFT // 2 + 1, dtype=torch.float64))[:, None]
    low, high = mel(torch.tensor([LOWEST_HZ, HIGHEST_HZ], dtype=torch.float64)).tolist()
    edges = torch.linspace(low, high, BANDS + 2, dtype=torch.float64)
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    weights = torch.minimum(rising, falling).clamp(min=0)
    weights[0] = 0
    return weights


class VGGish(nn.Module):
    """Log-mel examples (n, 96, 64) -> embeddings (n, 128), after the last ReLU.

    Weights come from `avs_train.checkpoints.load_vggish`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *_convolution(1, 64), nn.MaxPool2d(2),
            *_convolution(64, 128), nn.MaxPool2d(2),
            *_convolution(128, 256), *_convolution(256, 256), nn.MaxPool2d(2),
            *_convolution(256, 512), *_convolution(512, 512), nn.MaxPool2d(2),
        )  # fmt: skip
        self.embeddings = nn.Sequential(
            nn.Linear(512 * 4 * 6, 4096), nn.ReLU(),
            nn.Linear(4096, 4096), nn.ReLU(),
            nn.Linear(4096, EMBEDDING_DIM), nn.ReLU(),
        )  # fmt: skip

    def forward(self, examples: Tensor) -> Tensor:
        features = self.features(examples.unsqueeze(1))  # (n, 512, 6, 4): time, then frequency
        return self.embeddings(features.permute(0, 2, 3, 1).flatten(1))  # the weights expect channels last


def _convolution(channels: int, out: int) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(channels, out, kernel_size=3, padding=1), nn.ReLU()
