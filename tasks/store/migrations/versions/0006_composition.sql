ALTER TABLE posts
    ADD COLUMN poll jsonb,
    ADD COLUMN media_count smallint NOT NULL DEFAULT 0 CHECK (media_count BETWEEN 0 AND 4),
    ADD CHECK (num_nonnulls(poll, quote_x_post_id, nullif(media_count, 0)) <= 1);

CREATE INDEX posts_waiting_parts ON posts (thread_id, thread_place) WHERE thread_id IS NOT NULL AND status = 'scheduled';

CREATE TABLE post_revisions (
    post_id uuid NOT NULL REFERENCES posts,
    revision integer NOT NULL,
    text text NOT NULL,
    due_at timestamptz NOT NULL,
    replaced_by text NOT NULL,
    replaced_at timestamptz NOT NULL DEFAULT app_now(),
    PRIMARY KEY (post_id, revision)
);

-- Pictures and films, kept in pieces, so that a film never lies in memory as a whole.
CREATE TABLE media_assets (
    id uuid PRIMARY KEY DEFAULT uuid_v7(),
    bot_id uuid NOT NULL REFERENCES bots,
    file_name text NOT NULL CHECK (length(file_name) BETWEEN 1 AND 255),
    media_type text NOT NULL,
    category text NOT NULL CHECK (category IN ('tweet_image', 'tweet_gif', 'tweet_video')),
    total_bytes bigint NOT NULL CHECK (total_bytes > 0),
    sha256 bytea NOT NULL CHECK (length(sha256) = 32),
    alt_text text CHECK (length(alt_text) BETWEEN 1 AND 1000),
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT app_now()
);
CREATE UNIQUE INDEX media_assets_same ON media_assets (bot_id, sha256, coalesce(alt_text, ''));

CREATE TABLE media_chunks (
    asset_id uuid NOT NULL REFERENCES media_assets ON DELETE CASCADE,
    place integer NOT NULL,
    content bytea NOT NULL,
    PRIMARY KEY (asset_id, place)
);
ALTER TABLE media_chunks ALTER COLUMN content SET STORAGE EXTERNAL;

CREATE TABLE post_media (
    post_id uuid NOT NULL REFERENCES posts ON DELETE CASCADE,
    place smallint NOT NULL CHECK (place BETWEEN 1 AND 4),
    asset_id uuid NOT NULL REFERENCES media_assets,
    PRIMARY KEY (post_id, place)
);

-- An upload is for one attempt of one post: the key that X gave it tells that attempt's post from any other's.
CREATE TABLE media_uploads (
    id uuid PRIMARY KEY DEFAULT uuid_v7(),
    post_id uuid NOT NULL,
    place smallint NOT NULL,
    started_at timestamptz NOT NULL DEFAULT app_now(),
    lease_until timestamptz NOT NULL,
    ended text CHECK (ended IN ('ready', 'failed')),
    problem text,
    x_media_id text,
    media_key text,
    expires_at timestamptz,
    attempt_id uuid REFERENCES publish_attempts,
    FOREIGN KEY (post_id, place) REFERENCES post_media ON DELETE CASCADE,
    CHECK ((ended = 'ready') <= (x_media_id IS NOT NULL AND expires_at IS NOT NULL))
);
CREATE INDEX media_uploads_of_post ON media_uploads (post_id, place);
CREATE INDEX media_uploads_of_attempt ON media_uploads (attempt_id) WHERE attempt_id IS NOT NULL;

-- Every picture and film of a post lies at X, and will until it is used.
CREATE FUNCTION media_ready(wanted posts) RETURNS boolean LANGUAGE sql STABLE AS
$$
    SELECT wanted.media_count = 0 OR wanted.media_count = (
        SELECT count(DISTINCT place) FROM media_uploads WHERE post_id = wanted.id AND ended = 'ready'
            AND attempt_id IS NULL AND expires_at > app_now() + interval '1 minute')
$$;

GRANT SELECT, INSERT, UPDATE, DELETE ON post_revisions, media_assets, media_chunks, post_media, media_uploads
    TO vivesphere_app;
GRANT SELECT ON post_revisions, media_assets, post_media, media_uploads TO vivesphere_reader;
