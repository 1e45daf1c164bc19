-- Each statement in here has a snapshot of its own: the posts are those of the attempts as they stand once these are held.
CREATE FUNCTION hold_attempts(attempt_ids uuid[]) RETURNS void LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS
$$
BEGIN
    PERFORM 1 FROM publish_attempts WHERE id = ANY (attempt_ids) ORDER BY id FOR UPDATE;
    PERFORM 1 FROM posts WHERE id IN (SELECT post_id FROM publish_attempts WHERE id = ANY (attempt_ids))
        ORDER BY id FOR UPDATE;
END
$$;
