"""What a password must be. Length is what counts: rules about kinds of characters make people write it down."""

CHARACTERS_MIN = 12
CHARACTERS_MAX = 1000
DIFFERENT_MIN = 5


def objection(password: str, username: str) -> str | None:
    """Why this is no password for this user, as a sentence that does not repeat it; None if it is one."""
    if len(password) < CHARACTERS_MIN:
        return f"a password has at least {CHARACTERS_MIN} characters; a few words in a row are fine"
    if len(password) > CHARACTERS_MAX:
        return f"a password has at most {CHARACTERS_MAX} characters"
    if len(set(password)) < DIFFERENT_MIN:
        return f"a password has at least {DIFFERENT_MIN} different characters"
    if username.lower() in password.lower() and len(password) < len(username) + CHARACTERS_MIN:
        return "a password is more than the user's name"
    return None
