"""Records as they came, in a form that `jsonb` can hold."""

import json
import re
from decimal import Decimal

# What Python takes for JSON and jsonb does not: a NUL, half a surrogate pair, a number beyond numeric, NaN.
_SUSPICIOUS = re.compile(r"\\u0000|\\u[dD][89a-fA-F]|[eE][+-]?\d{4}|NaN|Infinity")
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


def payload(record: str) -> str:
    """A record's own JSON text, or `{"_unreadable": <the text>}` when it is no object that `jsonb` can hold."""
    if record.startswith("{") and (not _SUSPICIOUS.search(record) or _fits_jsonb(record)):
        return record
    return unreadable(record)


def unreadable(text: str) -> str:
    """The payload of a record that could not be read, for SQL to refuse."""
    return json.dumps({"_unreadable": text.replace("\0", "\\u0000")}, ensure_ascii=False)


def _fits_jsonb(record: str) -> bool:
    if _NUL.search(record):
        return False
    try:
        parsed = json.loads(record, parse_float=_number, parse_int=str, parse_constant=_number)
        json.dumps(parsed, ensure_ascii=False).encode()
    except (UnicodeEncodeError, OverflowError):
        return False
    return True


def _number(text: str) -> str:
    if text[-1].isalpha() or abs(Decimal(text).adjusted()) > 10_000:
        raise OverflowError(text)
    return text
