CREATE TABLE events (
    seq   INTEGER PRIMARY KEY AUTOINCREMENT,
    at    INTEGER NOT NULL,
    body  TEXT NOT NULL
) STRICT;

-- How far the agent's output was read, stored together with the events made of it. One row.
CREATE TABLE agent (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    sandbox  TEXT NOT NULL,
    offset   INTEGER NOT NULL,
    agent_session TEXT
) STRICT;

CREATE TABLE outbox (
    id       INTEGER PRIMARY KEY,
    key      TEXT NOT NULL UNIQUE,
    kind     TEXT NOT NULL,
    body     TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    due      INTEGER NOT NULL,
    sent     INTEGER,
    ts       TEXT,
    failure  TEXT
) STRICT;
CREATE INDEX outbox_due ON outbox (due) WHERE sent IS NULL;
