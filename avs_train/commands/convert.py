"""`avs-train convert`: say what a checkpoint holds, and write it in another layout."""

from pathlib import Path

import click

from avs_train.commands import options
from shards.command_line import Command


@click.command(cls=Command, kept="TARGET is not written; the same command begins again")
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("target", required=False, type=click.Path(path_type=Path))
@click.option(
    "--to", type=click.Choice(["released"]), help="Write SAMA weights as the released code reads them."
)
@click.option(
    "--frozen",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Official SAM checkpoint that completes the trained parameters of a run.",
)
@click.option(
    "--vggish",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="VGGish: written here from a released SOURCE, read from here for `--to released`.",
)
@options.JSON
def command(
    source: Path,
    target: Path | None,
    to: str | None,
    frozen: Path | None,
    vggish: Path | None,
    as_json: bool,
) -> None:
    """Say what checkpoint SOURCE holds; with TARGET, write it there.

    TARGET's ending chooses the file: .safetensors (with a readable .json beside) or .pth. Official SAM and
    VGGish keep their keys, so both directions are the same command. Released SAMA-AVS weights become SAMA's,
    and `--to released` turns them back. Every key and shape is checked first; no code in a file is run.

    \b
    Examples:
      avs-train convert sam_vit_h_4b8939.pth
      avs-train convert sam_vit_h_4b8939.pth sam_vit_h.safetensors
      avs-train convert sama_s4.pth sama_s4.safetensors --vggish vggish.safetensors
      avs-train convert sama_s4.safetensors sama_s4.pth --to released --vggish vggish.safetensors
      avs-train convert RUN/best/weights.safetensors sama.pth --to released --frozen sam_vit_h_4b8939.pth \\
          --vggish vggish.pth
    """
    from shards import terminal
    from shards.display import Display

    with Display(f"Convert {source} into {target}" if target else f"Read {source}"):
        from avs_train.conversion import convert

        lines = list(convert(source, target, to, frozen, vggish))
    if as_json:
        terminal.out_json({"source": str(source), "target": target and str(target), "told": lines})
    else:
        terminal.out(*lines)
