-- What an attempt costs is written down with it: the attempt is the reservation of a place and of money.
ALTER TABLE publish_attempts
    ADD COLUMN price_kind text NOT NULL DEFAULT 'post',
    ADD COLUMN price_usd numeric(10, 5) NOT NULL DEFAULT 0 CHECK (price_usd >= 0);
CREATE INDEX publish_attempts_open ON publish_attempts (start_by) WHERE ended IS NULL;

-- The forecast sums what is scheduled; the text alone decides, and it is read when the post is written.
ALTER TABLE posts ADD COLUMN price_kind text NOT NULL DEFAULT 'post';

-- Requests by bucket: of apps for posts (one minute, 24 hours), of bots and apps for everything else (one second, 15
-- minutes). Posts of one bot are counted in publish_attempts itself.
CREATE TABLE rate_windows (
    subject_id uuid NOT NULL,
    endpoint text NOT NULL,
    bucket_at timestamptz NOT NULL,
    used integer NOT NULL,
    PRIMARY KEY (subject_id, endpoint, bucket_at)
);
COMMENT ON COLUMN rate_windows.subject_id IS 'a bot or an app';

-- What X's headers said where they said less than our own count leaves.
CREATE TABLE rate_limits_told (
    subject_id uuid NOT NULL,
    endpoint text NOT NULL,
    remaining integer NOT NULL,
    resets_at timestamptz NOT NULL,
    told_at timestamptz NOT NULL DEFAULT app_now(),
    PRIMARY KEY (subject_id, endpoint)
);

-- Money by day, and its sum by month, which the mark asks for.
CREATE TABLE spend_ledger (
    id uuid PRIMARY KEY DEFAULT uuid_v7(),
    spent_on date NOT NULL,
    x_app_id uuid REFERENCES x_apps,
    bot_id uuid REFERENCES bots,
    kind text NOT NULL,
    resources bigint NOT NULL,
    usd numeric(14, 5) NOT NULL
);
COMMENT ON COLUMN spend_ledger.resources IS 'requests, or what they bring, as X counts this kind';
CREATE UNIQUE INDEX spend_ledger_one ON spend_ledger (spent_on, x_app_id, bot_id, kind) NULLS NOT DISTINCT;

CREATE TABLE spend_months (
    x_app_id uuid NOT NULL REFERENCES x_apps,
    month date NOT NULL,
    usd numeric(14, 5) NOT NULL,
    PRIMARY KEY (x_app_id, month)
);

CREATE FUNCTION utc_day(instant timestamptz) RETURNS date LANGUAGE sql IMMUTABLE AS
$$ SELECT (instant AT TIME ZONE 'UTC')::date $$;

CREATE FUNCTION utc_month(instant timestamptz) RETURNS date LANGUAGE sql IMMUTABLE AS
$$ SELECT date_trunc('month', instant AT TIME ZONE 'UTC')::date $$;

CREATE FUNCTION next_month(instant timestamptz) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS
$$ SELECT (date_trunc('month', instant AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC' $$;

-- A request that never left uses no place. What X counts as a request costs money, and what became of an unknown one X
-- alone knows; 401 and 429 are answered before anything is done.
CREATE FUNCTION takes_a_place(ended text) RETURNS boolean LANGUAGE sql IMMUTABLE AS
$$ SELECT ended IS DISTINCT FROM 'not_sent' $$;

CREATE FUNCTION costs_money(ended text) RETURNS boolean LANGUAGE sql IMMUTABLE AS
$$ SELECT ended IS NULL OR ended IN ('accepted', 'refused', 'unknown') $$;

-- The counts follow the attempts in their own transaction, whoever writes them: the sender, the sweeper, a person.
-- All add to the same rows in the same order, so that no two wait for each other.
CREATE TYPE attempt_change AS (
    bot_id uuid, x_app_id uuid, marked_at timestamptz, price_kind text, places integer, payments integer, usd numeric
);

CREATE FUNCTION book_spend(
    instant timestamptz, of_app uuid, of_bot uuid, of_kind text, more bigint, more_usd numeric
) RETURNS void LANGUAGE sql AS
$$
    INSERT INTO spend_ledger (spent_on, x_app_id, bot_id, kind, resources, usd)
    SELECT utc_day(instant), of_app, of_bot, of_kind, more, more_usd WHERE more <> 0
    ON CONFLICT (spent_on, x_app_id, bot_id, kind) DO UPDATE
    SET resources = spend_ledger.resources + excluded.resources, usd = spend_ledger.usd + excluded.usd;

    INSERT INTO spend_months (x_app_id, month, usd)
    SELECT of_app, utc_month(instant), more_usd WHERE of_app IS NOT NULL AND more_usd <> 0
    ON CONFLICT (x_app_id, month) DO UPDATE SET usd = spend_months.usd + excluded.usd;
$$;

CREATE FUNCTION book(changes attempt_change[]) RETURNS void LANGUAGE sql AS
$$
    INSERT INTO rate_windows (subject_id, endpoint, bucket_at, used)
    SELECT x_app_id, 'POST /2/tweets', date_trunc('minute', marked_at), sum(places) FROM unnest(changes)
    WHERE x_app_id IS NOT NULL GROUP BY 1, 3 HAVING sum(places) <> 0 ORDER BY 1, 3
    ON CONFLICT (subject_id, endpoint, bucket_at) DO UPDATE SET used = rate_windows.used + excluded.used;

    INSERT INTO spend_ledger (spent_on, x_app_id, bot_id, kind, resources, usd)
    SELECT utc_day(marked_at), x_app_id, bot_id, price_kind, sum(payments), sum(usd) FROM unnest(changes)
    GROUP BY 1, 2, 3, 4 HAVING sum(payments) <> 0 ORDER BY 1, 2, 3, 4
    ON CONFLICT (spent_on, x_app_id, bot_id, kind) DO UPDATE
    SET resources = spend_ledger.resources + excluded.resources, usd = spend_ledger.usd + excluded.usd;

    INSERT INTO spend_months (x_app_id, month, usd)
    SELECT x_app_id, utc_month(marked_at), sum(usd) FROM unnest(changes)
    WHERE x_app_id IS NOT NULL GROUP BY 1, 2 HAVING sum(usd) <> 0 ORDER BY 1, 2
    ON CONFLICT (x_app_id, month) DO UPDATE SET usd = spend_months.usd + excluded.usd;
$$;

CREATE FUNCTION book_new_attempts() RETURNS trigger LANGUAGE plpgsql AS
$$
BEGIN
    PERFORM book(array_agg(ROW(
        bot_id, x_app_id, marked_at, price_kind, takes_a_place(ended)::integer, costs_money(ended)::integer,
        costs_money(ended)::integer * price_usd)::attempt_change))
    FROM fresh HAVING count(*) > 0;
    RETURN NULL;
END
$$;
CREATE TRIGGER publish_attempts_booked AFTER INSERT ON publish_attempts
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION book_new_attempts();

CREATE FUNCTION book_changed_attempts() RETURNS trigger LANGUAGE plpgsql AS
$$
BEGIN
    PERFORM book(array_agg(ROW(
        now_so.bot_id, now_so.x_app_id, now_so.marked_at, now_so.price_kind,
        takes_a_place(now_so.ended)::integer - takes_a_place(was.ended)::integer,
        costs_money(now_so.ended)::integer - costs_money(was.ended)::integer,
        (costs_money(now_so.ended)::integer - costs_money(was.ended)::integer) * now_so.price_usd)::attempt_change))
    FROM was JOIN now_so USING (id)
    WHERE takes_a_place(was.ended) <> takes_a_place(now_so.ended) OR costs_money(was.ended) <> costs_money(now_so.ended)
    HAVING count(*) > 0;
    RETURN NULL;
END
$$;
CREATE TRIGGER publish_attempts_rebooked AFTER UPDATE ON publish_attempts
    REFERENCING OLD TABLE AS was NEW TABLE AS now_so FOR EACH STATEMENT EXECUTE FUNCTION book_changed_attempts();

-- Why a bot is silent, in words; null where it is not.
CREATE FUNCTION silence_of(wanted bots) RETURNS text LANGUAGE sql STABLE AS
$$
    SELECT said FROM (
        SELECT created_at AS since, format('stopped by %s: %s', created_by, reason) AS said FROM stops
        WHERE lifted_at IS NULL AND (ends_at IS NULL OR ends_at > app_now())
            AND (scope = 'fleet' OR x_app_id = wanted.x_app_id OR bot_id = wanted.id OR label = ANY (wanted.labels))
        UNION ALL
        SELECT opened_at, format('X takes nothing now (%s): %s', cause, evidence) FROM breakers
        WHERE closed_at IS NULL AND (ends_at IS NULL OR ends_at > app_now())
            AND (x_app_id = wanted.x_app_id OR bot_id = wanted.id)
    ) AS silence ORDER BY since LIMIT 1
$$;

-- Room of an app in a window of buckets, and when the nth place after now comes free.
CREATE FUNCTION window_used(of_subject uuid, at_endpoint text, since timestamptz) RETURNS bigint LANGUAGE sql STABLE AS
$$
    SELECT coalesce(sum(used), 0) FROM rate_windows
    WHERE subject_id = of_subject AND endpoint = at_endpoint AND bucket_at > since
$$;

CREATE FUNCTION window_frees(of_subject uuid, at_endpoint text, since timestamptz, nth bigint) RETURNS timestamptz
LANGUAGE sql STABLE AS
$$
    SELECT min(bucket_at) FROM (
        SELECT bucket_at, sum(used) OVER (ORDER BY bucket_at) AS freed FROM rate_windows
        WHERE subject_id = of_subject AND endpoint = at_endpoint AND bucket_at > since
    ) AS bucket WHERE freed >= nth
$$;

-- The mark: claimed -> sending, and the attempt, in one statement that commits by itself: a sender that freezes holds
-- no lock. Answers each post that was still the sender's: with its attempt, or with the reason why it waits.
-- Lock first, decide in the next statement: under READ COMMITTED a statement that waited for a lock still judges
-- by the snapshot from before the wait; each statement in here has a fresh one.
DROP FUNCTION mark_posts(uuid, text, uuid[], integer[], integer[], bytea[], timestamptz[], interval, interval);
CREATE FUNCTION mark_posts(
    by_sender uuid, under_policy text, post_ids uuid[], epochs integer[], revisions integer[], fingerprints bytea[],
    token_ends timestamptz[], price_kinds text[], prices numeric[], day_starts timestamptz[], day_ends timestamptz[],
    start_within interval, give_up_within interval, waits interval,
    bot_most integer, bot_span interval, bot_limit text, app_most integer, app_span interval, app_limit text,
    money_share numeric, lock_timeout_ms integer
) RETURNS TABLE (marked_post_id uuid, attempt_id uuid, waits_because text) LANGUAGE plpgsql AS
$$
DECLARE
    instant timestamptz;
BEGIN
    PERFORM set_config('lock_timeout', lock_timeout_ms::text, true);
    PERFORM pg_advisory_xact_lock_shared(stop_key());

    -- The part before in a thread is held still with its successor, or it could be deleted between look and mark.
    PERFORM 1 FROM posts WHERE id IN (
        SELECT unnest(post_ids)
        UNION SELECT before.id FROM posts AS part JOIN posts AS before
            ON before.thread_id = part.thread_id AND before.thread_place = part.thread_place - 1
            WHERE part.id = ANY (post_ids) AND part.thread_id IS NOT NULL
    ) ORDER BY id FOR UPDATE;

    -- An app's row is the lock of its windows and its money, and of the windows of its bots; a bot without an app has
    -- its own. Whoever reserves anything takes it after its posts, in the order of the ids.
    PERFORM 1 FROM x_apps WHERE id IN (
        SELECT bot.x_app_id FROM posts AS post JOIN bots AS bot ON bot.id = post.bot_id WHERE post.id = ANY (post_ids)
    ) ORDER BY id FOR NO KEY UPDATE;
    PERFORM 1 FROM bots WHERE x_app_id IS NULL AND id IN (SELECT bot_id FROM posts WHERE id = ANY (post_ids))
        ORDER BY id FOR NO KEY UPDATE;

    instant := app_now();
    RETURN QUERY
    WITH item AS MATERIALIZED (
        SELECT post.id, post.bot_id, bot.x_app_id, post.next_at, bot.posts_per_day_max, given.epoch, given.revision,
            given.fingerprint, given.token_end, given.kind, given.price, given.day_start, given.day_end,
            CASE
                WHEN bot.state <> 'active' THEN format('its bot is %s', bot.state)
                WHEN silenced(bot) THEN silence_of(bot)
                WHEN NOT EXISTS (
                    SELECT 1 FROM verdicts AS verdict WHERE verdict.post_id = post.id
                        AND verdict.revision = post.revision AND verdict.policy_version = under_policy
                        AND verdict.allowed)
                    THEN 'the gate has not let it pass'
                WHEN EXISTS (
                    SELECT 1 FROM publish_attempts AS twin WHERE twin.bot_id = post.bot_id
                        AND twin.fingerprint = given.fingerprint AND (twin.ended IS NULL OR twin.ended = 'unknown'))
                    OR row_number() OVER (PARTITION BY post.bot_id, given.fingerprint ORDER BY post.next_at, post.id) > 1
                    THEN 'the same text of this bot has no known outcome yet'
                WHEN post.thread_place > 1 AND NOT EXISTS (
                    SELECT 1 FROM posts AS before WHERE before.thread_id = post.thread_id
                        AND before.thread_place = post.thread_place - 1 AND before.status = 'published')
                    THEN 'the part before it in the thread is not out'
            END AS objection
        FROM unnest(post_ids, epochs, revisions, fingerprints, token_ends, price_kinds, prices, day_starts, day_ends)
            AS given (id, epoch, revision, fingerprint, token_end, kind, price, day_start, day_end)
        JOIN posts AS post ON post.id = given.id
        JOIN bots AS bot ON bot.id = post.bot_id
        WHERE post.status = 'claimed' AND post.lease_sender = by_sender AND post.lease_epoch = given.epoch
            AND post.revision = given.revision
    ), bot_room AS MATERIALIZED (
        SELECT speaker.bot_id, bot_most - used.in_window AS in_window, speaker.posts_per_day_max - used.today AS today,
            told.remaining - told.used AS told, told.resets_at
        FROM (
            SELECT bot_id, max(posts_per_day_max) AS posts_per_day_max, min(day_start) AS day_start FROM item
            WHERE objection IS NULL GROUP BY bot_id
        ) AS speaker
        CROSS JOIN LATERAL (
            SELECT count(*) FILTER (WHERE marked_at > instant - bot_span AND takes_a_place(ended)) AS in_window,
                count(*) FILTER (WHERE marked_at >= speaker.day_start AND costs_money(ended) AND ended IS DISTINCT FROM
                    'refused') AS today
            FROM publish_attempts AS attempt
            WHERE attempt.bot_id = speaker.bot_id AND marked_at > least(instant - bot_span, speaker.day_start)
        ) AS used
        LEFT JOIN LATERAL (
            SELECT limits.remaining, limits.resets_at, (
                SELECT count(*) FROM publish_attempts AS attempt WHERE attempt.bot_id = speaker.bot_id
                    AND marked_at > limits.told_at - give_up_within AND takes_a_place(ended)
                    AND (ended_at IS NULL OR ended_at > limits.told_at)) AS used
            FROM rate_limits_told AS limits
            WHERE limits.subject_id = speaker.bot_id AND endpoint = 'POST /2/tweets' AND limits.resets_at > instant
        ) AS told ON true
    ), app_room AS MATERIALIZED (
        SELECT app.id, app_most - window_used(app.id, 'POST /2/tweets', instant - app_span) AS room_left,
            app.monthly_budget_usd * money_share - coalesce(spent.usd, 0) AS money,
            told.remaining - told.used AS told, told.resets_at
        FROM x_apps AS app
        LEFT JOIN spend_months AS spent ON spent.x_app_id = app.id AND spent.month = utc_month(instant)
        LEFT JOIN LATERAL (
            SELECT limits.remaining, limits.resets_at, (
                SELECT count(*) FROM publish_attempts AS attempt WHERE attempt.x_app_id = app.id
                    AND marked_at > limits.told_at - give_up_within AND takes_a_place(ended)
                    AND (ended_at IS NULL OR ended_at > limits.told_at)) AS used
            FROM rate_limits_told AS limits
            WHERE limits.subject_id = app.id AND endpoint = 'POST /2/tweets' AND limits.resets_at > instant
        ) AS told ON true
        WHERE app.id IN (SELECT x_app_id FROM item)
    ), of_bot AS (
        -- When money is short the cheaper post goes first: then no post waits for a dearer one that does not fit.
        SELECT item.*, row_number() OVER (PARTITION BY bot_id ORDER BY price, next_at, id) AS place
        FROM item WHERE objection IS NULL
    ), fits_bot AS (
        SELECT of_bot.*, room.told AS bot_told, room.resets_at AS bot_resets_at, room.today, room.in_window,
            place <= least(room.in_window, room.today, coalesce(room.told, bot_most)) AS fits
        FROM of_bot JOIN bot_room AS room USING (bot_id)
    ), of_app AS (
        SELECT id, x_app_id, row_number() OVER wanted AS app_place, sum(price) OVER wanted AS cost
        FROM fits_bot WHERE fits AND x_app_id IS NOT NULL
        WINDOW wanted AS (PARTITION BY x_app_id ORDER BY price, next_at, id)
    ), judged AS (
        SELECT post.*,
            CASE
                WHEN NOT post.fits AND post.place > post.today THEN format('%s posts a day are the most for this bot', post.posts_per_day_max)
                WHEN NOT post.fits AND post.place > post.in_window THEN bot_limit
                WHEN NOT post.fits THEN 'X says that the limit of this bot is reached'
                WHEN of_app.cost > app.money THEN 'the month''s budget of its app is spent'
                WHEN of_app.app_place > app.room_left THEN app_limit
                WHEN of_app.app_place > app.told THEN 'X says that the limit of its app is reached'
            END AS because,
            CASE
                WHEN NOT post.fits AND post.place > post.today THEN post.day_end
                WHEN NOT post.fits AND post.place > post.in_window THEN bot_span + coalesce((
                    SELECT marked_at FROM publish_attempts AS attempt WHERE attempt.bot_id = post.bot_id
                        AND marked_at > instant - bot_span AND takes_a_place(ended)
                    ORDER BY marked_at OFFSET greatest(post.place - post.in_window, 1) - 1 LIMIT 1), instant)
                WHEN NOT post.fits THEN post.bot_resets_at
                WHEN of_app.cost > app.money THEN next_month(instant)
                WHEN of_app.app_place > app.room_left THEN app_span + coalesce(window_frees(
                    post.x_app_id, 'POST /2/tweets', instant - app_span, of_app.app_place - app.room_left), instant)
                WHEN of_app.app_place > app.told THEN app.resets_at
            END AS until
        FROM fits_bot AS post
        LEFT JOIN of_app USING (id)
        LEFT JOIN app_room AS app ON app.id = post.x_app_id
    ), moved AS (
        UPDATE posts SET status = 'sending', lease_until = NULL, attempts = attempts + 1, reason = NULL,
            updated_at = app_now()
        FROM judged WHERE judged.because IS NULL AND posts.id = judged.id
    ), attempt AS (
        INSERT INTO publish_attempts
            (post_id, bot_id, x_app_id, revision, sender_id, lease_epoch, fingerprint, token_expires_at, resend,
             price_kind, price_usd, marked_at, start_by, give_up_at)
        SELECT judged.id, bot_id, x_app_id, judged.revision, by_sender, epoch, fingerprint, token_end,
            EXISTS (SELECT 1 FROM publish_attempts AS earlier
                WHERE earlier.post_id = judged.id AND earlier.settled_by IN ('sweeper', 'timeline', 'person')),
            kind, price, instant, instant + start_within, instant + give_up_within
        FROM judged WHERE because IS NULL
        RETURNING post_id, id
    ), waiting AS (
        SELECT id, because, until FROM judged WHERE because IS NOT NULL
        UNION ALL SELECT id, objection, instant + waits FROM item WHERE objection IS NOT NULL
    ), given_back AS (
        UPDATE posts SET status = 'scheduled', lease_until = NULL, reason = 'waits: ' || waiting.because,
            next_at = greatest(posts.next_at, waiting.until), updated_at = app_now()
        FROM waiting WHERE posts.id = waiting.id
    )
    SELECT attempt.post_id, attempt.id, NULL FROM attempt
    UNION ALL SELECT waiting.id, NULL, waiting.because FROM waiting;
END
$$;

-- A place in a window and money for one request that is no post, of a bot or of an app for itself; unlike a post's it
-- is not given back by a crash.
CREATE FUNCTION reserve_request(
    of_app uuid, of_bot uuid, at_endpoint text, most integer, span interval, words text, of_kind text, resources integer,
    price numeric, money_share numeric, lock_timeout_ms integer
) RETURNS TABLE (granted_at timestamptz, waits_until timestamptz, waits_because text) LANGUAGE plpgsql AS
$$
DECLARE
    subject uuid := coalesce(of_bot, of_app);
    instant timestamptz;
    used bigint;
    told rate_limits_told;
    money numeric;
BEGIN
    PERFORM set_config('lock_timeout', lock_timeout_ms::text, true);
    PERFORM 1 FROM x_apps WHERE id = of_app FOR NO KEY UPDATE;
    IF of_app IS NULL THEN
        PERFORM 1 FROM bots WHERE id = of_bot FOR NO KEY UPDATE;
    END IF;

    instant := app_now();
    used := window_used(subject, at_endpoint, instant - span);
    IF used >= most THEN
        RETURN QUERY SELECT NULL::timestamptz,
            span + coalesce(window_frees(subject, at_endpoint, instant - span, used - most + 1), instant), words;
        RETURN;
    END IF;
    SELECT * INTO told FROM rate_limits_told AS limits
    WHERE limits.subject_id = subject AND limits.endpoint = at_endpoint AND limits.resets_at > instant;
    IF told.remaining <= window_used(subject, at_endpoint, told.told_at) THEN
        RETURN QUERY SELECT NULL::timestamptz, told.resets_at, 'X says that this limit is reached';
        RETURN;
    END IF;
    SELECT app.monthly_budget_usd * money_share - coalesce(spent.usd, 0) INTO money FROM x_apps AS app
    LEFT JOIN spend_months AS spent ON spent.x_app_id = app.id AND spent.month = utc_month(instant)
    WHERE app.id = of_app;
    IF resources * price > money THEN
        RETURN QUERY SELECT NULL::timestamptz, next_month(instant), 'the month''s budget of its app is spent';
        RETURN;
    END IF;

    INSERT INTO rate_windows VALUES (subject, at_endpoint, date_trunc('second', instant), 1)
    ON CONFLICT (subject_id, endpoint, bucket_at) DO UPDATE SET used = rate_windows.used + 1;
    PERFORM book_spend(instant, of_app, of_bot, of_kind, resources, resources * price);
    RETURN QUERY SELECT instant, NULL::timestamptz, NULL::text;
END
$$;

-- A stop cannot wait for a sender that froze in the middle of a mark: it ends the session that holds the lock.
CREATE FUNCTION end_marks() RETURNS integer LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$$
    SELECT count(pg_terminate_backend(pid))::integer FROM pg_locks
    WHERE locktype = 'advisory' AND mode = 'ShareLock' AND granted AND pid <> pg_backend_pid()
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND (classid::bigint << 32 | objid::bigint) = public.stop_key() AND objsubid = 1
$$;
REVOKE ALL ON FUNCTION end_marks() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION end_marks() TO vivesphere_app;

GRANT SELECT, INSERT, UPDATE, DELETE ON rate_windows, rate_limits_told TO vivesphere_app;
GRANT SELECT, INSERT, UPDATE ON spend_ledger, spend_months TO vivesphere_app;
GRANT SELECT ON rate_windows, rate_limits_told, spend_ledger, spend_months TO vivesphere_reader;
