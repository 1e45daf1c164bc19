-- Where operators are told. Addresses and secrets are in the vault; here is what people may see of a channel.
CREATE TABLE notification_channels (
    id uuid PRIMARY KEY DEFAULT uuid_v7(),
    name text NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9_-]{0,49}$'),
    kind text NOT NULL CHECK (kind IN ('webhook', 'slack', 'email')),
    host text NOT NULL CHECK (length(host) BETWEEN 1 AND 300),
    about text[] NOT NULL DEFAULT '{}',
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT app_now(),
    removed_at timestamptz
);
COMMENT ON COLUMN notification_channels.about IS 'what it wants to hear of; empty is everything';
CREATE UNIQUE INDEX notification_channels_name ON notification_channels (name) WHERE removed_at IS NULL;

-- What was told where, or is still to be told.
CREATE TABLE notification_deliveries (
    id uuid PRIMARY KEY DEFAULT uuid_v7(),
    channel_id uuid NOT NULL REFERENCES notification_channels,
    about text NOT NULL,
    key text NOT NULL CHECK (length(key) BETWEEN 1 AND 300),
    alarm jsonb NOT NULL,
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sent', 'failed')),
    tries integer NOT NULL DEFAULT 0,
    problem text,
    created_at timestamptz NOT NULL DEFAULT app_now(),
    next_at timestamptz NOT NULL DEFAULT app_now(),
    ended_at timestamptz,
    CHECK ((state = 'pending') = (ended_at IS NULL))
);
COMMENT ON COLUMN notification_deliveries.next_at IS 'when it is tried next; whoever tries moves it, and so holds it';
CREATE INDEX notification_deliveries_of_key ON notification_deliveries (channel_id, key, created_at);
CREATE INDEX notification_deliveries_pending ON notification_deliveries (next_at) WHERE state = 'pending';
CREATE INDEX notification_deliveries_ended ON notification_deliveries (ended_at) WHERE state <> 'pending';

GRANT SELECT, INSERT, UPDATE ON notification_channels TO vivesphere_app;
GRANT SELECT ON notification_deliveries TO vivesphere_app;
-- Who tells operators reads what there is to tell, reads no secret of a bot, and writes nothing but that it was told.
GRANT SELECT ON notification_channels TO vivesphere_reader;
GRANT SELECT, INSERT, UPDATE, DELETE ON notification_deliveries TO vivesphere_reader;
GRANT SELECT ON settings_revisions, settings_changes TO vivesphere_reader;
GRANT SELECT (id, user_id, name, ends_at, revoked_at, replaced_at) ON api_keys TO vivesphere_reader;
GRANT SELECT (id, username) ON users TO vivesphere_reader;
GRANT UPDATE (flow_run_id) ON run_requests TO vivesphere_reader;
