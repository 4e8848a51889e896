-- Channels that were told how many of their turns wait for a sandbox: the message (by its key in the outbox) is changed until none waits.
CREATE TABLE waiting_notices (
    channel TEXT PRIMARY KEY,
    key     TEXT NOT NULL
) STRICT;
