"""Rotation: one kind of credential a file; each says what is due and renews it."""
