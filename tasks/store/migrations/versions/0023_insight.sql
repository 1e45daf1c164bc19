-- Metrics compare by it.
ALTER TABLE posts ADD COLUMN template text CHECK (length(template) BETWEEN 1 AND 100);
COMMENT ON COLUMN posts.template IS 'the writer''s own name for the text it was made from';

-- How a post stood when it was a day old: what posts are compared by, whenever they came out. `engaged` is what anybody
-- may see that people did; `engagements` is X's own count, null where it was not given; `seen_...` are its views by an age.
CREATE TABLE post_results (
    post_id uuid NOT NULL,
    bot_id uuid NOT NULL,
    published_at timestamptz NOT NULL,
    source text NOT NULL,
    template text,
    measured_at timestamptz NOT NULL,
    impressions bigint NOT NULL,
    engaged bigint NOT NULL,
    engagements bigint,
    seen_1h bigint,
    seen_3h bigint,
    seen_6h bigint,
    seen_12h bigint,
    PRIMARY KEY (post_id, published_at)
) PARTITION BY RANGE (published_at);
CREATE INDEX post_results_of_bot ON post_results (bot_id, published_at);

-- One table more by the month than before.
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
        'post_results'
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
    (SELECT min(to_date(right(relname, 7), 'YYYY_MM')) FROM pg_class
        WHERE relnamespace = 'metric_months'::regnamespace AND relkind = 'r'),
    (utc_month(app_now()) + interval '2 months')::date);

-- What the last run of report_fleet has learnt; the next one writes it anew.
CREATE TABLE best_times (
    persona_id uuid NOT NULL REFERENCES personas ON DELETE CASCADE,
    weekday smallint NOT NULL CHECK (weekday BETWEEN 0 AND 6),
    hour smallint NOT NULL CHECK (hour BETWEEN 0 AND 23),
    posts integer NOT NULL,
    lift double precision NOT NULL,
    low double precision NOT NULL,
    high double precision NOT NULL,
    made_at timestamptz NOT NULL DEFAULT app_now(),
    PRIMARY KEY (persona_id, weekday, hour)
);
COMMENT ON COLUMN best_times.weekday IS '0 is Monday, in the zone of each bot that speaks with the persona';
COMMENT ON COLUMN best_times.lift IS 'what a post does at this hour, over what it does at the average hour of the week';

CREATE TABLE bot_insights (
    bot_id uuid PRIMARY KEY REFERENCES bots,
    made_at timestamptz NOT NULL DEFAULT app_now(),
    days integer NOT NULL,
    posts bigint NOT NULL,
    impressions bigint NOT NULL,
    engaged bigint NOT NULL,
    rate double precision,
    rate_low double precision,
    rate_high double precision,
    x_rate double precision,
    half_life_hours double precision,
    followers bigint,
    gained bigint,
    weekly double precision,
    verdict text NOT NULL CHECK (verdict IN ('as usual', 'below', 'limited', 'early')),
    share double precision,
    z double precision
);
COMMENT ON COLUMN bot_insights.share IS 'views of a post against the bot''s own history, 1 is as usual';

-- Reports as they were made. `labels` bound who may read one: it is about the bots that bear one of them, null is all.
CREATE TABLE reports (
    id uuid PRIMARY KEY DEFAULT uuid_v7(),
    made_at timestamptz NOT NULL DEFAULT app_now(),
    labels text[],
    since date NOT NULL,
    until date NOT NULL,
    figures jsonb NOT NULL,
    page text NOT NULL
);
CREATE TABLE report_pictures (
    report_id uuid NOT NULL REFERENCES reports ON DELETE CASCADE,
    name text NOT NULL CHECK (name ~ '^[a-z0-9-]{1,60}$'),
    svg text NOT NULL,
    PRIMARY KEY (report_id, name)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON post_results, best_times, bot_insights, reports, report_pictures TO vivesphere_app;
GRANT SELECT ON post_results, best_times, bot_insights, reports, report_pictures TO vivesphere_reader;
