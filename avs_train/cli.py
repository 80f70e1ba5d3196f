"""`avs-train`: one command a module under `avs_train/commands/`, imported only when it is called."""

import importlib
from typing import Any

import click

# name -> one line of help shown without importing the module
COMMANDS = {
    "convert": "Convert official SAM, SAMA-AVS and VGGish checkpoints, both ways.",
    "embed": "Compute the audio embedding of every clip once, into a table.",
    "eval": "Measure a trained model on a split: mJ, mF, per category, under other sounds.",
    "fit": "Train, alone or under torchrun; the same command again goes on where it stopped.",
    "plan-experiments": "Print every run behind the paper's tables, in order.",
    "predict": "Mark what sounds in a photo, a video or a folder of frames.",
    "report": "Put measured results beside the paper's tables.",
}


class LazyGroup(click.Group):
    """Imports a command's module when the command is named; errors made for people come without a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        try:
            return importlib.import_module(f"avs_train.commands.{name.replace('-', '_')}").command
        except ModuleNotFoundError as error:
            if error.name and error.name.partition(".")[0] in ("torch", "cv2", "safetensors"):
                raise click.ClickException(
                    f"{error.name} is not installed: training needs the extra, `pip install 'avs-data[train]'`"
                ) from error
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            if type(error).__name__ in _EXPECTED:
                raise click.ClickException(str(error)) from error
            raise


# Errors whose text tells a person what is wrong and what to do; by name, so that `--help` imports nothing heavy.
_EXPECTED = {
    "CheckpointError", "ConfigError", "CorruptDataError", "DatasetError", "DecodeError", "DeviceError",
    "EmbeddingError", "NonFiniteError", "ReportError", "RunError", "SettingError", "ShardError",
    "StaleError", "VideoError",
}  # fmt: skip


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="avs-data")
def main() -> None:
    """Train and measure audio-visual segmentation on streamed shards."""
