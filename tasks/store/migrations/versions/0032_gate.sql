-- What each post says, as the gate compares it: MinHash bands of its normal form, and what it carries.
CREATE TABLE text_fingerprints (
    post_id uuid PRIMARY KEY REFERENCES posts (id) ON DELETE CASCADE,
    bot_id uuid NOT NULL REFERENCES bots (id),
    bands integer[] NOT NULL,
    carried text[] NOT NULL,
    made_at timestamptz NOT NULL DEFAULT app_now()
);
COMMENT ON COLUMN text_fingerprints.carried IS 'links, hashtags and quoted posts';
COMMENT ON COLUMN text_fingerprints.made_at IS
    'since when it says this: of two that are alike the younger is refused';
-- Without a list of pending entries, which every search would read through.
CREATE INDEX text_fingerprints_bands ON text_fingerprints USING gin (bands) WITH (fastupdate = off);
CREATE INDEX text_fingerprints_carried ON text_fingerprints USING gin (carried) WITH (fastupdate = off);
CREATE INDEX posts_replies ON posts (reply_to_x_post_id) WHERE reply_to_x_post_id IS NOT NULL;

-- Who let pass what a rule wants a person to see. The mark asks the verdict alone, as before.
ALTER TABLE verdicts ADD COLUMN approved_by text;

CREATE TABLE approvals (
    id uuid PRIMARY KEY DEFAULT uuid_v7(),
    post_id uuid NOT NULL REFERENCES posts (id) ON DELETE CASCADE,
    revision integer NOT NULL,
    text_hash bytea NOT NULL,
    rules text[] NOT NULL CHECK (rules <> '{}'),
    asked_by text NOT NULL,
    asked_at timestamptz NOT NULL DEFAULT app_now(),
    expires_at timestamptz NOT NULL,
    decision text CHECK (decision IN ('approved', 'rejected', 'void', 'expired')),
    decided_by text,
    decided_at timestamptz,
    comment text,
    CHECK ((decision IS NULL) = (decided_at IS NULL))
);
COMMENT ON COLUMN approvals.text_hash IS 'an approval is for these words; others need their own';
COMMENT ON COLUMN approvals.rules IS 'which rules asked';
CREATE UNIQUE INDEX approvals_one_open ON approvals (post_id) WHERE decision IS NULL;
CREATE INDEX approvals_of_post ON approvals (post_id, id);

GRANT SELECT, INSERT, UPDATE, DELETE ON text_fingerprints, approvals TO vivesphere_app;
GRANT SELECT ON text_fingerprints, approvals TO vivesphere_reader;
