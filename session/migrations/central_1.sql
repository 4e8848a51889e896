-- What Slack delivered, stored before it is acknowledged.
CREATE TABLE inbox (
    id       INTEGER PRIMARY KEY,
    key      TEXT NOT NULL UNIQUE,
    kind     TEXT NOT NULL,
    -- Deliveries of one lane (a thread) are handled one after the other, in order.
    lane     TEXT NOT NULL,
    payload  TEXT NOT NULL,
    received INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    leased_until INTEGER NOT NULL DEFAULT 0,
    done     INTEGER
) STRICT;
CREATE INDEX inbox_open ON inbox (lane, id) WHERE done IS NULL;

-- One post may be delivered as several events; the first one takes it.
CREATE TABLE posts (
    post TEXT PRIMARY KEY,
    inbox_key TEXT NOT NULL
) STRICT;

CREATE TABLE sessions (
    id       TEXT PRIMARY KEY,
    repo     TEXT NOT NULL,
    team     TEXT NOT NULL,
    channel  TEXT NOT NULL,
    thread   TEXT NOT NULL,
    owner    TEXT NOT NULL,
    title    TEXT NOT NULL,
    why      TEXT NOT NULL,
    phase    TEXT NOT NULL,
    has_work INTEGER NOT NULL,
    created  INTEGER NOT NULL,
    touched  INTEGER NOT NULL,
    -- The prompt that it began with, until the session's own database has it.
    first_ask TEXT NOT NULL
) STRICT;
CREATE INDEX sessions_thread ON sessions (team, channel, thread, created);
CREATE INDEX sessions_working ON sessions (has_work) WHERE has_work = 1;

-- Prompts that are not in a session yet: being routed, or waiting for somebody to pick a repository.
CREATE TABLE asks (
    prompt   TEXT PRIMARY KEY,
    team     TEXT NOT NULL,
    channel  TEXT NOT NULL,
    thread   TEXT NOT NULL,
    post     TEXT NOT NULL,
    state    TEXT NOT NULL,
    body     TEXT NOT NULL,
    created  INTEGER NOT NULL
) STRICT;
CREATE INDEX asks_thread ON asks (team, channel, thread);

CREATE TABLE images (
    repo     TEXT PRIMARY KEY,
    body     TEXT NOT NULL
) STRICT;

CREATE TABLE sandboxes (
    id       TEXT PRIMARY KEY,
    session  TEXT NOT NULL,
    body     TEXT NOT NULL,
    created  INTEGER NOT NULL
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
