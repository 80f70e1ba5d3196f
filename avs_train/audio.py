"""Audio encoders: what turns one window of sound into 128 numbers."""

import hashlib

import torch

from avs_train import checkpoints
from avs_train.config import AudioConfig, ConfigError
from avs_train.data.embeddings import AudioEncoder
from avs_train.vggish import VGGish, log_mel


class Vggish:
    """VGGish's output after the last ReLU, no PCA. Its fingerprint is the hash of the weights, not of a file.

    One window at a time: batches of another size could differ in the last bit.
    """

    def __init__(self, network: VGGish, device: torch.device) -> None:
        digest = hashlib.sha256()
        for name, tensor in sorted(network.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.contiguous().numpy().data)
        self.fingerprint = f"vggish-{digest.hexdigest()[:16]}"
        self._network = network.eval().requires_grad_(False).to(device)
        self._device = device

    def __call__(self, waveform: torch.Tensor) -> torch.Tensor:
        return self.of_bands(log_mel(waveform.to(self._device)))

    @torch.no_grad()
    def of_bands(self, bands: torch.Tensor) -> torch.Tensor:
        return self._network(bands.to(self._device))[0]


class MelStatistics:
    """Mean and deviation over time of each of VGGish's 64 log-mel bands: nothing learned, nothing to download.

    It tells a whistle from a rumble, not a cat from a dog: for small demonstrations, not for results.
    """

    fingerprint = "mel_statistics-1"

    def __call__(self, waveform: torch.Tensor) -> torch.Tensor:
        return self.of_bands(log_mel(waveform))

    def of_bands(self, bands: torch.Tensor) -> torch.Tensor:
        one = bands[0]  # (96, 64), log of magnitude + 0.01: from -4.6 up to about 4
        return torch.cat([(one.mean(0) + 2.0) / 2.0, one.std(0)])


def open_encoder(config: AudioConfig, device: torch.device) -> AudioEncoder:
    """The encoder that a configuration names, on the device.

    Raises:
        ConfigError: VGGish without weights, which would hear nothing.
    """
    if config.encoder == "mel_statistics":
        return MelStatistics()
    if not config.checkpoint:
        raise ConfigError(
            "audio",
            ["audio.checkpoint is empty: VGGish needs its weights; convert them with `avs-train convert`"],
        )
    return Vggish(checkpoints.load_vggish(config.checkpoint), device)
