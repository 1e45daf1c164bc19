-- Time. Every statement of ours asks app_now(), so that hours can be played on the sandbox.
CREATE TABLE app_clock (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    real_anchor timestamptz NOT NULL,
    app_anchor timestamptz NOT NULL,
    rate double precision NOT NULL CHECK (rate > 0 AND rate <= 100000)
);
INSERT INTO app_clock SELECT true, now_at, now_at, 1 FROM clock_timestamp() AS now_at;

CREATE FUNCTION app_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS
$$ SELECT app_anchor + (clock_timestamp() - real_anchor) * rate FROM app_clock $$;

-- Keys that sort by age (RFC 9562, version 7); Postgres 18 has one built in, 16 and 17 have not.
CREATE FUNCTION uuid_v7() RETURNS uuid LANGUAGE sql VOLATILE AS
$$
    SELECT encode(
        set_bit(set_bit(
            overlay(uuid_send(gen_random_uuid())
                PLACING substring(int8send(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3)
                FROM 1 FOR 6),
            52, 1), 53, 1),
        'hex')::uuid
$$;

-- People and programs that call us.
CREATE TABLE users (
    id uuid PRIMARY KEY DEFAULT uuid_v7(),
    username text NOT NULL CHECK (username ~ '^[a-z0-9][a-z0-9._@-]{0,99}$'),
    password_hash text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT app_now(),
    disabled_at timestamptz
);
CREATE UNIQUE INDEX users_username ON users (username);

CREATE TABLE role_bindings (
    id uuid PRIMARY KEY DEFAULT uuid_v7(),
    user_id uuid NOT NULL REFERENCES users,
    role text NOT NULL CHECK (role IN ('viewer', 'operator', 'approver', 'worker', 'admin')),
    label text,
    ends_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT app_now()
);
CREATE UNIQUE INDEX role_bindings_one ON role_bindings (user_id, role, coalesce(label, ''));

CREATE TABLE api_keys (
    id uuid PRIMARY KEY DEFAULT uuid_v7(),
    user_id uuid NOT NULL REFERENCES users,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    secret_sha256 bytea NOT NULL CHECK (length(secret_sha256) = 32),
    created_at timestamptz NOT NULL DEFAULT app_now(),
    ends_at timestamptz,
    revoked_at timestamptz
);
CREATE UNIQUE INDEX api_keys_name ON api_keys (user_id, name) WHERE revoked_at IS NULL;

-- Apps, personas, bots.
CREATE TABLE x_apps (
    id uuid PRIMARY KEY DEFAULT uuid_v7(),
    name text NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 100),
    use_case text NOT NULL CHECK (length(use_case) BETWEEN 1 AND 500),
    stage text NOT NULL CHECK (stage IN ('development', 'production')),
    client_id text NOT NULL,
    redirect_uri text NOT NULL,
    monthly_budget_usd numeric(12, 4),
    created_at timestamptz NOT NULL DEFAULT app_now()
);
-- X's rule: one production app per use case.
CREATE UNIQUE INDEX x_apps_one_per_use_case ON x_apps (lower(use_case)) WHERE stage = 'production';

CREATE TABLE personas (
    id uuid PRIMARY KEY DEFAULT uuid_v7(),
    name text NOT NULL UNIQUE,
    definition jsonb NOT NULL,
    revision integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT app_now(),
    updated_at timestamptz NOT NULL DEFAULT app_now()
);

CREATE TABLE bots (
    id uuid PRIMARY KEY DEFAULT uuid_v7(),
    owner_id uuid NOT NULL REFERENCES users,
    handle text NOT NULL CHECK (handle ~ '^[A-Za-z0-9_]{1,15}$'),
    display_name text NOT NULL,
    description text NOT NULL,
    x_user_id text UNIQUE,
    persona_id uuid NOT NULL REFERENCES personas,
    x_app_id uuid REFERENCES x_apps,
    state text NOT NULL CHECK (state IN ('active', 'paused', 'needs_login', 'suspended', 'retired')),
    time_zone text NOT NULL,
    posts_per_day_max integer NOT NULL,
    labels text[] NOT NULL DEFAULT '{}',
    operator_handle text NOT NULL,
    label_confirmed_at timestamptz,
    label_confirmed_by text,
    bio_checked_at timestamptz,
    bio_names_operator boolean NOT NULL DEFAULT false,
    revision integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT app_now(),
    updated_at timestamptz NOT NULL DEFAULT app_now(),
    CHECK ((label_confirmed_at IS NULL) = (label_confirmed_by IS NULL))
);
CREATE UNIQUE INDEX bots_handle ON bots (lower(handle));

CREATE TABLE consents (
    id uuid PRIMARY KEY DEFAULT uuid_v7(),
    bot_id uuid NOT NULL REFERENCES bots,
    state_sha256 bytea NOT NULL UNIQUE CHECK (length(state_sha256) = 32),
    created_at timestamptz NOT NULL DEFAULT app_now(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);

-- What lies in the vault, without the secrets themselves.
CREATE TABLE credentials (
    id uuid PRIMARY KEY DEFAULT uuid_v7(),
    kind text NOT NULL CHECK (kind IN ('x_user_access', 'x_user_refresh', 'x_app_client')),
    bot_id uuid REFERENCES bots,
    x_app_id uuid REFERENCES x_apps,
    vault_path text NOT NULL UNIQUE,
    version integer NOT NULL,
    scopes text[] NOT NULL DEFAULT '{}',
    issued_at timestamptz NOT NULL,
    expires_at timestamptz,
    CHECK (num_nonnulls(bot_id, x_app_id) = 1)
);

-- Posting.
CREATE TABLE senders (
    id uuid PRIMARY KEY DEFAULT uuid_v7(),
    host text NOT NULL,
    boot_id text NOT NULL,
    pid_namespace bigint NOT NULL,
    pid integer NOT NULL,
    start_ticks bigint NOT NULL,
    flow_run_id uuid,
    started_at timestamptz NOT NULL DEFAULT app_now(),
    beat_at timestamptz NOT NULL DEFAULT app_now(),
    closed_at timestamptz,
    died_at timestamptz
);
CREATE INDEX senders_alive ON senders (beat_at) WHERE closed_at IS NULL AND died_at IS NULL;

CREATE TABLE posts (
    id uuid PRIMARY KEY DEFAULT uuid_v7(),
    bot_id uuid NOT NULL REFERENCES bots,
    text text NOT NULL,
    reply_to_x_post_id text,
    quote_x_post_id text,
    reply_settings text,
    made_with_ai boolean NOT NULL DEFAULT false,
    paid_partnership boolean NOT NULL DEFAULT false,
    due_at timestamptz NOT NULL,
    expires_at timestamptz,
    revision integer NOT NULL DEFAULT 1,
    source text NOT NULL CHECK (source IN ('cli', 'csv', 'api', 'demo')),
    external_id text,
    status text NOT NULL CHECK (status IN ('draft', 'awaiting_approval', 'rejected', 'scheduled', 'claimed', 'sending',
        'published', 'refused', 'unknown', 'held', 'cancelled', 'expired', 'deleted')),
    reason text,
    attempts integer NOT NULL DEFAULT 0,
    next_at timestamptz NOT NULL,
    lease_sender uuid REFERENCES senders,
    lease_epoch integer NOT NULL DEFAULT 0,
    lease_until timestamptz,
    x_post_id text UNIQUE,
    published_at timestamptz,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT app_now(),
    updated_at timestamptz NOT NULL DEFAULT app_now(),
    CHECK ((status = 'published') <= (x_post_id IS NOT NULL)),
    CHECK ((status = 'claimed') = (lease_until IS NOT NULL))
);
COMMENT ON COLUMN posts.next_at IS 'earliest instant of the next attempt: due_at, or later after a retryable failure';
CREATE UNIQUE INDEX posts_external_id ON posts (bot_id, external_id) WHERE external_id IS NOT NULL;
CREATE INDEX posts_due ON posts (next_at) WHERE status IN ('scheduled', 'claimed');
CREATE INDEX posts_of_bot ON posts (bot_id, due_at);
CREATE INDEX posts_newest ON posts (due_at DESC, id DESC);

CREATE TABLE verdicts (
    post_id uuid NOT NULL REFERENCES posts ON DELETE CASCADE,
    revision integer NOT NULL,
    policy_version text NOT NULL,
    allowed boolean NOT NULL,
    findings jsonb NOT NULL,
    judged_at timestamptz NOT NULL DEFAULT app_now(),
    PRIMARY KEY (post_id, revision, policy_version)
);

CREATE TABLE publish_attempts (
    id uuid PRIMARY KEY DEFAULT uuid_v7(),
    post_id uuid NOT NULL REFERENCES posts,
    bot_id uuid NOT NULL REFERENCES bots,
    revision integer NOT NULL,
    sender_id uuid NOT NULL REFERENCES senders,
    lease_epoch integer NOT NULL,
    fingerprint bytea NOT NULL CHECK (length(fingerprint) = 32),
    marked_at timestamptz NOT NULL DEFAULT app_now(),
    start_by timestamptz NOT NULL,
    give_up_at timestamptz NOT NULL,
    first_byte_at timestamptz,
    ended text CHECK (ended IN ('accepted', 'not_sent', 'throttled', 'refused', 'unauthorized', 'unknown')),
    ended_at timestamptz,
    http_status integer,
    problem text,
    x_post_id text UNIQUE,
    CHECK ((ended IS NULL) = (ended_at IS NULL)),
    CHECK ((ended = 'accepted') <= (x_post_id IS NOT NULL))
);
CREATE INDEX publish_attempts_of_post ON publish_attempts (post_id, marked_at);
-- P1: one attempt of uncertain fate at a time, for a post and for a text of a bot.
CREATE UNIQUE INDEX publish_attempts_one_open ON publish_attempts (post_id) WHERE ended IS NULL OR ended = 'unknown';
CREATE UNIQUE INDEX publish_attempts_one_text ON publish_attempts (bot_id, fingerprint)
    WHERE ended IS NULL OR ended = 'unknown';
CREATE INDEX publish_attempts_overdue ON publish_attempts (give_up_at) WHERE ended IS NULL;

-- The mark: claimed -> sending, and the attempt, in one transaction that the sender waits for before it sends.
-- Lock first, decide in the next statement: under READ COMMITTED a statement that waited for a lock still judges
-- by the snapshot from before the wait; each statement in here has a fresh one.
CREATE FUNCTION mark_posts(
    by_sender uuid, under_policy text, post_ids uuid[], epochs integer[], revisions integer[], fingerprints bytea[],
    start_within interval, give_up_within interval
) RETURNS TABLE (marked_post_id uuid, attempt_id uuid) LANGUAGE plpgsql AS
$$
BEGIN
    PERFORM 1 FROM posts WHERE id = ANY (post_ids) ORDER BY id FOR UPDATE;

    RETURN QUERY
    WITH wanted AS (
        SELECT DISTINCT ON (post.bot_id, item.fingerprint)
            post.id, post.bot_id, item.epoch, item.revision, item.fingerprint
        FROM unnest(post_ids, epochs, revisions, fingerprints) AS item (id, epoch, revision, fingerprint)
        JOIN posts AS post ON post.id = item.id
        JOIN bots AS bot ON bot.id = post.bot_id
        WHERE post.status = 'claimed' AND post.lease_sender = by_sender AND post.lease_epoch = item.epoch
            AND post.revision = item.revision AND bot.state = 'active'
            AND EXISTS (
                SELECT 1 FROM verdicts AS verdict WHERE verdict.post_id = post.id
                    AND verdict.revision = post.revision AND verdict.policy_version = under_policy AND verdict.allowed)
            AND NOT EXISTS (
                SELECT 1 FROM publish_attempts AS twin WHERE twin.bot_id = post.bot_id
                    AND twin.fingerprint = item.fingerprint AND (twin.ended IS NULL OR twin.ended = 'unknown'))
        ORDER BY post.bot_id, item.fingerprint, post.next_at, post.id
    ), moved AS (
        UPDATE posts SET status = 'sending', lease_until = NULL, attempts = attempts + 1, reason = NULL,
            updated_at = app_now()
        FROM wanted WHERE posts.id = wanted.id
    )
    INSERT INTO publish_attempts
        (post_id, bot_id, revision, sender_id, lease_epoch, fingerprint, start_by, give_up_at)
    SELECT wanted.id, wanted.bot_id, wanted.revision, by_sender, wanted.epoch, wanted.fingerprint,
        instant + start_within, instant + give_up_within
    FROM wanted, (SELECT app_now() AS instant) AS clock
    RETURNING post_id, id;
END
$$;

-- Runs that people asked for: a flow trusts this row, never its parameters.
CREATE TABLE run_requests (
    id uuid PRIMARY KEY DEFAULT uuid_v7(),
    deployment text NOT NULL,
    arguments jsonb NOT NULL,
    requested_by text NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT app_now(),
    flow_run_id uuid
);

CREATE TABLE activity_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT app_now(),
    category text NOT NULL CHECK (category IN ('activity', 'security')),
    actor text NOT NULL,
    action text NOT NULL,
    subject text NOT NULL,
    details jsonb NOT NULL
);
CREATE INDEX activity_log_newest ON activity_log (at DESC);

GRANT USAGE ON SCHEMA public TO vivesphere_app, vivesphere_reader;
GRANT SELECT, INSERT, UPDATE, DELETE ON users, role_bindings, api_keys, x_apps, personas, bots, consents, credentials,
    senders, posts, verdicts, publish_attempts, run_requests TO vivesphere_app;
GRANT SELECT, INSERT ON activity_log TO vivesphere_app;
GRANT SELECT ON app_clock TO vivesphere_app, vivesphere_reader;
GRANT SELECT ON x_apps, personas, bots, credentials, senders, posts, verdicts, publish_attempts, run_requests,
    activity_log TO vivesphere_reader;
