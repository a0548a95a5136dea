"""What `pgoutput`, PostgreSQL's own plugin for logical decoding, sends: its messages, in version 1 of its protocol.

A value is kept as the bytes that COPY in its binary format has for a text: its length, and the text in UTF-8.
"""

from struct import Struct
from typing import NamedTuple

BEGIN, COMMIT, RELATION, INSERT, UPDATE, DELETE, TRUNCATE = b"BCRIUDT"

NULL = b"\xff\xff\xff\xff"
# The source does not send a large value that an update has left as it was.
KEPT = b""

_TEXT, _NULL, _NEW, _OLD, _OLD_KEY = b"tnNOK"
_COUNT, _LENGTH, _RELATION, _LSN = Struct(">H"), Struct(">i"), Struct(">I"), Struct(">Q")


class Relation(NamedTuple):
    """A table as it was when its next changes were made: its columns, and which identify a row."""

    columns: tuple[str, ...]
    identity: tuple[bool, ...]


class Change(NamedTuple):
    """A row that changed: its values in the order of the relation's columns.

    Attributes:
        relation: the oid of the relation.
        new: None of a delete.
        old: where the source sends it: of deletes, of changed keys, and of all updates if the identity is full.
        is_old_whole: whether `old` has all values; else those that identify the row.
    """

    relation: int
    new: list[bytes] | None
    old: list[bytes] | None
    is_old_whole: bool


def number_of(message: bytes) -> int:
    """Of a message INSERT, UPDATE or DELETE: the oid of the relation."""
    return _RELATION.unpack_from(message, 1)[0]


def committed_at(message: bytes) -> int:
    """Of a message BEGIN: the LSN of the transaction's commit."""
    return _LSN.unpack_from(message, 1)[0]


def relation(message: bytes) -> tuple[int, Relation]:
    """Of a message RELATION: its oid, by which changes name it, and what it is."""
    number = _RELATION.unpack_from(message, 1)[0]
    _schema, _name, rest = message[5:].split(b"\0", 2)
    columns, identity, at = [], [], 3
    for _ in range(_COUNT.unpack_from(rest, 1)[0]):
        end = rest.index(b"\0", at + 1)
        identity.append(bool(rest[at] & 1))
        columns.append(rest[at + 1 : end].decode())
        at = end + 9
    return number, Relation(tuple(columns), tuple(identity))


def truncated(message: bytes) -> list[int]:
    """Of a message TRUNCATE: the oids of the relations."""
    count = _RELATION.unpack_from(message, 1)[0]
    return [_RELATION.unpack_from(message, 6 + 4 * n)[0] for n in range(count)]


def change(message: bytes) -> Change:
    """Of a message INSERT, UPDATE or DELETE."""
    number, at, old, is_whole = _RELATION.unpack_from(message, 1)[0], 5, None, False
    if message[at] in (_OLD, _OLD_KEY):
        is_whole = message[at] == _OLD
        old, at = _values(message, at + 1)
    new = _values(message, at + 1)[0] if at < len(message) and message[at] == _NEW else None
    return Change(number, new, old, is_whole)


def _values(message: bytes, at: int) -> tuple[list[bytes], int]:
    count, values = _COUNT.unpack_from(message, at)[0], []
    at += 2
    for _ in range(count):
        kind = message[at]
        if kind == _TEXT:
            end = at + 5 + _LENGTH.unpack_from(message, at + 1)[0]
            values.append(message[at + 1 : end])
            at = end
        else:
            values.append(NULL if kind == _NULL else KEPT)
            at += 1
    return values, at
