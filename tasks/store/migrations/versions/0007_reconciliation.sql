-- An attempt whose answer was lost and that X does not have, by evidence or by a person's word.
ALTER TABLE publish_attempts
    DROP CONSTRAINT publish_attempts_ended_check,
    ADD CONSTRAINT publish_attempts_ended_check CHECK (ended IN
        ('accepted', 'not_sent', 'throttled', 'refused', 'unauthorized', 'unknown', 'not_arrived')),
    ADD COLUMN look_at timestamptz;
COMMENT ON COLUMN publish_attempts.look_at IS 'when the timeline is looked at next; whoever looks moves it, and so holds it';
CREATE INDEX publish_attempts_in_doubt ON publish_attempts (look_at) WHERE ended = 'unknown';
CREATE INDEX publish_attempts_unsettled ON publish_attempts (sender_id) WHERE ended IS NULL OR ended = 'unknown';

-- Said while nobody knew whether X has the post: it is not sent again, and deleted where it is found.
ALTER TABLE posts
    ADD COLUMN cancel_wanted_at timestamptz,
    ADD COLUMN cancel_wanted_by text,
    ADD CHECK ((cancel_wanted_at IS NULL) = (cancel_wanted_by IS NULL));
CREATE INDEX posts_uncertain ON posts (due_at) WHERE status IN ('unknown', 'held');
CREATE INDEX posts_to_delete ON posts (cancel_wanted_at) WHERE status = 'published' AND cancel_wanted_at IS NOT NULL;

-- Every look at a timeline for an attempt in doubt, and what it led to.
CREATE TABLE reconcile_looks (
    id uuid PRIMARY KEY DEFAULT uuid_v7(),
    attempt_id uuid NOT NULL REFERENCES publish_attempts,
    looked_at timestamptz NOT NULL,
    seen text NOT NULL CHECK (seen IN ('marked', 'alike', 'several', 'none', 'unreadable')),
    x_post_ids text[] NOT NULL DEFAULT '{}',
    verdict text NOT NULL CHECK (verdict IN ('wait', 'published', 'scheduled', 'cancelled', 'refused', 'held')),
    reason text NOT NULL
);
CREATE INDEX reconcile_looks_of_attempt ON reconcile_looks (attempt_id, looked_at);

GRANT SELECT, INSERT ON reconcile_looks TO vivesphere_app;
GRANT SELECT ON reconcile_looks TO vivesphere_reader;
