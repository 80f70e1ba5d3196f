"""Gold links: known answers mixed into the queue to see how well reviewers do."""

from collections.abc import Collection, Iterable

from pipelines.matching.gold import Truth
from pipelines.matching.proposals import LinkKey, Proposal
from shards import hashing

_ANSWERS = {"same": "accept", "none": "reject"}


def choose(
    proposals: Iterable[Proposal], truth: Truth, wanted: int, seed: int, never: Collection[LinkKey]
) -> dict[LinkKey, str]:
    """`wanted` links to use as gold (fewer where the truth knows fewer), each with its answer.

    Half of them are accepts where there are enough of both, so that always saying yes does not score well.
    The choice is a hash of (seed, link): the order of the file does not change it.

    Args:
        never: links that somebody decided, or that are gold already.
    """
    answers = {p.key: answer for p in proposals if p.key not in never and (answer := answer_to(p, truth))}
    ordered = {
        verdict: sorted(
            (k for k in answers if answers[k] == verdict), key=lambda k: hashing.unit(seed, "gold", *k)
        )
        for verdict in ("accept", "reject")
    }
    accepts = min(len(ordered["accept"]), max((wanted + 1) // 2, wanted - len(ordered["reject"])))
    chosen = ordered["accept"][:accepts] + ordered["reject"][: wanted - accepts]
    return {key: answers[key] for key in chosen}


def answer_to(proposal: Proposal, truth: Truth) -> str | None:
    """`accept`, `reject`, or None where the truth does not tell: it does not name the sound, or says `related`."""
    relation = truth.relation(
        proposal.audio_source, proposal.audio_label, proposal.source, proposal.visual_label
    )
    return _ANSWERS.get(relation) if relation else None
