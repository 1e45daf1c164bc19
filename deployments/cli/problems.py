"""Words for what is wrong in a file that people write."""

import difflib
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel


def words(error: Any, model: type[BaseModel]) -> str:
    """What is wrong with one field and what to do, of an entry of pydantic's `errors()`."""
    match error["type"]:
        case "missing":
            return "is missing; add it"
        case "extra_forbidden":
            near = difflib.get_close_matches(str(error["loc"][-1]), names(model, error["loc"][:-1]), n=1)
            return f"there is no such field; did you mean {near[0]}?" if near else "there is no such field; remove it"
        case "value_error":
            return str(error["ctx"]["error"])
    said = str(error["msg"])
    return said[:1].lower() + said[1:]


def names(model: type[BaseModel], location: Sequence[Any]) -> list[str]:
    """Field names of the model that stands at `location` below `model`."""
    for part in location:
        if isinstance(part, str) and part in model.model_fields:
            below = _model_of(model.model_fields[part].annotation)
            if below is None:
                return []
            model = below
    return list(model.model_fields)


def _model_of(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        if (found := _model_of(inner)) is not None:
            return found
    return None
