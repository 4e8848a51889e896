-- Sessions that turned out to be in the wrong repository, and where their prompts went.
CREATE TABLE moves (
    old      TEXT PRIMARY KEY REFERENCES sessions (id),
    new      TEXT NOT NULL UNIQUE REFERENCES sessions (id),
    by       TEXT NOT NULL,
    -- The prompts that waited behind the first one, until the new session's own database has them.
    rest     TEXT NOT NULL,
    at       INTEGER NOT NULL
) STRICT;

-- When somebody last asked a session for something: a thread's plain replies go to the one that was asked last.
ALTER TABLE sessions ADD COLUMN prompted INTEGER NOT NULL DEFAULT 0;
UPDATE sessions SET prompted = created;

-- Who picked.
ALTER TABLE picks ADD COLUMN who TEXT NOT NULL DEFAULT '';
