-- One row a version of a credential. What readers use is what the label in the vault says; this says how far we are, so
-- that whoever comes after a kill goes on. `facts` holds names and numbers, never a secret.
CREATE TABLE rotations (
    id uuid PRIMARY KEY DEFAULT uuid_v7(),
    kind text NOT NULL CHECK (kind ~ '^[a-z][a-z0-9_]{0,49}$'),
    subject text NOT NULL CHECK (length(subject) BETWEEN 1 AND 200),
    version integer NOT NULL,
    state text NOT NULL
        CHECK (state IN ('begun', 'created', 'set', 'tested', 'current', 'previous', 'removed', 'abandoned')),
    facts jsonb NOT NULL DEFAULT '{}',
    problem text,
    asked_by text NOT NULL,
    begun_at timestamptz NOT NULL DEFAULT app_now(),
    stepped_at timestamptz NOT NULL DEFAULT app_now(),
    current_at timestamptz,
    remove_at timestamptz,
    ended_at timestamptz,
    lease_epoch integer NOT NULL DEFAULT 0,
    lease_until timestamptz,
    UNIQUE (kind, subject, version),
    CHECK ((state = 'previous') <= (remove_at IS NOT NULL)),
    CHECK ((state IN ('removed', 'abandoned')) = (ended_at IS NOT NULL))
);
COMMENT ON COLUMN rotations.facts IS 'names and numbers that the kind needs to go on; never a secret';
-- C2: one that readers use, one on its way, one within its grace.
CREATE UNIQUE INDEX rotations_one_current ON rotations (kind, subject) WHERE state = 'current';
CREATE UNIQUE INDEX rotations_one_pending ON rotations (kind, subject)
    WHERE state IN ('begun', 'created', 'set', 'tested');
CREATE UNIQUE INDEX rotations_one_previous ON rotations (kind, subject) WHERE state = 'previous';

GRANT SELECT, INSERT, UPDATE ON rotations TO vivesphere_app;
GRANT SELECT ON rotations TO vivesphere_reader;
