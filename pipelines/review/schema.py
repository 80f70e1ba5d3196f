"""The review queue's tables and version."""

from pipelines.review import queue_file
from pipelines.review.errors import ReviewError

VERSION = 3

# `decisions` is the truth and is only ever appended to; `items.state`, `outcome` and `closed_by` are derived
# from it.
TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;

CREATE TABLE items (
    id INTEGER PRIMARY KEY,
    audio_source TEXT NOT NULL,
    audio_label TEXT NOT NULL,
    source TEXT NOT NULL,
    visual_id TEXT NOT NULL,
    proposal_id INTEGER NOT NULL,         -- the newest proposal
    reviewers INTEGER NOT NULL,           -- votes that decide it
    gold TEXT,                            -- the known answer, accept | reject; hidden from reviewers
    wanted INTEGER NOT NULL,              -- 0: the matcher rejected it and nobody asked, or the map has it settled
    adds INTEGER,                         -- triplets, at least 1 where it adds anything; NULL: not counted
    asked INTEGER GENERATED ALWAYS AS (wanted AND (gold IS NOT NULL OR adds IS NOT 0)) VIRTUAL,
    rank REAL NOT NULL,                   -- place in the queue, smallest first
    revision INTEGER NOT NULL DEFAULT 1,  -- grows whenever what a reviewer sees of it changes
    state TEXT NOT NULL DEFAULT 'open',   -- open | third | accept | reject
    outcome TEXT,                         -- the decision that stands, also while a changed proposal is open
    closed_by INTEGER,                    -- the decision that made the outcome
    UNIQUE (audio_source, audio_label, source, visual_id)
) STRICT;
CREATE INDEX items_rank ON items (rank);

CREATE TABLE proposals (
    id INTEGER PRIMARY KEY,
    item_id INTEGER NOT NULL REFERENCES items,
    visual_label TEXT NOT NULL,
    score REAL,
    method TEXT NOT NULL,
    decision TEXT NOT NULL,               -- the matcher's own: accept | review | reject
    reason TEXT NOT NULL
) STRICT;
CREATE INDEX proposals_item ON proposals (item_id);

CREATE TABLE decisions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    item_id INTEGER NOT NULL REFERENCES items,
    proposal_id INTEGER NOT NULL REFERENCES proposals,
    reviewer TEXT NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN ('accept', 'reject', 'defer', 'undo')),
    undoes INTEGER UNIQUE REFERENCES decisions,
    category TEXT NOT NULL,               -- '': the category that the map or the label's name gives
    relation TEXT NOT NULL,
    note TEXT NOT NULL,
    origin TEXT NOT NULL,                 -- person | matcher | map: who spoke
    request_id TEXT UNIQUE,               -- a browser's own id: the same request twice is one decision
    decided_at TEXT NOT NULL              -- UTC, ISO 8601
) STRICT;
CREATE INDEX decisions_item ON decisions (item_id);
CREATE INDEX decisions_reviewer ON decisions (reviewer);
CREATE TRIGGER decisions_stay BEFORE UPDATE ON decisions
    BEGIN SELECT RAISE(ABORT, 'decisions are only appended'); END;
CREATE TRIGGER decisions_remain BEFORE DELETE ON decisions
    BEGIN SELECT RAISE(ABORT, 'decisions are only appended'); END;

-- What counts: neither an undo nor undone.
CREATE VIEW effective AS SELECT d.* FROM decisions d
    WHERE d.verdict <> 'undo' AND NOT EXISTS (SELECT 1 FROM decisions u WHERE u.undoes = d.id);

-- What the index tables say, kept for the page and for impact; rewritten by every import with --index.
CREATE TABLE label_images (
    source TEXT NOT NULL, source_id TEXT NOT NULL, name TEXT NOT NULL, masks INTEGER NOT NULL,
    images BLOB NOT NULL,                 -- sorted little-endian uint32 numbers of the images, zlib
    PRIMARY KEY (source, source_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE label_clips (
    source TEXT NOT NULL, source_id TEXT NOT NULL, clips INTEGER NOT NULL,
    PRIMARY KEY (source, source_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE examples (
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- what media addresses name; never used twice
    kind TEXT NOT NULL,                   -- photo | clip
    source TEXT NOT NULL,
    source_id TEXT NOT NULL,              -- of its label
    place INTEGER NOT NULL,
    item TEXT NOT NULL,                   -- image id or clip id
    path TEXT NOT NULL,                   -- below the corpora folder
    masks TEXT NOT NULL,                  -- of a photo: JSON list of COCO segmentations or PNG paths
    width INTEGER,                        -- pixels that segmentations count in
    height INTEGER,
    licence TEXT,
    author TEXT
) STRICT;
CREATE INDEX examples_label ON examples (kind, source, source_id, place);

-- Sounds that have an id; a label without one is its own.
CREATE TABLE sounds (
    source TEXT NOT NULL, label TEXT NOT NULL, source_id TEXT NOT NULL,
    PRIMARY KEY (source, label)
) STRICT, WITHOUT ROWID;

-- What the vocabularies say of a visual label.
CREATE TABLE labels (
    source TEXT NOT NULL, source_id TEXT NOT NULL, name TEXT NOT NULL, synset TEXT NOT NULL,
    synonyms TEXT NOT NULL, definition TEXT NOT NULL, parents TEXT NOT NULL,
    PRIMARY KEY (source, source_id)
) STRICT, WITHOUT ROWID;
"""

KIND = queue_file.Kind(
    what="review queue",
    option="--queue",
    made_by="avs-data review import proposals.csv --queue {path}",
    older="apply its decisions with the program that wrote it, then import proposals into a new one",
    application_id=0x41565351,  # "AVSQ"
    version=VERSION,
    tables=TABLES,
    error=ReviewError,
)
