"""What is wrong with a declaration, in words that say what would be right."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel, ValidationError


class Wrong(NamedTuple):
    """A mistake: the field and what is wrong with it, or would be right."""

    field: str
    words: str


def one_of(names: Iterable[str]) -> str:
    """The names for people: `a, b or c`."""
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last


_SAID = {
    "missing": "it is missing",
    "model_type": "it must be a mapping",
    "dict_type": "it must be a mapping",
    "list_type": "it must be a list",
    "too_short": "it must not be empty",
    "string_too_short": "it must not be empty",
    "string_too_long": "it is too long",
    "string_pattern_mismatch": "it has another form",
    "too_long": "it must have one entry",
}


def wrong_of_fields(error: ValidationError, model: type[BaseModel]) -> Iterator[Wrong]:
    """pydantic's errors in our words, without the value that was given: it may be a secret in the wrong place."""
    known = [field.alias or name for name, field in model.model_fields.items()]
    for found in error.errors(include_url=False, include_input=False, include_context=False):
        place = [str(step) for step in found["loc"] if step != "[key]"]
        field = ".".join(place)
        if found["type"] == "extra_forbidden":
            names = known if len(place) == 1 else list(_inner(model, place[0]))
            near = get_close_matches(place[-1], names, n=1, cutoff=0.75)
            hint = f"is it {near[0]}?" if near else f"there are {', '.join(names)}"
            yield Wrong(field, f"there is no such field here; {hint}")
            continue
        words = _SAID.get(found["type"]) or found["msg"].replace("Input should", "it must")
        if hint := _description(model, place):
            words += f"; it is {hint}"
        yield Wrong(field, words)


def _inner(model: type[BaseModel], field: str) -> dict[str, Any]:
    """The fields of a field that has some, by the names that the file has."""
    said = model.model_fields[field].annotation
    for inner in (said, *get_args(said)):
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            return {field.alias or name: field for name, field in inner.model_fields.items()}
    return {}


def _description(model: type[BaseModel], place: list[str]) -> str | None:
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    field = fields.get(place[0])
    inner = _inner(model, place[0]).get(place[1]) if field and len(place) > 1 else None
    return (inner or field).description if field else None
