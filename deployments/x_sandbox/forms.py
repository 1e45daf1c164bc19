"""The parts of a request's form, in either of the two ways to write one."""

import io
from typing import Any
from urllib.parse import parse_qsl

from python_multipart import parse_form

from deployments.x_sandbox.call import Call


def form_parts(call: Call) -> dict[str, bytes]:
    """Fields and files by name. Raises FormParserError, or ValueError where the content type is of neither kind."""
    if call.content_type.startswith("application/x-www-form-urlencoded"):
        return {name.decode(): value for name, value in parse_qsl(call.body, keep_blank_values=True)}
    parts: dict[str, bytes] = {}

    def keep_field(part: Any) -> None:
        parts[_name(part)] = part.value or b""

    def keep_file(part: Any) -> None:
        part.file_object.seek(0)
        parts[_name(part)] = part.file_object.read()

    headers = {"Content-Type": call.content_type.encode("latin-1"), "Content-Length": b"%d" % len(call.body)}
    parse_form(headers, io.BytesIO(call.body), keep_field, keep_file)
    return parts


def _name(part: Any) -> str:
    return str((part.field_name or b"").decode())
