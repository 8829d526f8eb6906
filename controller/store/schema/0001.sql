-- Times are ISO 8601 UTC. Bodies are JSON of controller/store/codec.py.
CREATE TABLE transactions (
    id TEXT PRIMARY KEY,
    evse INTEGER NOT NULL,
    started_at TEXT NOT NULL,
    ended_at TEXT,
    body TEXT NOT NULL,
    backend_id INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX transactions_open ON transactions (evse) WHERE ended_at IS NULL;
CREATE INDEX transactions_by_time ON transactions (evse, started_at);

-- The last moment of life of the open transaction; its own table, so that a beat writes one page.
CREATE TABLE life (
    evse INTEGER PRIMARY KEY,
    transaction_id TEXT NOT NULL,
    at TEXT NOT NULL,
    meter_wh REAL NOT NULL
) STRICT;

-- In the order of n; numbers of what was delivered before it was ever stored are missing.
CREATE TABLE outbox (
    n INTEGER PRIMARY KEY,
    body TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE undelivered (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    body TEXT NOT NULL,
    error TEXT NOT NULL,
    at TEXT NOT NULL
) STRICT;

CREATE TABLE stored_values (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE auth_cache (
    token TEXT PRIMARY KEY,
    status TEXT NOT NULL,
    expires_at TEXT,
    group_token TEXT,
    group_type TEXT,
    stored_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
