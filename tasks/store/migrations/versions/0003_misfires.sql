-- After this instant a post is not sent as it stands. A later part of a thread is as late as the parts before made it,
-- so that it is not skipped for that.
CREATE FUNCTION misfires_at(post posts, late interval, grace interval) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS
$$
    SELECT least(post.expires_at, CASE
        WHEN post.misfire = 'next_window' THEN 'infinity'
        WHEN post.misfire = 'skip' AND coalesce(post.thread_place, 1) = 1 THEN post.planned_at + late
        ELSE post.planned_at + coalesce(post.misfire_within, grace)
    END)
$$;

-- For a bot's turns in the catch-up: those given out, and when it last spoke.
ALTER TABLE posts ADD COLUMN turn_at timestamptz;
COMMENT ON COLUMN posts.turn_at IS 'the turn that the catch-up gave it when it was late';
CREATE INDEX posts_turns ON posts (bot_id, turn_at) WHERE turn_at IS NOT NULL;
CREATE INDEX publish_attempts_of_bot ON publish_attempts (bot_id, marked_at);
