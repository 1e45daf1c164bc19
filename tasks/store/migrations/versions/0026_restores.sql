-- An epoch begins where another stack may be at work with the same accounts: after a restore, and after this stack was
-- handed over to another. It ends when a person takes over. Only the admin of the database writes here, so that no
-- process of the stack can begin to post or refresh by itself.
CREATE TABLE restore_epochs (
    epoch integer PRIMARY KEY CHECK (epoch > 0),
    kind text NOT NULL CHECK (kind IN ('restored', 'handed_over')),
    backup_at timestamptz NOT NULL,
    origin_host text NOT NULL,
    origin_home text NOT NULL,
    tokens_unused boolean NOT NULL,
    stop_id uuid NOT NULL REFERENCES stops (id),
    sender_id uuid NOT NULL REFERENCES senders (id),
    begun_at timestamptz NOT NULL DEFAULT app_now(),
    begun_by text NOT NULL,
    ended_at timestamptz,
    ended_by text,
    CHECK ((ended_at IS NULL) = (ended_by IS NULL))
);
COMMENT ON COLUMN restore_epochs.backup_at IS 'what the other stack did from then on is not known here';
COMMENT ON COLUMN restore_epochs.tokens_unused IS
    'the other stack was handed over, so it refreshed no token after the backup';
COMMENT ON COLUMN restore_epochs.sender_id IS 'stands for the other stack; it dies when a person takes over';
CREATE UNIQUE INDEX restore_epochs_one_open ON restore_epochs ((ended_at IS NULL)) WHERE ended_at IS NULL;

-- A backup holds it exclusively, a refresh shares it for the length of its mark: no token changes while vault and
-- database are copied one after the other. It goes with the session of whoever held it.
CREATE FUNCTION refresh_key() RETURNS bigint LANGUAGE sql IMMUTABLE AS $$ SELECT 7310018::bigint $$;

-- Whether a refresh token may be sent now; asked by the very statement that marks it.
CREATE FUNCTION may_refresh() RETURNS boolean LANGUAGE sql VOLATILE AS
$$
    SELECT pg_try_advisory_xact_lock_shared(refresh_key())
        AND NOT EXISTS (SELECT 1 FROM restore_epochs WHERE ended_at IS NULL)
$$;

GRANT SELECT ON restore_epochs TO vivesphere_app, vivesphere_reader;
