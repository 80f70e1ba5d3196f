"""A diff as Markdown: the entry of a version in CHANGELOG.md, and what `avs-data diff --format markdown` prints."""

from collections import Counter

from pipelines.publish.card import cell
from pipelines.publish.diff import Diff

LISTED = 20  # changes of one kind and cause that are named one by one; all are in diff.json


def entry(version: str, diff: Diff | None, samples: int, categories: int) -> str:
    """The section of one version; without a diff, of the first one."""
    if diff is None:
        return f"## {version}\n\nFirst version: {samples:,} samples of {categories:,} categories.\n"
    return f"## {version}\n\n{markdown(diff)}"


def prepend(section: str, before: str) -> str:
    """CHANGELOG.md with a new section on top."""
    head = "# Changelog\n\n"
    return head + section + ("\n" + before.removeprefix(head) if before else "")


def markdown(diff: Diff) -> str:
    lines = [
        f"From {diff.a} to {diff.b}: {diff.samples_a:,} samples before, {diff.samples_b:,} after, "
        f"{diff.unchanged:,} of them unchanged."
    ]
    for what, names in (
        ("New categories", diff.categories_added),
        ("Categories gone", diff.categories_removed),
        ("New clips", diff.clips_added),
        ("Clips gone", [clip for clip, *_ in diff.clips_removed]),
    ):
        if names:
            more = f" and {len(names) - LISTED:,} more" if len(names) > LISTED else ""
            lines.append(
                f"{what} ({len(names):,}): {', '.join(f'`{name}`' for name in names[:LISTED])}{more}."
            )
    for cause, number in sorted(Counter(cause for _, cause, _ in diff.clips_removed).items()):
        lines.append(f"{number:,} clip(s) gone: {cause}.")
    total = diff.shards_same + diff.shards_changed
    lines.append(
        f"{diff.shards_same:,} of {total:,} shards are the same bytes ({diff.bytes_same:,} bytes; "
        f"{diff.bytes_changed:,} bytes are new)."
    )
    if not diff.changes:
        return "\n\n".join([*lines, "No sample changed."]) + "\n"
    table = ["| change | cause | samples |", "|---|---|---:|"]
    table += [f"| {kind} | {cause} | {number:,} |" for (kind, cause), number in diff.causes().items()]
    lines.append("\n".join(table))
    kinds = diff.counts()
    categories = sorted({name for counts in kinds.values() for name in counts})
    table = [f"| category | {' | '.join(kinds)} |", "|---|" + "---:|" * len(kinds)]
    table += [
        f"| {cell(name)} | {' | '.join(str(kinds[kind].get(name, 0)) for kind in kinds)} |"
        for name in categories
    ]
    lines.append("\n".join(table))
    for kind, cause in diff.causes():
        changes = [change for change in diff.changes if (change.kind, change.cause) == (kind, cause)]
        if kind == "added" and cause == "new category":
            continue
        rows = [
            f"- {kind} `{change.sample_id}`"
            + (f" ({change.before} → {change.after})" if change.before and change.after else "")
            + f": {cause}; {change.detail}"
            for change in changes[:LISTED]
        ]
        if len(changes) > LISTED:
            rows.append(f"- … and {len(changes) - LISTED:,} more {kind} ({cause}), in `diff.json`")
        lines.append("\n".join(rows))
    return "\n\n".join(lines) + "\n"
