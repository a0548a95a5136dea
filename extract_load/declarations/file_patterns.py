"""What the name of a file says: whether it is read, of which day it is, what values it has, how it is written.

`*` is any text within a name, `?` one character, `**` any number of folders, `{name}` a value, `{csv,parquet}` one of
several words. A folder `region=*` is `region={region}`. What begins with `_` or `.` is matched by no `*`.
"""

import re
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import PurePosixPath
from typing import Literal, NamedTuple

Format = Literal["parquet", "csv", "json"]
Compression = Literal["gzip", "zstd"]
_FORMATS: dict[str, Format] = {
    ".parquet": "parquet",
    ".csv": "csv",
    ".jsonl": "json",
    ".ndjson": "json",
    ".json": "json",
}
_COMPRESSIONS: dict[str, Compression] = {".gz": "gzip", ".gzip": "gzip", ".zst": "zstd", ".zstd": "zstd"}
FORM_WORDS = ".parquet, .csv, .jsonl, .ndjson or .json, all but the first also with .gz or .zst"

# The values that make a day: what each looks like, and how it is written for people.
OF_DAY = {
    "year": ("[0-9]{4}", "YYYY"),
    "month": ("[0-9]{1,2}", "MM"),
    "day": ("[0-9]{1,2}", "DD"),
    "date": ("[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8}", "YYYY-MM-DD"),
}
_TOKEN = re.compile(r"\*|\?|\{([^{}]*)\}|[{}]")
_VALUE = re.compile(r"[a-z][a-z0-9_]*")
_HIVE = re.compile(r"([a-z][a-z0-9_]*)=\*")
_ANY_FOLDERS = "**"


class Pattern(NamedTuple):
    """A pattern, read.

    Attributes:
        start: the folder that all its files lie below, such as `sales`; empty: the place itself.
        folders, name: what the path of the folder, with a / at its end, and the name of the file must match.
        values: the names of the values that a path gives.
        named: those of them that were written as `{name}`, and make no day.
        has_day: True if a path says of which day its file is.
        is_one_file: True if it is the path of a file.
        folder_words, name_words: for people.
    """

    start: str
    folders: re.Pattern[str]
    name: re.Pattern[str]
    values: frozenset[str]
    named: frozenset[str]
    has_day: bool
    is_one_file: bool
    folder_words: str
    name_words: str

    @property
    def is_one_folder(self) -> bool:
        """True if all its files lie in one folder: `start`."""
        return self.folder_words == self.start

    def values_of(self, path: str) -> dict[str, str] | None:
        """What a file's path says; None: it is not of the pattern."""
        folder, slash, name = path.rpartition("/")
        in_folder, in_name = self.folders.fullmatch(folder + slash), self.name.fullmatch(name)
        return in_folder.groupdict() | in_name.groupdict() if in_folder and in_name else None

    def day_of(self, values: dict[str, str]) -> datetime | None:
        """Midnight, UTC, of the day that these values say; None: there is no such day, or they say none."""
        try:
            if "date" in values:
                text = values["date"].replace("-", "")
                parts = text[:4], text[4:6], text[6:]
            else:
                parts = values["year"], values["month"], values["day"]
            year, month, day = map(int, parts)
            midnight = datetime.combine(date(year, month, day), datetime.min.time(), UTC)
            # The last day of the calendar has no end.
            return midnight if midnight + timedelta(days=1) else None
        except (KeyError, ValueError, OverflowError):
            return None


@cache
def read_pattern(text: str) -> Pattern:
    """Read a pattern.

    Raises:
        ValueError: it is none; the message says what would be right.
    """
    *folders, name = text.split("/")
    if not name or any(part in ("", ".", "..") for part in folders):
        raise ValueError("it must be a path below the connection without .., ending in a file: sales/{date}/*.csv")
    if _ANY_FOLDERS in name or any(_ANY_FOLDERS in part and part != _ANY_FOLDERS for part in folders):
        raise ValueError("** stands for folders, between two /; write * for a part of a name")
    named = {found[1] for found in _TOKEN.finditer(text) if found[1] and _VALUE.fullmatch(found[1])}
    folders = [_HIVE.sub(r"\1={\1}", part) if _HIVE.fullmatch(part) else part for part in folders]
    values: list[str] = []
    regex = "".join(r"(?:(?![_.])[^/]+/)*" if part == _ANY_FOLDERS else f"{_regex(part, values)}/" for part in folders)
    # An ending in capitals is the same ending.
    name_regex = re.compile(_regex(name, values), re.IGNORECASE)
    if twice := sorted({value for value in values if values.count(value) > 1}):
        raise ValueError(f"the value {twice[0]} stands twice; write * in one of its places")
    fixed = next((at for at, part in enumerate(folders) if _TOKEN.search(part)), len(folders))
    return Pattern(
        "/".join(folders[:fixed]),
        re.compile(regex),
        name_regex,
        frozenset(values),
        frozenset(named - OF_DAY.keys()),
        "date" in values or {"year", "month", "day"} <= set(values),
        not _TOKEN.search(text),
        _words("/".join(folders)),
        _name_words(name),
    )


class Form(NamedTuple):
    """How a file is written."""

    format: Format
    compression: Compression | None


def form_of(name: str, said: Format | None, packed: Compression | Literal["none"] | None) -> Form | None:
    """How a file of this name is written, by what was said of it, else by its ending; None: nobody says it."""
    endings = PurePosixPath(name.lower()).suffixes
    by_ending = _COMPRESSIONS.get(endings[-1]) if endings else None
    if by_ending:
        endings.pop()
    compression = by_ending if packed is None else None if packed == "none" else packed
    format_ = said or (_FORMATS.get(endings[-1]) if endings else None)
    # What is packed can't be sought in, as a Parquet file must be.
    return Form(format_, compression) if format_ and not (format_ == "parquet" and compression) else None


def on_day(text: str, day: date) -> str:
    """The pattern of the files of one day."""
    written = {"year": f"{day:%Y}", "month": f"{day:%m}", "day": f"{day:%d}"}
    text = "/".join(_HIVE.sub(r"\1={\1}", part) if _HIVE.fullmatch(part) else part for part in text.split("/"))
    return re.sub(r"\{(year|month|day)\}", lambda found: written[found[1]], text)


def _regex(part: str, values: list[str]) -> str:
    """What a folder or a file of this name must match; the names of its values are added to `values`."""
    found, at = "", 0
    for token in _TOKEN.finditer(part):
        found += re.escape(part[at : token.start()])
        at = token.end()
        inner = token[1]
        if token[0] == "*":
            found += "[^/]*"
        elif token[0] == "?":
            found += "[^/]"
        elif inner and _VALUE.fullmatch(inner):
            values.append(inner)
            found += f"(?P<{inner}>{OF_DAY.get(inner, ('[^/]+',))[0]})"
        elif inner and "," in inner:
            found += f"(?:{'|'.join(map(re.escape, inner.split(',')))})"
        else:
            raise ValueError("braces hold the name of a value, such as {region}, or words, such as {csv,parquet}")
    if part.startswith(("*", "?", "{")):
        found = f"(?![_.]){found}"
    return found + re.escape(part[at:])


def _words(text: str) -> str:
    return re.sub(r"\{([a-z]+)\}", lambda found: OF_DAY.get(found[1], ("", found[0]))[1], text)


def _name_words(name: str) -> str:
    """`.csv and .parquet` for `*.{csv,parquet}`, else the pattern."""
    if only := re.fullmatch(r"\*\.\{([a-z0-9.,]+)\}|\*(\.[a-z0-9.]+)", name):
        *first, last = [f".{word}" for word in only[1].split(",")] if only[1] else [only[2]]
        return f"{', '.join(first)} and {last}" if first else last
    return _words(name)
