-- A bot may sign with OAuth 1.0a credentials, and an outside service has a key that is neither a bot's nor an app's.
ALTER TABLE credentials DROP CONSTRAINT credentials_kind_check;
ALTER TABLE credentials ADD CONSTRAINT credentials_kind_check
    CHECK (kind IN ('x_user_access', 'x_user_refresh', 'x_user_oauth1', 'x_app_client', 'service'));
ALTER TABLE credentials ADD COLUMN service text CHECK (length(service) BETWEEN 1 AND 100);
ALTER TABLE credentials DROP CONSTRAINT credentials_check;
ALTER TABLE credentials ADD CONSTRAINT credentials_of_one CHECK (num_nonnulls(bot_id, x_app_id, service) = 1);
ALTER TABLE credentials ADD CONSTRAINT credentials_of_service CHECK ((kind = 'service') = (service IS NOT NULL));

-- What programs hand in for debugging stands beside who did what.
ALTER TABLE activity_log DROP CONSTRAINT activity_log_category_check;
ALTER TABLE activity_log ADD CONSTRAINT activity_log_category_check
    CHECK (category IN ('activity', 'security', 'debug'));
DROP INDEX activity_log_newest;
CREATE INDEX activity_log_newest ON activity_log (at, id);
CREATE INDEX audit_log_newest ON audit_log (at, id);

-- Changes that were sent with an Idempotency-Key. Neither the key, nor what was asked, nor what was answered stands here
-- in the clear: digests under a key of the vault, and an answer that opens with the sender's own key alone.
CREATE TABLE idempotency_keys (
    key_hmac bytea PRIMARY KEY CHECK (length(key_hmac) = 32),
    request_hmac bytea NOT NULL CHECK (length(request_hmac) = 32),
    claimed_at timestamptz NOT NULL DEFAULT app_now(),
    answered_at timestamptz,
    answer bytea,
    CHECK ((answered_at IS NULL) = (answer IS NULL))
);
CREATE INDEX idempotency_keys_oldest ON idempotency_keys (claimed_at);

GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency_keys TO vivesphere_app;
