-- What sessions can be restored from. An image that does not stand here is of no use, whatever its labels say.
CREATE TABLE snapshots (
    id      INTEGER PRIMARY KEY,
    session TEXT NOT NULL,
    image   TEXT NOT NULL UNIQUE,
    bytes   INTEGER NOT NULL,
    taken   INTEGER NOT NULL,
    body    TEXT NOT NULL
) STRICT;
CREATE INDEX snapshots_session ON snapshots (session, taken);

-- Sandboxes that wait for a session, and those that are being made. A claim takes the row into `sandboxes`.
CREATE TABLE pool (
    sandbox TEXT PRIMARY KEY,
    repo    TEXT NOT NULL,
    image   TEXT NOT NULL,
    created INTEGER NOT NULL,
    -- What a claim needs to know (PoolReady as JSON); none while it is being made.
    ready   TEXT
) STRICT;
CREATE INDEX pool_repo ON pool (repo, created);

-- Every image build, and what came of it.
CREATE TABLE builds (
    id      INTEGER PRIMARY KEY,
    repo    TEXT NOT NULL,
    began   INTEGER NOT NULL,
    ended   INTEGER,
    body    TEXT NOT NULL
) STRICT;
CREATE INDEX builds_repo ON builds (repo, began);
