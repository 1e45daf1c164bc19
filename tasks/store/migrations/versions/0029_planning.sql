ALTER TABLE bots ADD COLUMN facts jsonb NOT NULL DEFAULT '{}';
COMMENT ON COLUMN bots.facts IS 'what the templates of its persona say of this bot and of no other';

-- A new source of posts. Every row that stands passes: the new list holds the old one.
ALTER TABLE posts DROP CONSTRAINT posts_source_check;
ALTER TABLE posts ADD CONSTRAINT posts_source_check CHECK (source IN ('cli', 'csv', 'api', 'demo', 'plan')) NOT VALID;
ALTER TABLE posts VALIDATE CONSTRAINT posts_source_check;
-- A plan looks at all that was planned before.
CREATE INDEX posts_planned ON posts (due_at) WHERE source = 'plan';

CREATE TABLE evergreen (
    id uuid PRIMARY KEY DEFAULT uuid_v7(),
    bot_id uuid NOT NULL REFERENCES bots,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    variants text[] NOT NULL CHECK (cardinality(variants) BETWEEN 1 AND 50),
    cooldown_days integer NOT NULL CHECK (cooldown_days BETWEEN 1 AND 366),
    recurrence jsonb,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT app_now(),
    UNIQUE (bot_id, name)
);
COMMENT ON COLUMN evergreen.variants IS 'wordings of one thing that one bot says; the one said longest ago comes next';
COMMENT ON COLUMN evergreen.recurrence IS 'null where it fills free turns instead';

-- A day of each bot's own zone. At most one of `bot_id` and `label`; neither is the fleet.
CREATE TABLE blackouts (
    id uuid PRIMARY KEY DEFAULT uuid_v7(),
    day date NOT NULL,
    bot_id uuid REFERENCES bots,
    label text,
    reason text NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT app_now(),
    CHECK (bot_id IS NULL OR label IS NULL),
    UNIQUE NULLS NOT DISTINCT (day, bot_id, label)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON evergreen, blackouts TO vivesphere_app;
GRANT SELECT ON evergreen, blackouts TO vivesphere_reader;
