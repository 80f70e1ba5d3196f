"""The ideas that matching is made of; each can be left out, which is how the benchmark measures its worth."""

from dataclasses import dataclass

from pipelines.matching.knowledge import Relation


@dataclass(frozen=True)
class Ideas:
    """Which ideas are in use. The default uses all that need no extra package."""

    alternatives: bool = True  # commas and brackets separate wordings of one sound
    verbs: bool = True  # words of sounding and doing name no thing
    plurals: bool = True  # plural and singular are one name
    synonyms: bool = True  # LVIS synonyms, also as a bridge to the other source
    aliases: bool = True  # nouns.csv: same_as
    kinds: bool = True  # nouns.csv: kind_of, similar_to, has_part
    heads: bool = True  # the last word of a compound carries its kind
    parts: bool = True  # a part that sounds stands for its whole
    acts: bool = True  # acts.csv: an act implies the thing that does it
    tools: bool = True  # hammering -> hammer, lawn mowing -> lawn mower
    definitions: bool = True  # the noun that an LVIS definition turns on
    hierarchy: bool = True  # wider classes of Open Images
    narrower: bool = True  # the few classes right below the thing
    senses: bool = True  # a name of another domain than the sound is a homonym
    spelling: bool = True  # rapidfuzz, for names that nothing else finds
    semantic: bool = False  # word embeddings; needs the extra `semantic`
    mids: bool = True  # AudioSet and FSD50K share MIDs with Open Images

    def uses(self, relation: Relation) -> bool:
        return self.aliases if relation.kind == "same_as" else self.kinds or relation.kind == "opaque"
