"""Records as they came, in a form that `jsonb` can hold."""

import json
import re

# A record longer than this is unreadable: `jsonb` holds 256 MB, and takes up to six times the room of the text.
LARGEST_BYTES = 32 * 1024 * 1024
# What is kept of one that is longer, in characters.
KEPT = 1_000_000
# Deeper objects and lists are unreadable: PostgreSQL and Python walk them by recursion.
DEEPEST = 500
# PostgreSQL's `numeric`: digits before and after the point.
DIGITS_BEFORE, DIGITS_AFTER = 131_072, 16_383

# What Python takes for JSON and `jsonb` does not, or may not: a record with none of these, no longer than
# SHORT characters and with few brackets holds none of them.
_SUSPICIOUS = re.compile(r"\\u0000|\\u[dD][89a-fA-F]|[eE][+-]?\d{4}|NaN|Infinity")
SHORT = 10_000

_SURROGATE_PAIR = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_NUL_OR_SURROGATE = re.compile(r"\\u0000|\\u[dD][89a-fA-F]")
_NUMBER = re.compile(r"(\d++)(?:\.(\d++))?(?:[eE]([+-]?\d++))?")
STRING = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_STRING = re.compile(STRING, re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")


def payload(record: str) -> str:
    """A record's own JSON text, or `{"_unreadable": <the text>}` when it is no object that `jsonb` can hold."""
    if record.startswith("{") and (_is_plain(record) or _fits_jsonb(record)):
        return record
    return unreadable(record)


def unreadable(text: str) -> str:
    """The payload of a record that could not be read, for SQL to refuse.

    Of a text above `LARGEST_BYTES` it keeps the beginning, and its length as `_characters`.
    """
    kept = {"_unreadable": text}
    if _is_too_large(text):
        kept = {"_unreadable": text[:KEPT], "_characters": len(text)}
    kept["_unreadable"] = kept["_unreadable"].replace("\0", "\\u0000")
    return json.dumps(kept, ensure_ascii=False)


def _is_plain(record: str) -> bool:
    return len(record) <= SHORT and record.count("[") + record.count("{") <= DEEPEST and not _SUSPICIOUS.search(record)


def _is_too_large(text: str) -> bool:
    return len(text) * 4 > LARGEST_BYTES and (len(text) > LARGEST_BYTES or len(text.encode()) > LARGEST_BYTES)


def _fits_jsonb(record: str) -> bool:
    """Whether `jsonb` can hold this record, which is JSON as Python reads it; without parsing it, so at any depth."""
    if _is_too_large(record):
        return False
    escapes = _SURROGATE_PAIR.sub("", record.replace("\\\\", ""))
    if _NUL_OR_SURROGATE.search(escapes):
        return False
    bare = _STRING.sub("", record)
    if "NaN" in bare or "Infinity" in bare:
        return False
    depth = 0
    for bracket in _BRACKET.findall(bare):
        depth += 1 if bracket in "[{" else -1
        if depth > DEEPEST:
            return False
    return all(_fits_numeric(*found.groups()) for found in _NUMBER.finditer(bare))


def _fits_numeric(whole: str, decimals: str | None, exponent: str | None) -> bool:
    # Python refuses to read an int of thousands of digits; an exponent of eight is too large anyway.
    if exponent and len(exponent) > 8:
        return False
    shift = int(exponent or 0)
    return len(whole) + shift <= DIGITS_BEFORE and len(decimals or "") - shift <= DIGITS_AFTER
