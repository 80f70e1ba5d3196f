"""`avs-train predict`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from avs_train.commands import options
from shards.errors import AvsError

if TYPE_CHECKING:
    import numpy as np


@click.command()
@click.argument("image", type=click.Path(path_type=Path))
@click.argument("audio", type=click.Path(path_type=Path))
@options.OVERRIDES
@click.option("--model", required=True, metavar="RUN", help="Run folder or checkpoint.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="PNG",
    help="The photo with what sounds tinted.  [default: IMAGE-overlay.png]",
)
@click.option(
    "--mask", type=click.Path(path_type=Path), metavar="PNG", help="Also the mask alone, 0 and 255."
)
def command(
    image: Path, audio: Path, overrides: tuple[str, ...], model: str, out: Path | None, mask: Path | None
) -> None:
    """Draw what of the photo IMAGE makes the sound AUDIO.

    AUDIO may be in any usual format; its window from 0.96 s to 1.935 s is heard, or the last whole one of a
    shorter clip.

    Example: avs-train predict dog.jpg barking.wav --model out/runs/tiny
    """
    import cv2
    import numpy as np
    import torch

    from avs_train import assembly
    from avs_train.data import decode, sound
    from avs_train.distributed import choose_device
    from avs_train.losses import upsample
    from avs_train.pictures import overlay

    target = out or image.with_name(f"{image.stem}-overlay.png")
    for written in filter(None, (target, mask)):
        if not written.suffix or not cv2.haveImageWriter(str(written)):
            raise AvsError(f"{written}: give the name of a picture, such as out.png")
    settings, _ = assembly.open_settings(model, overrides)
    device = choose_device(settings.train.device)
    network = assembly.open_model(settings, device).eval()
    embeddings = assembly.open_embeddings(settings, device)
    predict = assembly.open_predict(settings, network, device)

    encoded = image.read_bytes()
    side = settings.model.image_size
    pixels = np.empty((side, side, 3), np.uint8)
    decode.image(encoded, pixels)
    photo = decode.photo(encoded)
    height, width = photo.shape[:2]
    heard = embeddings.resolve(["predict"], {"predict": sound.window(audio)}).to(device)
    with torch.inference_mode():
        batch = torch.from_numpy(pixels).permute(2, 0, 1)[None].to(device)
        small = predict(batch, heard, torch.zeros(1, side, side, dtype=torch.uint8, device=device))
        logits = upsample(small, side)[0].cpu().numpy()
    found = cv2.resize(logits, (width, height), interpolation=cv2.INTER_LINEAR) > 0
    _write(target, cv2.cvtColor(overlay(photo, found), cv2.COLOR_RGB2BGR))
    if mask:
        _write(mask, found.astype(np.uint8) * 255)
    click.echo(f"{target}: the mask covers {found.mean():.1%} of the photo")


def _write(path: Path, picture: "np.ndarray") -> None:
    import cv2

    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), picture):
        raise AvsError(f"{path} cannot be written")
