-- What has ended since the last look is counted for whoever watches.
CREATE INDEX publish_attempts_ended ON publish_attempts (ended_at) WHERE ended IS NOT NULL;
