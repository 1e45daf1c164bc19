"""The log files of all our programs: JSON lines under VIVESPHERE_HOME/logs, one file a category.

Several processes write the same file; each line is written under a file lock, and so is the rotation.
"""

import json
import logging
import re
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from concurrent_log_handler import ConcurrentRotatingFileHandler

from config.places import Places

CATEGORIES = ("activity", "security", "debug")
# Attributes that a caller may hand over in `extra`; everything else stays out of the files.
EXTRAS = ("actor", "action", "subject", "details")
HIDDEN = "[hidden]"

# Libraries whose INFO lines hold whole addresses, and with them tokens and codes.
TALKATIVE = ("httpx", "httpcore", "hvac", "urllib3")

_SECRET_NAME = re.compile(
    r"(password|passwd|secret|token|authorization|cookie|verifier|api_?key|auth_string|private)", re.IGNORECASE
)
_SECRET_TEXTS = (
    # Authorization headers, whatever their scheme.
    (re.compile(r"\b(Bearer|Basic)\s+[^\s'\",;]+", re.IGNORECASE), rf"\1 {HIDDEN}"),
    # Names that only a credential has, in forms, headers and JSON.
    (
        re.compile(
            r"((?:access_token|refresh_token|client_secret|code_verifier|password|secret_id)['\"]?\s*[=:]\s*['\"]?)"
            r"[^\s&'\",;)}]+",
            re.IGNORECASE,
        ),
        rf"\1{HIDDEN}",
    ),
    # Names that may mean something else anywhere but in an address.
    (re.compile(r"([?&](?:token|code|state|secret|key)=)[^\s&'\",;)}]+", re.IGNORECASE), rf"\1{HIDDEN}"),
    # Our own API keys and access tokens.
    (re.compile(r"\b([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}):[A-Za-z0-9_-]{20,}"), rf"\1:{HIDDEN}"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+"), HIDDEN),
    # What others' credentials look like by themselves: private keys, the vault's tokens, common makers of API keys.
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), HIDDEN),
    (re.compile(r"\b(?:hv[sb]\.|s\.|ghp_|gho_|github_pat_|glpat-|xox[abpr]-|sk-|AKIA)[A-Za-z0-9_.-]{16,}"), HIDDEN),
)


def configure(program: str, places: Places) -> None:
    """Send this process's logs to the files; `program` stands in each line. Warnings go to the console as well.

    The second call in a process changes nothing but the name of the program.
    """
    folder = places.logs
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    wanted = places.settings.logs
    root = logging.getLogger()
    for console in [one for one in root.handlers if isinstance(one, _Console)]:
        root.removeHandler(console)
    root.addHandler(_Console())
    for category in CATEGORIES:
        logger = logging.getLogger(f"vivesphere.{category}")
        # What is no category of its own, such as a library's warning, belongs to the debug log.
        listening = (logger, root) if category == "debug" else (logger,)
        for one in listening:
            for handler in [known for known in one.handlers if isinstance(known, ConcurrentRotatingFileHandler)]:
                one.removeHandler(handler)
                handler.close()
        file = ConcurrentRotatingFileHandler(
            str(folder / f"{category}.jsonl"),
            maxBytes=wanted.file_bytes,
            backupCount=wanted.files_kept,
            encoding="utf-8",
            chmod=0o600,
        )
        file.setFormatter(JsonLine(program, category))
        file.addFilter(_not_prefects_own)
        for one in listening:
            one.addHandler(file)
            one.setLevel(wanted.level if category == "debug" else logging.INFO)
        logger.propagate = False
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)


def redact(text: str) -> str:
    """`text` without what looks like a credential; a net below the rule that nobody logs one."""
    for pattern, replacement in _SECRET_TEXTS:
        text = pattern.sub(replacement, text)
    return text


class JsonLine(logging.Formatter):
    """One record as one line of JSON."""

    def __init__(self, program: str, category: str) -> None:
        super().__init__()
        self._program = program
        self._category = category

    def format(self, record: logging.LogRecord) -> str:
        """The line; fields that a record lacks are left out."""
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "category": self._category,
            "level": record.levelname.lower(),
            "program": self._program,
            "process": record.process,
            "logger": record.name,
            "message": redact(record.getMessage()),
        }
        line |= {name: _clean(getattr(record, name), name) for name in EXTRAS if hasattr(record, name)}
        if record.exc_info and record.exc_info[1]:
            line["exception"] = redact("".join(traceback.format_exception(record.exc_info[1])))
        return json.dumps(line, ensure_ascii=False, default=str)


class _Console(logging.StreamHandler[Any]):
    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self.setLevel(logging.WARNING)
        self.setFormatter(_PlainLine("%(levelname)s %(name)s: %(message)s"))
        self.addFilter(_not_prefects_own)


class _PlainLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def _not_prefects_own(record: logging.LogRecord) -> bool:
    """Runs log to Prefect's server, where their pages show it; a second copy would cost each line a file lock."""
    return not record.name.startswith("prefect")


def cleaned(value: Any) -> Any:
    """`value` without what looks like a credential, by the names of its fields and by its texts."""
    return _clean(value, "")


def _clean(value: Any, name: str) -> Any:
    if _SECRET_NAME.search(name):
        return HIDDEN
    if isinstance(value, Mapping):
        return {redact(str(key)): _clean(below, str(key)) for key, below in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_clean(item, "") for item in value]
    return redact(value) if isinstance(value, str) else value
