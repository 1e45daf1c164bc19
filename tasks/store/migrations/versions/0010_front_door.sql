-- A user may stand before a password was chosen; access tokens of an older generation are void.
ALTER TABLE users ALTER COLUMN password_hash DROP NOT NULL;
ALTER TABLE users ADD COLUMN generation integer NOT NULL DEFAULT 1;

ALTER TABLE role_bindings ADD CONSTRAINT role_bindings_label CHECK (length(label) BETWEEN 1 AND 100);

-- A key may be made for one role or one label of its owner's.
ALTER TABLE api_keys ADD COLUMN role text CHECK (role IN ('viewer', 'operator', 'approver', 'worker', 'admin'));
ALTER TABLE api_keys ADD COLUMN label text CHECK (length(label) BETWEEN 1 AND 100);
ALTER TABLE api_keys ADD COLUMN used_at timestamptz;

-- What a browser holds, as a digest: who can read this table can sign in as nobody.
CREATE TABLE sessions (
    id uuid PRIMARY KEY DEFAULT uuid_v7(),
    user_id uuid NOT NULL REFERENCES users,
    secret_sha256 bytea NOT NULL UNIQUE CHECK (length(secret_sha256) = 32),
    client text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT app_now(),
    seen_at timestamptz NOT NULL DEFAULT app_now(),
    ends_at timestamptz NOT NULL,
    ended_at timestamptz
);
CREATE INDEX sessions_of_user ON sessions (user_id) WHERE ended_at IS NULL;

-- Links by which a person chooses a password; each for one use.
CREATE TABLE sign_in_links (
    id uuid PRIMARY KEY DEFAULT uuid_v7(),
    user_id uuid NOT NULL REFERENCES users,
    secret_sha256 bytea NOT NULL UNIQUE CHECK (length(secret_sha256) = 32),
    created_at timestamptz NOT NULL DEFAULT app_now(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);
CREATE INDEX sign_in_links_of_user ON sign_in_links (user_id) WHERE used_at IS NULL;

-- Sign-ins tried by name and by client since `since`; one that succeeds is taken off again.
CREATE TABLE sign_in_attempts (
    subject text PRIMARY KEY,
    attempts integer NOT NULL,
    since timestamptz NOT NULL DEFAULT app_now()
);
CREATE INDEX sign_in_attempts_since ON sign_in_attempts (since);

-- The labels for which a run was asked for; NULL is everything.
ALTER TABLE run_requests ADD COLUMN labels text[];
CREATE INDEX run_requests_of_run ON run_requests (flow_run_id);

GRANT SELECT, INSERT, UPDATE, DELETE ON sessions, sign_in_links, sign_in_attempts TO vivesphere_app;
