"""The judging queue's tables and version."""

from pipelines.judge.errors import JudgeError
from pipelines.review import queue_file

# `judgements` is the truth and is only ever appended to; `items.state` and `verdict` are derived from it.
TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;

CREATE TABLE items (
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- what addresses name; never used twice
    key TEXT NOT NULL,                    -- of the sample
    sample_id TEXT NOT NULL,
    split TEXT NOT NULL,
    category TEXT NOT NULL,
    kind TEXT NOT NULL,
    clips TEXT NOT NULL,                  -- JSON list of the ids that it hears
    stratum TEXT NOT NULL,
    place REAL,                           -- in (0, 1), in the random draw; NULL: it is not drawn
    turn REAL,                            -- in (0, 1), in the active order, most doubtful first; NULL: it is not in it
    doubts TEXT NOT NULL DEFAULT '',      -- why it is in it
    gold TEXT,                            -- the key of the clip that is heard instead; hidden from judges
    state TEXT NOT NULL DEFAULT 'open',   -- open | third | done
    verdict TEXT                          -- that stands
) STRICT;
CREATE UNIQUE INDEX items_key ON items (key) WHERE gold IS NULL;
CREATE INDEX items_place ON items (place);
CREATE INDEX items_turn ON items (turn);

CREATE TABLE judgements (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    item_id INTEGER NOT NULL REFERENCES items,
    judge TEXT NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN
        ('right', 'wrong_sound', 'wrong_object', 'bad_mask', 'not_sounding', 'cannot_tell', 'undo')),
    undoes INTEGER UNIQUE REFERENCES judgements,
    note TEXT NOT NULL,
    request_id TEXT UNIQUE,               -- a browser's own id: the same request twice is one judgement
    judged_at TEXT NOT NULL               -- UTC, ISO 8601
) STRICT;
CREATE INDEX judgements_item ON judgements (item_id);
CREATE INDEX judgements_judge ON judgements (judge);
CREATE TRIGGER judgements_stay BEFORE UPDATE ON judgements
    BEGIN SELECT RAISE(ABORT, 'judgements are only appended'); END;
CREATE TRIGGER judgements_remain BEFORE DELETE ON judgements
    BEGIN SELECT RAISE(ABORT, 'judgements are only appended'); END;

-- What counts: neither an undo nor undone.
CREATE VIEW effective AS SELECT j.* FROM judgements j
    WHERE j.verdict <> 'undo' AND NOT EXISTS (SELECT 1 FROM judgements u WHERE u.undoes = j.id);

CREATE TABLE strata (
    name TEXT PRIMARY KEY, population INTEGER NOT NULL, drawn INTEGER NOT NULL
) STRICT;
"""

KIND = queue_file.Kind(
    what="judging queue",
    option="--queue",
    made_by="avs-data judge draw DATASET --queue {path}",
    older="export its judgements with the program that wrote it, then draw into a new one",
    application_id=0x4156534A,  # "AVSJ"
    version=1,
    tables=TABLES,
    error=JudgeError,
)
