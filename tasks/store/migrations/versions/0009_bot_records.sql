CREATE TABLE bot_records (
    id uuid PRIMARY KEY DEFAULT uuid_v7(),
    bot_id uuid NOT NULL REFERENCES bots,
    name text NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,99}$'),
    version integer NOT NULL CHECK (version >= 1),
    format text NOT NULL CHECK (format IN ('json', 'bytes')),
    wrapped_key text NOT NULL,
    nonce bytea NOT NULL CHECK (length(nonce) = 12),
    ciphertext bytea NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT app_now()
);
COMMENT ON COLUMN bot_records.wrapped_key IS 'one half of the key, wrapped by the vault; the other half is the bot''s own';
CREATE UNIQUE INDEX bot_records_one ON bot_records (bot_id, name, version);

-- That a bot's data was made unreadable: what was there, and the version of the key that is gone.
CREATE TABLE bot_forgettings (
    bot_id uuid PRIMARY KEY REFERENCES bots,
    records integer NOT NULL,
    ciphertext_sha256 bytea NOT NULL CHECK (length(ciphertext_sha256) = 32),
    reason text NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
    forgotten_by text NOT NULL,
    forgotten_at timestamptz NOT NULL DEFAULT app_now()
);
COMMENT ON COLUMN bot_forgettings.ciphertext_sha256 IS 'of all ciphertexts in the order of their ids';

GRANT SELECT, INSERT, UPDATE, DELETE ON bot_records TO vivesphere_app;
GRANT SELECT, INSERT ON bot_forgettings TO vivesphere_app;
GRANT SELECT ON bot_forgettings TO vivesphere_reader;
