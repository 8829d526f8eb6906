-- The local authorization list; `token` is casefolded, `info` as controller/core/local_list.py writes it.
CREATE TABLE local_list (
    token TEXT PRIMARY KEY,
    info TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- One row: the version the backend gave the list; 0 = it never sent one.
CREATE TABLE local_list_version (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    version INTEGER NOT NULL
) STRICT;
INSERT INTO local_list_version (id, version) VALUES (1, 0);

-- Cards that a person kept by command were small values before.
INSERT INTO local_list (token, info)
    SELECT substr(name, 12), value FROM stored_values
    WHERE substr(name, 1, 11) = 'local-list/';
DELETE FROM stored_values WHERE substr(name, 1, 11) = 'local-list/';

-- `evse` NULL = no certain one: one EVSE stays free for the token.
CREATE TABLE reservations (
    id INTEGER PRIMARY KEY,
    evse INTEGER,
    token TEXT NOT NULL,
    token_type TEXT NOT NULL,
    group_token TEXT,
    group_type TEXT,
    expires_at TEXT NOT NULL
) STRICT;
