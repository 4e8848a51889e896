-- What people picked or corrected: routing learns from it.
CREATE TABLE picks (
    id     INTEGER PRIMARY KEY,
    prompt TEXT NOT NULL UNIQUE,
    text   TEXT NOT NULL,
    repo   TEXT NOT NULL,
    at     INTEGER NOT NULL
) STRICT;
