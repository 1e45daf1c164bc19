-- The gateway may not touch every secret, so a person's word is noted here, and whoever rotates ends the version.
ALTER TABLE rotations ADD COLUMN given_up_by text;
