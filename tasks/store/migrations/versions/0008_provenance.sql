-- Where a post came from, kept when it is made.
ALTER TABLE posts ADD COLUMN provenance jsonb NOT NULL DEFAULT '{}';
COMMENT ON COLUMN posts.provenance IS 'file and line it was read from, as its writer named them';

-- What a morning asks of a million posts: each of these is small, or read from its end.
CREATE INDEX posts_published ON posts (published_at) WHERE status = 'published';
CREATE INDEX posts_failed ON posts (updated_at) WHERE status IN ('refused', 'expired');
CREATE INDEX posts_in_doubt ON posts (status, updated_at) WHERE status IN ('unknown', 'held');

-- True for every bot where no label is asked for.
CREATE FUNCTION bears_one(bot bots, wanted text[]) RETURNS boolean LANGUAGE sql IMMUTABLE AS
$$ SELECT wanted IS NULL OR bot.labels && wanted $$;
