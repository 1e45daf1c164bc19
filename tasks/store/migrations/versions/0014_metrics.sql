-- What is read when, and what became of what is read no more. `next_at` is the next scheduled instant, null once
-- reading has ended; `waits_until` is a lease, or a wait for money or room, and stands in no index: it changes often.
CREATE TABLE sampled_posts (
    post_id uuid PRIMARY KEY REFERENCES posts,
    bot_id uuid NOT NULL REFERENCES bots,
    x_post_id text NOT NULL,
    published_at timestamptz NOT NULL,
    next_at timestamptz,
    waits_until timestamptz,
    paid_on date,
    missing_since timestamptz,
    fate text CHECK (fate IN ('deleted', 'suspended', 'protected')),
    fate_at timestamptz,
    erased_at timestamptz,
    CHECK ((fate IS NULL) = (fate_at IS NULL))
) WITH (fillfactor = 70);
COMMENT ON COLUMN sampled_posts.paid_on IS 'the UTC day on which X has charged for reading it last';
CREATE INDEX sampled_posts_due ON sampled_posts (bot_id, next_at) WHERE next_at IS NOT NULL;
CREATE INDEX sampled_posts_gone ON sampled_posts (fate_at) WHERE fate IS NOT NULL AND erased_at IS NULL;

CREATE TABLE sampled_accounts (
    bot_id uuid PRIMARY KEY REFERENCES bots,
    next_at timestamptz NOT NULL,
    waits_until timestamptz,
    paid_on date,
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'deleted', 'suspended', 'protected')),
    state_at timestamptz NOT NULL DEFAULT app_now()
) WITH (fillfactor = 70);
CREATE INDEX sampled_accounts_due ON sampled_accounts (next_at);

-- Snapshots: counts as X gave them, by subject and scheduled instant; null is what X did not say. No foreign keys: the
-- ids come from the tables above, and a hundred thousand look-ups a run would say nothing new.
CREATE TABLE post_metrics (
    post_id uuid NOT NULL,
    bot_id uuid NOT NULL,
    bucket_at timestamptz NOT NULL,
    observed_at timestamptz NOT NULL,
    impressions bigint,
    likes bigint,
    reposts bigint,
    replies bigint,
    quotes bigint,
    bookmarks bigint,
    engagements bigint,
    url_clicks bigint,
    profile_clicks bigint,
    organic_impressions bigint,
    organic_likes bigint,
    organic_reposts bigint,
    organic_replies bigint,
    organic_url_clicks bigint,
    organic_profile_clicks bigint,
    PRIMARY KEY (post_id, bucket_at)
) PARTITION BY RANGE (bucket_at);
CREATE INDEX post_metrics_of_bot ON post_metrics (bot_id, bucket_at);

CREATE TABLE account_metrics (
    bot_id uuid NOT NULL,
    bucket_at timestamptz NOT NULL,
    observed_at timestamptz NOT NULL,
    followers bigint,
    following bigint,
    listed bigint,
    posts bigint,
    PRIMARY KEY (bot_id, bucket_at)
) PARTITION BY RANGE (bucket_at);

-- The last snapshot of each post on each day: what is left of a post once its snapshots are dropped.
CREATE TABLE post_metrics_daily (
    post_id uuid NOT NULL,
    bot_id uuid NOT NULL,
    day date NOT NULL,
    bucket_at timestamptz NOT NULL,
    impressions bigint,
    likes bigint,
    reposts bigint,
    replies bigint,
    quotes bigint,
    bookmarks bigint,
    engagements bigint,
    url_clicks bigint,
    profile_clicks bigint,
    PRIMARY KEY (post_id, day)
) PARTITION BY RANGE (day);
CREATE INDEX post_metrics_daily_of_bot ON post_metrics_daily (bot_id, day);

-- What the posts of a bot gained in an hour and on a day, and how its account stood at the end of it.
CREATE TABLE bot_metrics_hourly (
    bot_id uuid NOT NULL,
    hour_at timestamptz NOT NULL,
    snapshots integer NOT NULL,
    impressions bigint NOT NULL,
    likes bigint NOT NULL,
    reposts bigint NOT NULL,
    replies bigint NOT NULL,
    quotes bigint NOT NULL,
    bookmarks bigint NOT NULL,
    engagements bigint NOT NULL,
    url_clicks bigint NOT NULL,
    profile_clicks bigint NOT NULL,
    followers bigint,
    PRIMARY KEY (bot_id, hour_at)
) PARTITION BY RANGE (hour_at);

CREATE TABLE bot_metrics_daily (
    bot_id uuid NOT NULL,
    day date NOT NULL,
    snapshots integer NOT NULL,
    impressions bigint NOT NULL,
    likes bigint NOT NULL,
    reposts bigint NOT NULL,
    replies bigint NOT NULL,
    quotes bigint NOT NULL,
    bookmarks bigint NOT NULL,
    engagements bigint NOT NULL,
    url_clicks bigint NOT NULL,
    profile_clicks bigint NOT NULL,
    followers bigint,
    PRIMARY KEY (bot_id, day)
) PARTITION BY RANGE (day);

-- Hours of which something was written and not yet rolled up. A log, not a set: a writer that found its hour noted
-- already would not note it, while whoever rolls up takes the note away without having seen what was written.
CREATE TABLE metric_changes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    bot_id uuid NOT NULL,
    hour_at timestamptz NOT NULL
);

-- Months are tables of a schema of their own, made and dropped by these two functions alone: whoever writes snapshots
-- may make no other table.
CREATE SCHEMA metric_months;

CREATE FUNCTION make_metric_months(first_month date, last_month date) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS
$$
DECLARE
    of_table text;
    month date;
    made integer := 0;
BEGIN
    IF last_month > first_month + interval '10 years' THEN
        RAISE EXCEPTION 'from % to % are too many months', first_month, last_month;
    END IF;
    PERFORM pg_advisory_xact_lock(7310013);
    FOREACH of_table IN ARRAY ARRAY[
        'post_metrics', 'account_metrics', 'post_metrics_daily', 'bot_metrics_hourly', 'bot_metrics_daily'
    ] LOOP
        FOR month IN SELECT generate_series(date_trunc('month', first_month), last_month, '1 month') LOOP
            CONTINUE WHEN to_regclass(format('metric_months.%I', of_table || to_char(month, '_YYYY_MM'))) IS NOT NULL;
            -- Made first and hung in then: that way nobody who writes or reads waits.
            EXECUTE format(
                'CREATE TABLE metric_months.%I (LIKE public.%I INCLUDING ALL)',
                of_table || to_char(month, '_YYYY_MM'), of_table);
            EXECUTE format(
                'ALTER TABLE public.%I ATTACH PARTITION metric_months.%I FOR VALUES FROM (%L) TO (%L)',
                of_table, of_table || to_char(month, '_YYYY_MM'),
                month::text || ' 00:00+00', (month + interval '1 month')::date::text || ' 00:00+00');
            made := made + 1;
        END LOOP;
    END LOOP;
    RETURN made;
END
$$;

CREATE FUNCTION drop_metric_months(of_table text, before_month date) RETURNS text[] LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS
$$
DECLARE
    month text;
    dropped text[] := '{}';
BEGIN
    PERFORM pg_advisory_xact_lock(7310013);
    FOR month IN
        SELECT child.relname FROM pg_inherits
        JOIN pg_class AS child ON child.oid = inhrelid
        JOIN pg_namespace AS schema ON schema.oid = child.relnamespace AND schema.nspname = 'metric_months'
        JOIN pg_class AS parent ON parent.oid = inhparent
        JOIN pg_namespace AS home ON home.oid = parent.relnamespace AND home.nspname = 'public'
        WHERE parent.relname = of_table
            AND to_date(right(child.relname, 7), 'YYYY_MM') < date_trunc('month', before_month)
        ORDER BY child.relname
    LOOP
        EXECUTE format('DROP TABLE metric_months.%I', month);
        dropped := dropped || month;
    END LOOP;
    RETURN dropped;
END
$$;

REVOKE ALL ON FUNCTION make_metric_months(date, date), drop_metric_months(text, date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION make_metric_months(date, date), drop_metric_months(text, date) TO vivesphere_app;
SELECT make_metric_months((utc_month(app_now()) - interval '1 month')::date, (utc_month(app_now()) + interval '2 months')::date);

GRANT SELECT, INSERT, UPDATE, DELETE ON sampled_posts, sampled_accounts, post_metrics, account_metrics,
    post_metrics_daily, bot_metrics_hourly, bot_metrics_daily, metric_changes TO vivesphere_app;
GRANT SELECT ON sampled_posts, sampled_accounts, post_metrics, account_metrics, post_metrics_daily, bot_metrics_hourly,
    bot_metrics_daily TO vivesphere_reader;
