ALTER TABLE bots ADD COLUMN adopting boolean NOT NULL DEFAULT false;
CREATE INDEX bots_adopting ON bots (id) WHERE adopting;
