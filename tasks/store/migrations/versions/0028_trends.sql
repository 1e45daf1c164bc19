-- Where trends come from, and how each source stands. `good_at` and `rows` are of the last good reading: what fails
-- leaves them, and says why in `reason`.
CREATE TABLE trend_sources (
    id smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    place text NOT NULL,
    class text NOT NULL CHECK (class IN ('rss', 'api', 'html', 'x')),
    wanted boolean NOT NULL DEFAULT true,
    next_at timestamptz NOT NULL DEFAULT app_now(),
    leased_until timestamptz,
    tried_at timestamptz,
    verdict text CHECK (verdict IN ('ok', 'empty', 'changed', 'blocked', 'unreachable')),
    reason text,
    failures integer NOT NULL DEFAULT 0,
    good_at timestamptz,
    rows integer,
    UNIQUE (name, place)
);
COMMENT ON COLUMN trend_sources.wanted IS 'whether the settings want it; the history of one that they do not stays';

-- Every name that was seen, once, in the form by which names are compared. `cluster` is what spellings have in common.
CREATE TABLE trend_names (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 300),
    cluster text NOT NULL,
    shown text NOT NULL,
    kind text NOT NULL,
    language text,
    url text,
    spam text,
    first_seen_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL
);
COMMENT ON COLUMN trend_names.last_seen_at IS 'within the hour: it is not written for each reading';
COMMENT ON COLUMN trend_names.spam IS 'why it counts for nothing; null where it counts';
CREATE INDEX trend_names_of_cluster ON trend_names (cluster);
CREATE INDEX trend_names_last_seen ON trend_names (last_seen_at);

-- That a source was read well for a scheduled instant. Whoever writes its rows locks it, so that they are all of one
-- answer.
CREATE TABLE trend_readings (
    source_id smallint NOT NULL,
    bucket_at timestamptz NOT NULL,
    observed_at timestamptz NOT NULL,
    rows smallint NOT NULL,
    answers smallint NOT NULL,
    PRIMARY KEY (source_id, bucket_at)
) PARTITION BY RANGE (bucket_at);

COMMENT ON COLUMN trend_readings.answers IS 'how many were written for the instant, each in the place of an older one';

-- Its rows; what is read of them is a source's list at some instants, and they are written in this order. No foreign
-- keys: the ids come from the tables above.
CREATE TABLE trend_snapshots (
    source_id smallint NOT NULL,
    bucket_at timestamptz NOT NULL,
    name_id bigint NOT NULL,
    rank smallint NOT NULL,
    promoted boolean NOT NULL,
    volume bigint,
    PRIMARY KEY (source_id, bucket_at, name_id)
) PARTITION BY RANGE (bucket_at);

-- What a trend amounts to at the moment: one row a cluster, with the parts that its score is made of.
CREATE TABLE trend_scores (
    cluster text PRIMARY KEY,
    name_id bigint NOT NULL,
    score double precision NOT NULL,
    parts jsonb NOT NULL,
    sources text[] NOT NULL,
    scored_at timestamptz NOT NULL,
    rising_since timestamptz
);
COMMENT ON COLUMN trend_scores.rising_since IS 'since when its score has been high enough to be told; null where it is not';

-- Two tables more by the month than before.
CREATE OR REPLACE FUNCTION make_metric_months(first_month date, last_month date) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER
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
        'post_metrics', 'account_metrics', 'post_metrics_daily', 'bot_metrics_hourly', 'bot_metrics_daily',
        'post_results', 'trend_readings', 'trend_snapshots'
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

SELECT make_metric_months(
    (utc_month(app_now()) - interval '1 month')::date, (utc_month(app_now()) + interval '2 months')::date);

GRANT SELECT, INSERT, UPDATE, DELETE ON trend_sources, trend_names, trend_readings, trend_snapshots, trend_scores TO
    vivesphere_app;
GRANT SELECT ON trend_sources, trend_names, trend_readings, trend_snapshots, trend_scores TO vivesphere_reader;
