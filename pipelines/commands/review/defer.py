"""`avs-data review defer`."""

from pipelines.commands.review.decision import command_of

command = command_of("defer", "Defer LINKS: they go to the end of your queue.", "20")
