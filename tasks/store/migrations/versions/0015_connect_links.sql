-- Links by which the owner of an account on X connects it again without a login here. The secret stands in the link
-- alone. `x_user_id` is the account that was connected before: no other one may come back through this link.
CREATE TABLE connect_links (
    id uuid PRIMARY KEY DEFAULT uuid_v7(),
    bot_id uuid NOT NULL REFERENCES bots (id),
    x_user_id text,
    secret_sha256 bytea NOT NULL UNIQUE CHECK (length(secret_sha256) = 32),
    made_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT app_now(),
    expires_at timestamptz NOT NULL,
    ended_at timestamptz
);
-- A new link voids the one before.
CREATE UNIQUE INDEX connect_links_one_open ON connect_links (bot_id) WHERE ended_at IS NULL;

ALTER TABLE consents ADD COLUMN connect_link_id uuid REFERENCES connect_links (id);

GRANT SELECT, INSERT, UPDATE ON connect_links TO vivesphere_app;
GRANT SELECT (id, bot_id, x_user_id, made_by, created_at, expires_at, ended_at) ON connect_links TO vivesphere_reader;
