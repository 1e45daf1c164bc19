-- Settings as people changed them: one revision a change, and what it changed. Nothing is ever overwritten; what is in
-- force is the newest value of each key.
CREATE TABLE settings_revisions (
    revision integer PRIMARY KEY CHECK (revision > 0),
    actor text NOT NULL,
    reason text CHECK (length(reason) BETWEEN 1 AND 500),
    at timestamptz NOT NULL DEFAULT app_now()
);
CREATE TABLE settings_changes (
    revision integer NOT NULL REFERENCES settings_revisions (revision),
    key text NOT NULL CHECK (length(key) BETWEEN 1 AND 200),
    old jsonb,
    new jsonb,
    PRIMARY KEY (key, revision)
);

GRANT SELECT, INSERT ON settings_revisions, settings_changes TO vivesphere_app;
