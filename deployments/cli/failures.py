"""What a command says when it cannot do what it was asked, and with which code it ends."""

from config.loading import SettingsError
from config.places import NotStartedError

FAILED, USAGE, REFUSED, PERSON_NEEDED = 1, 2, 3, 4


class CommandError(Exception):
    """A command ends here: `text` says what, where and what to do."""

    def __init__(self, text: str, code: int = FAILED) -> None:
        super().__init__(text)
        self.text = text
        self.code = code


def explain(error: Exception) -> CommandError | None:
    """The words and the code for an error that a person can put right; None for a fault of ours."""
    match error:
        case CommandError():
            return error
        case SettingsError():
            return CommandError(str(error), USAGE)
        case NotStartedError():
            return CommandError(str(error), FAILED)
    return None
