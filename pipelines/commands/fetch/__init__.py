"""`avs-data fetch`: download what a recipe needs, say what it would take, what became of it."""

import shlex
from collections.abc import Sequence

import click

from shards.command_line import CommandGroup


class _FetchGroup(CommandGroup):
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.list_commands(ctx), *ctx.help_option_names):
            raise click.UsageError(self.unknown(ctx, args), ctx)
        return super().parse_args(ctx, args)

    def unknown(self, ctx: click.Context, args: Sequence[str]) -> str:
        """Once RECIPE followed `fetch`, and `--plan` said only to plan."""
        now = "plan" if "--plan" in args else "run"
        call = shlex.join(["avs-data", "fetch", now, *(word for word in args if word != "--plan")])
        return f"{super().unknown(ctx, args)}. To fetch what a recipe needs: `{call}`"


@click.group(
    cls=_FetchGroup,
    package="pipelines.commands.fetch",
    about={
        "doctor": "Check that this machine can fetch: DNS, disk, decoders, yt-dlp, cookies, write access.",
        "ledger": "Say what became of every item: counts per cause, survival per category.",
        "plan": "Say what a fetch will take: items, bytes, hours.",
        "retry": "Try again, now, the items that failed for given causes.",
        "run": "Download until all is there or failed for good.",
    },
)
def command() -> None:
    """Download what the categories of a recipe need: annotation files, photos, masks, clips.

    \b
    avs-data fetch doctor avs_synthetic --corpora corpora
    avs-data fetch run avs_synthetic --corpora corpora --only annotations
    avs-data fetch plan avs_synthetic --corpora corpora
    avs-data fetch run avs_synthetic --corpora corpora
    avs-data fetch ledger --corpora corpora
    avs-data fetch retry avs_synthetic --corpora corpora --cause throttled,timeout
    """
