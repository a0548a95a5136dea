"""The records in an API's JSON answer, each with its exact text, and what stands beside them."""

import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from extract_load.payload import STRING

_TOKEN = re.compile(rf"{STRING}|[\[\]{{}}]", re.DOTALL)
_SPACE = re.compile(r"[ \t\r\n]*")
# Numbers stay text: the record lands as it was written, and these values are only looked at.
_DECODER = json.JSONDecoder(parse_float=str, parse_int=str)


class Record(NamedTuple):
    """One record: its JSON text as it came, and its value to look into (numbers as text)."""

    text: str
    value: Any


def look(value: Any, path: str) -> Any:
    """The member at a path such as `buyer.id`; None if there is none. A name may have dots: `@odata.count`."""
    while isinstance(value, dict):
        if path in value:
            return value[path]
        head, dot, path = path.partition(".")
        value = value.get(head) if dot else None
    return None


def split(content: bytes, path: str | None) -> tuple[dict[str, Any], list[Record]]:
    """The members of an answer beside its records, and the records of the list at a path (None: the answer itself).

    A parser would make floats of the numbers; so the list is walked record by record.

    Raises:
        ValueError: it is not JSON, or has no list there.
    """
    records: list[Record] = []
    found = False

    def the_list(body: str, at: int) -> int:
        nonlocal found
        found = True
        return _walk(body, at, "[]", lambda body, at: _record(body, at, records))

    def an_object(body: str, at: int, members: dict[str, Any], rest: str) -> int:
        def member(body: str, at: int) -> int:
            name, at = _DECODER.raw_decode(body, at)
            at = _expect(body, at, ":")
            if name == rest:
                return the_list(body, at)
            if isinstance(name, str) and rest.startswith(f"{name}.") and body[at : at + 1] == "{":
                return an_object(body, at, members.setdefault(name, {}), rest[len(name) + 1 :])
            members[name], at = _DECODER.raw_decode(body, at)
            return at

        return _walk(body, at, "{}", member)

    envelope: dict[str, Any] = {}
    try:
        body = content.decode()
        end = the_list(body, 0) if path is None else an_object(body, 0, envelope, path)
    except (TypeError, AttributeError, RecursionError):
        raise ValueError from None
    if body[end:].strip() or not found:
        raise ValueError
    return envelope, records


def _walk(body: str, at: int, brackets: str, element: Callable[[str, int], int]) -> int:
    """Step through an object or array, calling `element` at each of its elements; returns the position after it."""
    at = _expect(body, at, brackets[0])
    if body[at : at + 1] == brackets[1]:
        return at + 1
    while True:
        at = _past_space(body, element(body, at))
        if body[at : at + 1] == brackets[1]:
            return at + 1
        at = _expect(body, at, ",")


def _expect(body: str, at: int, character: str) -> int:
    at = _past_space(body, at)
    if body[at : at + 1] != character:
        raise ValueError
    return _past_space(body, at + 1)


def _past_space(body: str, at: int) -> int:
    found = _SPACE.match(body, at)
    return found.end() if found else at


def _record(body: str, at: int, records: list[Record]) -> int:
    try:
        value, end = _DECODER.raw_decode(body, at)
    except RecursionError:
        # Nested too deeply for a parser: it lands as unreadable, and the other records as usual.
        value, end = None, _end_of_deep(body, at)
    records.append(Record(body[at:end], value))
    return end


def _end_of_deep(body: str, at: int) -> int:
    """Where an object or list ends that is too deep to be parsed."""
    depth = 0
    for token in _TOKEN.finditer(body, at):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token[0], 0)
        if not depth:
            return token.end()
    raise ValueError
