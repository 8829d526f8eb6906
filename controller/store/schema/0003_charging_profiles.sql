-- Times are ISO 8601 UTC. Bodies are JSON of controller/store/profiles.py.
CREATE TABLE charging_profiles (
    id INTEGER PRIMARY KEY,
    evse INTEGER NOT NULL,
    installed_at TEXT NOT NULL,
    body TEXT NOT NULL
) STRICT;
