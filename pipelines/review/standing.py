"""Where a link stands, derived from its decisions alone."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Vote:
    """An `accept` or `reject` that counts: not undone."""

    decision_id: int
    proposal_id: int
    reviewer: str
    verdict: str
    category: str
    origin: str  # person | matcher | map


@dataclass(frozen=True)
class Standing:
    """
    Attributes:
        state: of the newest proposal: `open`, `third` (two reviewers disagree, a third decides), `accept`,
            `reject`.
        outcome: the decision that stands: also an older proposal's, while the changed one is open. None:
            none yet.
        closed_by: the id of the decision that made the outcome.
    """

    state: str
    outcome: str | None
    closed_by: int | None


def derive(votes: Sequence[Vote], proposal_ids: Sequence[int], reviewers: int, gold: str | None) -> Standing:
    """
    Args:
        votes: in the order they were given.
        proposal_ids: of the link, oldest first.
        reviewers: how many votes decide: 1, or 2 with a third when they differ.
        gold: the known answer: the link is decided once somebody gives it.
    """
    outcome: str | None = None
    closed_by: int | None = None
    state = "open"
    for proposal_id in proposal_ids:
        of_proposal = [vote for vote in votes if vote.proposal_id == proposal_id]
        closing = _closing(of_proposal, reviewers, gold)
        if closing:
            state, outcome, closed_by = closing.verdict, closing.verdict, closing.decision_id
        else:
            state = "third" if gold is None and reviewers == 2 and len(of_proposal) >= 2 else "open"
    return Standing(state, outcome, closed_by)


def _closing(votes: Sequence[Vote], reviewers: int, gold: str | None) -> Vote | None:
    if gold is not None:
        return next((vote for vote in votes if vote.verdict == gold), None)
    alone = next((vote for vote in votes if vote.origin != "person"), None)
    if alone or len(votes) < reviewers:
        return alone
    if reviewers == 1:
        return votes[0]
    if len(votes) == 2:
        return votes[1] if agree(votes[0], votes[1]) else None
    return votes[2]


def agree(first: Vote, second: Vote) -> bool:
    """The same answer, and for two accepts the same category."""
    return first.verdict == second.verdict and (
        first.verdict == "reject" or first.category == second.category
    )
