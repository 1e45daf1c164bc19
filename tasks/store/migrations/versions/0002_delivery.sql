-- When a post is planned, what is done with one that is late, and its place in a thread.
ALTER TABLE posts
    ADD COLUMN planned_at timestamptz,
    ADD COLUMN spread_seconds integer NOT NULL DEFAULT 0 CHECK (spread_seconds BETWEEN 0 AND 86400),
    ADD COLUMN misfire text NOT NULL DEFAULT 'send_if_within'
        CHECK (misfire IN ('send_if_within', 'skip', 'next_window')),
    ADD COLUMN misfire_within interval CHECK (misfire_within > interval '0'),
    ADD COLUMN thread_id uuid,
    ADD COLUMN thread_place smallint CHECK (thread_place >= 1),
    ADD CHECK ((thread_id IS NULL) = (thread_place IS NULL));
UPDATE posts SET planned_at = due_at;
ALTER TABLE posts ALTER COLUMN planned_at SET NOT NULL;
COMMENT ON COLUMN posts.planned_at IS 'the instant it is meant to leave: due_at, moved within spread_seconds';
CREATE UNIQUE INDEX posts_thread ON posts (thread_id, thread_place) WHERE thread_id IS NOT NULL;

-- An attempt is the reservation as well, and what is needed to find out later what became of it.
ALTER TABLE publish_attempts
    ADD COLUMN x_app_id uuid REFERENCES x_apps,
    ADD COLUMN token_expires_at timestamptz,
    ADD COLUMN resend boolean NOT NULL DEFAULT false,
    ADD COLUMN settled_by text CHECK (settled_by IN ('answer', 'sweeper', 'timeline', 'person'));
COMMENT ON COLUMN publish_attempts.token_expires_at IS 'after it, and a minute, X takes no late request any more';
COMMENT ON COLUMN publish_attempts.resend IS 'an earlier attempt of this post once was unknown';

-- A person's word that nothing goes out.
CREATE TABLE stops (
    id uuid PRIMARY KEY DEFAULT uuid_v7(),
    scope text NOT NULL CHECK (scope IN ('fleet', 'app', 'label', 'bot')),
    x_app_id uuid REFERENCES x_apps,
    label text,
    bot_id uuid REFERENCES bots,
    reason text NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT app_now(),
    ends_at timestamptz,
    lifted_at timestamptz,
    lifted_by text,
    CHECK ((scope = 'app') = (x_app_id IS NOT NULL)),
    CHECK ((scope = 'label') = (label IS NOT NULL)),
    CHECK ((scope = 'bot') = (bot_id IS NOT NULL)),
    CHECK ((lifted_at IS NULL) = (lifted_by IS NULL))
);
CREATE INDEX stops_standing ON stops (created_at) WHERE lifted_at IS NULL;

-- X's word that nothing more is taken for now.
CREATE TABLE breakers (
    id uuid PRIMARY KEY DEFAULT uuid_v7(),
    x_app_id uuid REFERENCES x_apps,
    bot_id uuid REFERENCES bots,
    cause text NOT NULL CHECK (cause IN ('credits', 'usage_capped', 'suspended', 'policy_refusals')),
    evidence text NOT NULL,
    opened_at timestamptz NOT NULL DEFAULT app_now(),
    ends_at timestamptz,
    closed_at timestamptz,
    closed_by text,
    CHECK (num_nonnulls(x_app_id, bot_id) = 1),
    CHECK ((closed_at IS NULL) = (closed_by IS NULL))
);
CREATE UNIQUE INDEX breakers_one_open ON breakers (coalesce(x_app_id, bot_id), cause) WHERE closed_at IS NULL;

-- The bots that a stop or a breaker silences now; asked in the mark step and in the claim.
CREATE FUNCTION silenced(wanted bots) RETURNS boolean LANGUAGE sql STABLE AS
$$
    SELECT EXISTS (
        SELECT 1 FROM stops WHERE lifted_at IS NULL AND (ends_at IS NULL OR ends_at > app_now())
            AND (scope = 'fleet' OR x_app_id = wanted.x_app_id OR bot_id = wanted.id OR label = ANY (wanted.labels))
    ) OR EXISTS (
        SELECT 1 FROM breakers WHERE closed_at IS NULL AND (ends_at IS NULL OR ends_at > app_now())
            AND (x_app_id = wanted.x_app_id OR bot_id = wanted.id)
    )
$$;

-- Whoever stops takes this lock exclusively after the stop is committed: then every mark that did not see it is through.
CREATE FUNCTION stop_key() RETURNS bigint LANGUAGE sql IMMUTABLE AS $$ SELECT 7310002::bigint $$;

-- The mark: claimed -> sending, and the attempt, in one transaction that the sender waits for before it sends.
-- Lock first, decide in the next statement: under READ COMMITTED a statement that waited for a lock still judges
-- by the snapshot from before the wait; each statement in here has a fresh one.
DROP FUNCTION mark_posts(uuid, text, uuid[], integer[], integer[], bytea[], interval, interval);
CREATE FUNCTION mark_posts(
    by_sender uuid, under_policy text, post_ids uuid[], epochs integer[], revisions integer[], fingerprints bytea[],
    token_ends timestamptz[], start_within interval, give_up_within interval
) RETURNS TABLE (marked_post_id uuid, attempt_id uuid) LANGUAGE plpgsql AS
$$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(stop_key());

    -- The part before in a thread is held still with its successor, or it could be deleted between look and mark.
    PERFORM 1 FROM posts WHERE id IN (
        SELECT unnest(post_ids)
        UNION SELECT before.id FROM posts AS part JOIN posts AS before
            ON before.thread_id = part.thread_id AND before.thread_place = part.thread_place - 1
            WHERE part.id = ANY (post_ids) AND part.thread_id IS NOT NULL
    ) ORDER BY id FOR UPDATE;

    RETURN QUERY
    WITH wanted AS (
        SELECT DISTINCT ON (post.bot_id, item.fingerprint)
            post.id, post.bot_id, bot.x_app_id, item.epoch, item.revision, item.fingerprint, item.token_end
        FROM unnest(post_ids, epochs, revisions, fingerprints, token_ends)
            AS item (id, epoch, revision, fingerprint, token_end)
        JOIN posts AS post ON post.id = item.id
        JOIN bots AS bot ON bot.id = post.bot_id
        WHERE post.status = 'claimed' AND post.lease_sender = by_sender AND post.lease_epoch = item.epoch
            AND post.revision = item.revision AND bot.state = 'active' AND NOT silenced(bot)
            AND EXISTS (
                SELECT 1 FROM verdicts AS verdict WHERE verdict.post_id = post.id
                    AND verdict.revision = post.revision AND verdict.policy_version = under_policy AND verdict.allowed)
            AND NOT EXISTS (
                SELECT 1 FROM publish_attempts AS twin WHERE twin.bot_id = post.bot_id
                    AND twin.fingerprint = item.fingerprint AND (twin.ended IS NULL OR twin.ended = 'unknown'))
            AND (coalesce(post.thread_place, 1) = 1 OR EXISTS (
                SELECT 1 FROM posts AS before WHERE before.thread_id = post.thread_id
                    AND before.thread_place = post.thread_place - 1 AND before.status = 'published'))
        ORDER BY post.bot_id, item.fingerprint, post.next_at, post.id
    ), moved AS (
        UPDATE posts SET status = 'sending', lease_until = NULL, attempts = attempts + 1, reason = NULL,
            updated_at = app_now()
        FROM wanted WHERE posts.id = wanted.id
    )
    INSERT INTO publish_attempts
        (post_id, bot_id, x_app_id, revision, sender_id, lease_epoch, fingerprint, token_expires_at, resend,
         start_by, give_up_at)
    SELECT wanted.id, wanted.bot_id, wanted.x_app_id, wanted.revision, by_sender, wanted.epoch, wanted.fingerprint,
        wanted.token_end,
        EXISTS (SELECT 1 FROM publish_attempts AS earlier
            WHERE earlier.post_id = wanted.id AND earlier.settled_by IN ('sweeper', 'timeline', 'person')),
        instant + start_within, instant + give_up_within
    FROM wanted, (SELECT app_now() AS instant) AS clock
    RETURNING post_id, id;
END
$$;

GRANT SELECT, INSERT, UPDATE ON stops, breakers TO vivesphere_app;
GRANT SELECT ON stops, breakers TO vivesphere_reader;
