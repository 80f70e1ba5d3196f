"""How one label was read and what became of each candidate, for people to read."""

from collections.abc import Iterator

from pipelines.matching.chunks import Chunk
from pipelines.matching.matcher import Matcher
from pipelines.matching.vocabularies import AudioLabel

_HEADS = {"accept": "accepted", "review": "for review", "reject": "refused"}


def explain(matcher: Matcher, label: AudioLabel) -> Iterator[str]:
    """Lines: the label and what its vocabulary says, the reading, then the candidates by decision, best first."""
    yield f"{label.label!r} of {label.source}"
    for name, said in (
        ("id", label.id),
        ("group", label.group),
        ("below", "; ".join(" < ".join(chain) for chain in label.parents)),
        ("above", ", ".join(label.children)),
        ("also", ", ".join(label.synonyms)),
        ("means", label.definition),
    ):
        if said:
            yield f"  {name:<8}{said}"
    reading = matcher.read(label)
    yield "read as"
    for chunks in reading.chunks:
        yield "  " + " + ".join(map(_chunk, chunks))
    for mention in reading.mentions:
        marks = [
            mention.role.value,
            "" if mention.close else "likely, not certain",
            f"in the sense of {mention.domain}" if mention.domain else "",
            f"not real: {mention.unreal}" if mention.unreal else "",
        ]
        yield f"  {mention.text!r}: {', '.join(mark for mark in marks if mark)}"
    if reading.bare:
        yield "  it names a sound or an act, and no thing"
    judged = matcher.propose(label)
    for decision, head in _HEADS.items():
        found = [one for one in judged if one.decision == decision]
        yield f"{head}: {len(found) or 'none'}"
        for one in found:
            visual = matcher.visual[one.number]
            yield f"  {one.score:.4f}  {visual.source} {visual.name} ({visual.id}), by {one.method}: {one.reason}"


def _chunk(chunk: Chunk) -> str:
    kind = "unknown word" if chunk.kind == "word" else chunk.kind
    classes = "/".join(sorted(chunk.verb.classes)) if chunk.verb else ""
    domains = "/".join(sorted(chunk.verb.domains)) if chunk.verb else ""
    about = ", ".join(part for part in (classes, f"of {domains}" if domains else "") if part)
    return f"{' '.join(chunk.words)} [{kind}{': ' + about if about else ''}]"
