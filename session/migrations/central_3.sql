-- What people set for themselves (PersonDefaults as JSON).
CREATE TABLE defaults (
    user TEXT PRIMARY KEY,
    body TEXT NOT NULL
) STRICT;

-- The model that a session's agent works with, kept from its first sandbox on.
CREATE TABLE models (
    session TEXT PRIMARY KEY,
    model   TEXT NOT NULL
) STRICT;
