ALTER TABLE api_keys ADD COLUMN replaced_at timestamptz;
DROP INDEX api_keys_name;
CREATE UNIQUE INDEX api_keys_name ON api_keys (user_id, name) WHERE revoked_at IS NULL AND replaced_at IS NULL;
