"""VGGish against `torchvggish`: the log-mel front end and the network, forward and gradient."""

import numpy as np
import pytest
import torch
from torchvggish import torchvggish, vggish_input

from avs_train import vggish


def tone(seconds: float, rate: int = 16_000, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * rate)) / rate
    sweep = 0.4 * np.sin(2 * np.pi * (200 + 900 * t) * t)
    return (sweep + 0.05 * rng.standard_normal(len(t))).astype(np.float32)


@pytest.mark.parametrize("seconds", [0.975, 1.0, 1.935, 5.0])
def test_log_mel_matches_torchvggish(seconds: float) -> None:
    sound = tone(seconds)
    expected = vggish_input.waveform_to_examples(sound.astype(np.float64), 16_000, return_tensor=False)
    assert torch.allclose(
        vggish.log_mel(torch.from_numpy(sound)), torch.from_numpy(expected).float(), atol=2e-5
    )
    exact = vggish.log_mel(torch.from_numpy(sound).double())
    np.testing.assert_allclose(exact.numpy(), expected, rtol=0, atol=1e-9)


def test_log_mel_of_a_batch_is_that_of_each_sound() -> None:
    sounds = torch.stack([torch.from_numpy(tone(2.0, seed=seed)) for seed in (1, 2)])
    batch = vggish.log_mel(sounds)
    assert batch.shape == (2, 2, 96, 64)
    for sound, examples in zip(sounds, batch, strict=True):
        torch.testing.assert_close(vggish.log_mel(sound), examples)


def test_short_sound_is_filled_with_silence_and_an_empty_one_refused() -> None:
    sound = torch.from_numpy(tone(0.3))
    filled = torch.cat([sound, torch.zeros(15_600 - len(sound))])
    assert torch.equal(vggish.log_mel(sound), vggish.log_mel(filled))
    with pytest.raises(ValueError, match="0 samples"):
        vggish.log_mel(torch.empty(0))


def test_network_matches_torchvggish_forward_and_gradient() -> None:
    torch.manual_seed(0)
    ours = vggish.VGGish()
    for weight in ours.parameters():  # the default start would fade the signal away
        weight.data *= 3
    theirs = torchvggish._vgg(False)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    assert sum(p.numel() for p in ours.parameters()) == 72_141_184
    examples = vggish.log_mel(torch.from_numpy(tone(2.0))).requires_grad_()
    expected = theirs(examples.unsqueeze(1))
    (expected_grad,) = torch.autograd.grad(expected.square().sum(), examples)
    actual = ours(examples)
    (grad,) = torch.autograd.grad(actual.square().sum(), examples)
    torch.testing.assert_close(actual, expected)
    torch.testing.assert_close(grad, expected_grad)
