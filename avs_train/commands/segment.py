"""`avs-train segment`."""

from pathlib import Path

import click

from avs_train.commands import options
from avs_train.model_config import side_fault
from shards.command_line import Command
from shards.errors import AvsError


def _side(context: click.Context, parameter: click.Parameter, value: int) -> int:
    if fault := side_fault(value):
        raise click.BadParameter(fault)
    return value


@click.command(cls=Command, kept="each finished chunk of photos is kept; the same command goes on")
@click.argument("recipe_name", metavar="RECIPE")
@click.option("--corpora", required=True, metavar="DIR", help="Folder or URL with open_images/.")
@click.option(
    "--checkpoint",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Official SAM weights.",
)
@click.option("--batch", type=click.IntRange(1), default=4, show_default=True, help="Photos at once.")
@click.option("--device", default="auto", show_default=True, help="auto | cpu | cuda | cuda:1 ...")
@click.option(
    "--image-size",
    type=int,
    callback=_side,
    default=1024,
    hidden=True,
    help="Pixels that SAM sees.",
)
@options.JSON
def command(
    recipe_name: str, corpora: str, checkpoint: Path, batch: int, device: str, image_size: int, as_json: bool
) -> None:
    """Draw masks where Open Images has boxes alone: accordion, harp, trombone, violin, chainsaw and the like.

    SAM is given each box of a label that RECIPE's label map links, but of photos in which people drew masks of that
    label or one of its boxes is of a group, and writes DIR/open_images/masks/sam/ and
    DIR/open_images/sam-SPLIT-annotations-object-segmentation.csv, in Open Images' own layout, with the scores.
    Recipes take them with `select.mask_sources = ["human", "sam"]`, by `select.min_predicted_iou` and
    `min_stability`; records and tables then say who drew each mask.

    Example: avs-train segment avs_wide --corpora corpora --checkpoint sam_vit_h_4b8939.pth
    """
    from avs_train.display import RunDisplay
    from shards import terminal

    if not checkpoint.is_file():
        raise AvsError(
            f"{checkpoint}: no such checkpoint; docs/train_on_gpus.md says where SAM's weights come from"
        )
    with RunDisplay(f"Draw masks by the boxes of {corpora}", "Draw", "photos") as display:
        from avs_train.segment_corpus import draw
        from pipelines.recipes import recipe

        told = draw(recipe.load(recipe_name), corpora, checkpoint, batch, device, image_size, display)
    if as_json:
        terminal.out_json({"objects": told.objects, "kept": told.kept, "left_out": told.left_out})
        return
    for label, number in sorted(told.objects.items()):
        terminal.out(f"{label}: {number:,} objects, {told.kept[label]:,} of them as sure as the recipe asks")
    for image_id, why in sorted(told.left_out.items()):
        terminal.out(f"left out: {image_id}: {why}")
    if not told.objects:
        terminal.out(
            "no object with a box and no mask, of a label that the recipe uses and a photo that is there"
        )
