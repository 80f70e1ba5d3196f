"""How well reviewers agree with each other (Cohen's kappa) and with the gold links."""

from collections import defaultdict
from dataclasses import dataclass

from pipelines.review.kappa import of_pairs
from pipelines.review.queue import Queue


@dataclass(frozen=True)
class Pair:
    """Two reviewers and the links that both judged without knowing of each other. kappa: None where undefined."""

    first: str
    second: str
    links: int
    agreed: int
    kappa: float | None


@dataclass(frozen=True)
class GoldScore:
    """How often a reviewer gave the known answer; `false_accepts` are the costly mistakes."""

    reviewer: str
    links: int
    right: int
    false_accepts: int


def pairs(queue: Queue) -> list[Pair]:
    """Every two reviewers who judged the same links: independent votes alone, so no third passes."""
    answers: dict[str, dict[int, str]] = defaultdict(dict)
    for proposal_id, reviewer, verdict in _independent(queue):
        answers[reviewer][proposal_id] = verdict
    return [Pair(*found) for found in of_pairs(answers)]


def gold_scores(queue: Queue) -> list[GoldScore]:
    """Every reviewer who judged gold, by name."""
    rows = queue.connection.execute(
        """SELECT e.reviewer, count(*), count(*) FILTER (WHERE e.verdict = i.gold),
               count(*) FILTER (WHERE e.verdict = 'accept' AND i.gold = 'reject')
           FROM effective e JOIN items i ON i.id = e.item_id
           WHERE i.gold IS NOT NULL AND e.verdict <> 'defer' AND e.origin = 'person' AND e.proposal_id =
           i.proposal_id GROUP BY e.reviewer ORDER BY e.reviewer"""
    )
    return [GoldScore(*row) for row in rows]


def _independent(queue: Queue) -> list[tuple[int, str, str]]:
    """(proposal, reviewer, verdict) of votes given blind: the first two of a link, and all on gold."""
    rows = queue.connection.execute(
        """SELECT e.proposal_id, e.reviewer, e.verdict, i.gold IS NOT NULL AS gold,
               row_number() OVER (PARTITION BY e.proposal_id ORDER BY e.id) AS place
           FROM effective e JOIN items i ON i.id = e.item_id
           WHERE e.verdict <> 'defer' AND e.origin = 'person' ORDER BY e.id"""
    )
    return [(r["proposal_id"], r["reviewer"], r["verdict"]) for r in rows if r["gold"] or r["place"] <= 2]
