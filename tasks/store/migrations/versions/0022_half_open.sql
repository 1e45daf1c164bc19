-- A breaker past its end is half open: it silences until X has answered a harmless call well, which closes it.
ALTER TABLE breakers
    ADD COLUMN asked_by text,
    ADD COLUMN probe_at timestamptz,
    ADD COLUMN probes integer NOT NULL DEFAULT 0 CHECK (probes >= 0),
    ADD COLUMN probed_at timestamptz,
    ADD COLUMN probe_said text;
COMMENT ON COLUMN breakers.asked_by IS 'who ended it before its time';
COMMENT ON COLUMN breakers.probe_at IS 'when X is asked next; whoever asks moves it, and so holds it';

CREATE OR REPLACE FUNCTION silenced(wanted bots) RETURNS boolean LANGUAGE sql STABLE AS
$$
    SELECT EXISTS (
        SELECT 1 FROM stops WHERE lifted_at IS NULL AND (ends_at IS NULL OR ends_at > app_now())
            AND (scope = 'fleet' OR x_app_id = wanted.x_app_id OR bot_id = wanted.id OR label = ANY (wanted.labels))
    ) OR EXISTS (
        SELECT 1 FROM breakers WHERE closed_at IS NULL AND (x_app_id = wanted.x_app_id OR bot_id = wanted.id)
    )
$$;

-- What X said, and says since it is asked again.
CREATE FUNCTION said_of(breaker breakers) RETURNS text LANGUAGE sql STABLE AS
$$
    SELECT breaker.evidence || CASE WHEN breaker.ends_at <= app_now()
        THEN '; ' || coalesce('asked again: ' || breaker.probe_said, 'X is asked whether that is over') ELSE '' END
$$;

CREATE OR REPLACE FUNCTION silence_of(wanted bots) RETURNS text LANGUAGE sql STABLE AS
$$
    SELECT said FROM (
        SELECT created_at AS since, format('stopped by %s: %s', created_by, reason) AS said FROM stops
        WHERE lifted_at IS NULL AND (ends_at IS NULL OR ends_at > app_now())
            AND (scope = 'fleet' OR x_app_id = wanted.x_app_id OR bot_id = wanted.id OR label = ANY (wanted.labels))
        UNION ALL
        SELECT opened_at, format('X takes nothing now (%s): %s', cause, said_of(breaker)) FROM breakers AS breaker
        WHERE closed_at IS NULL AND (x_app_id = wanted.x_app_id OR bot_id = wanted.id)
    ) AS silence ORDER BY since LIMIT 1
$$;
