-- The security log. `waits` = 1: the backend must still be told. Times are ISO 8601 UTC with milliseconds.
CREATE TABLE security_events (
    n INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    type TEXT NOT NULL,
    tech_info TEXT NOT NULL,
    waits INTEGER NOT NULL
) STRICT;
CREATE INDEX security_events_waiting ON security_events (n) WHERE waits = 1;
