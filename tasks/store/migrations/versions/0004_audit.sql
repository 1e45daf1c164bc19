-- The audit: every change, appended in its own transaction. The role of the application may insert and read, no more;
-- what its grants cannot prevent (the owner, a superuser), the seals show.
CREATE TABLE audit_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    at timestamptz NOT NULL DEFAULT app_now(),
    category text NOT NULL CHECK (category IN ('activity', 'security')),
    actor text NOT NULL,
    actor_kind text NOT NULL CHECK (actor_kind IN ('user', 'key', 'system')),
    action text NOT NULL,
    subject text NOT NULL,
    bot_id uuid,
    before jsonb,
    after jsonb,
    details jsonb NOT NULL,
    personal text
);
COMMENT ON COLUMN audit_log.xid IS 'rows of transactions older than every running one are sealed';
COMMENT ON COLUMN audit_log.personal IS
    'personal values as JSON, encrypted under the key of bot_id: the seal stays whole when that key is destroyed';
CREATE INDEX audit_log_to_seal ON audit_log (xid, id);
CREATE INDEX audit_log_of_subject ON audit_log (subject, id);
CREATE INDEX audit_log_of_bot ON audit_log (bot_id, id) WHERE bot_id IS NOT NULL;
CREATE INDEX audit_log_when ON audit_log USING brin (at);

CREATE TABLE audit_seals (
    number bigint PRIMARY KEY,
    first bigint NOT NULL UNIQUE,
    leaves integer NOT NULL CHECK (leaves > 0),
    below xid8 NOT NULL,
    root bytea NOT NULL CHECK (length(root) = 32),
    previous bytea NOT NULL CHECK (length(previous) = 32),
    sealed_at timestamptz NOT NULL,
    signature text NOT NULL
);

CREATE TABLE audit_leaves (
    position bigint PRIMARY KEY,
    row_id bigint NOT NULL UNIQUE,
    seal bigint NOT NULL REFERENCES audit_seals,
    hash bytea NOT NULL CHECK (length(hash) = 32)
);

GRANT SELECT, INSERT ON audit_log TO vivesphere_app;
GRANT SELECT ON audit_seals, audit_leaves TO vivesphere_app;
GRANT SELECT ON audit_log, audit_seals, audit_leaves TO vivesphere_reader;
-- The sealer is nobody else: it reads the audit and appends seals, and reaches nothing of the rest.
GRANT USAGE ON SCHEMA public TO vivesphere_sealer;
GRANT SELECT ON audit_log, app_clock TO vivesphere_sealer;
GRANT SELECT, INSERT ON audit_seals, audit_leaves TO vivesphere_sealer;
