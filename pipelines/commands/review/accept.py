"""`avs-data review accept`."""

from pipelines.commands.review.decision import command_of

command = command_of(
    "accept",
    "Accept LINKS: what is seen is what makes the sound.",
    "17 18 --category dog --relation kind_of",
)
