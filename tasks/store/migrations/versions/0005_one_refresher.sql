-- How long a process is waited for in real seconds, in terms of app_now(): played hours shorten no machine's work.
CREATE FUNCTION app_span(real_seconds double precision) RETURNS interval LANGUAGE sql VOLATILE AS
$$ SELECT make_interval(secs => real_seconds * rate) FROM app_clock $$;

-- The lease of a bot's refresh token is the refresher's lock: committed, so that no transaction stays open while it
-- waits for X.
ALTER TABLE credentials
    ADD COLUMN lease_epoch integer NOT NULL DEFAULT 0,
    ADD COLUMN lease_until timestamptz;
CREATE INDEX credentials_expiring ON credentials (expires_at) WHERE kind = 'x_user_access';
CREATE INDEX credentials_of_bot ON credentials (bot_id, kind);

-- Written before a refresh token may leave, so that none is ever sent twice unknowingly. The key of the fingerprints
-- lies in the vault; from_version is the version there that was sent; at settles_at X has decided, whatever became of
-- the sender.
CREATE TABLE refresh_attempts (
    id uuid PRIMARY KEY DEFAULT uuid_v7(),
    bot_id uuid NOT NULL REFERENCES bots,
    token_hmac bytea NOT NULL CHECK (length(token_hmac) = 32),
    from_version integer NOT NULL,
    replay boolean NOT NULL,
    lease_epoch integer NOT NULL,
    host text NOT NULL,
    boot_id text NOT NULL,
    pid_namespace bigint NOT NULL,
    pid integer NOT NULL,
    start_ticks bigint NOT NULL,
    marked_at timestamptz NOT NULL DEFAULT app_now(),
    send_by timestamptz NOT NULL,
    settles_at timestamptz NOT NULL,
    ended text CHECK (ended IN ('not_sent', 'declined', 'granted', 'refused', 'unknown', 'conflict', 'lost')),
    ended_at timestamptz,
    problem text,
    CHECK ((ended IS NULL) = (ended_at IS NULL))
);
-- C3: a token is sent once, and once more as a replay, unless it is known that X did not take it.
CREATE UNIQUE INDEX refresh_attempts_one_per_token ON refresh_attempts (token_hmac, replay)
    WHERE ended IS NULL OR ended NOT IN ('not_sent', 'declined');
CREATE INDEX refresh_attempts_open ON refresh_attempts (bot_id) WHERE ended IS NULL OR ended = 'unknown';
CREATE INDEX refresh_attempts_of_bot ON refresh_attempts (bot_id, marked_at);

-- What X answered, sealed to a key whose private half never leaves the vault; gone once the vault holds the tokens.
CREATE TABLE token_escrow (
    attempt_id uuid PRIMARY KEY REFERENCES refresh_attempts,
    sealed text NOT NULL,
    sealed_at timestamptz NOT NULL DEFAULT app_now()
);

GRANT SELECT, INSERT, UPDATE ON refresh_attempts TO vivesphere_app;
GRANT SELECT, INSERT, DELETE ON token_escrow TO vivesphere_app;
GRANT SELECT ON refresh_attempts TO vivesphere_reader;
