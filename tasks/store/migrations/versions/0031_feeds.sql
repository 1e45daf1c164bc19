CREATE TABLE feeds (
    id uuid PRIMARY KEY DEFAULT uuid_v7(),
    bot_id uuid NOT NULL REFERENCES bots,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    url text NOT NULL,
    template text NOT NULL,
    cap_per_day integer NOT NULL CHECK (cap_per_day BETWEEN 1 AND 48),
    utm jsonb,
    read_at timestamptz,
    good_at timestamptz,
    problem text,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT app_now(),
    UNIQUE (bot_id, name),
    UNIQUE (bot_id, url)
);
COMMENT ON COLUMN feeds.good_at IS 'when it was last read as a feed';
COMMENT ON COLUMN feeds.problem IS 'why the last reading brought nothing';

-- Each entry becomes a post once.
CREATE TABLE feed_entries (
    feed_id uuid NOT NULL REFERENCES feeds ON DELETE CASCADE,
    guid text NOT NULL,
    title text NOT NULL,
    link text,
    summary text NOT NULL,
    published_at timestamptz,
    state text NOT NULL CHECK (state IN ('old', 'new', 'planned', 'refused')),
    reason text,
    seen_at timestamptz NOT NULL DEFAULT app_now(),
    PRIMARY KEY (feed_id, guid)
);
COMMENT ON COLUMN feed_entries.state IS 'old: it was there when the feed was first read, and is not posted';

GRANT SELECT, INSERT, UPDATE, DELETE ON feeds, feed_entries TO vivesphere_app;
GRANT SELECT ON feeds, feed_entries TO vivesphere_reader;
