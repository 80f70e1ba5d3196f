"""`avs-data review reject`."""

from pipelines.commands.review.decision import command_of

command = command_of("reject", "Reject LINKS: they are not the same thing.", '19 --note "a toy, not a car"')
