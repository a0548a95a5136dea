"""Where files lie: a folder, a bucket or a server. What is there that a declaration asks for, and the bytes of it."""

import html
import itertools
import os
import stat
import tempfile
import time
from collections import defaultdict
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

from botocore.exceptions import NoCredentialsError
from fsspec.asyn import AsyncFileSystem, sync
from fsspec.callbacks import Callback
from fsspec.exceptions import FSTimeoutError
from fsspec.implementations.http import HTTPFileSystem
from fsspec.implementations.local import LocalFileSystem

from extract_load.declarations.file_patterns import FORM_WORDS, Form, Pattern, form_of, read_pattern
from extract_load.declarations.files import Files
from extract_load.ledger import Interval, logger
from storehouse.core.errors import StorehouseError, TransientError, without_values
from storehouse.core.settings import settings
from storehouse.core.shown import first_line, printable, shown
from storehouse.core.stores import AWAY, open_store

# Why a file is not read.
_HIDDEN = "a name that begins with _ or . is one that is still written, or no data"
_LINKED_FOLDER = "a folder that is a link is not followed"


class File(NamedTuple):
    """A file that can be read now.

    Attributes:
        path: where it is.
        name: in the ledger, and for people: its path below the place.
        form: how it is written.
        day: midnight, UTC, where its path says it.
        values: what else its path says, by name.
        size: in bytes, where the list says so.
        etag: if the store has one.
        is_file: False for a pipe, a device, a socket, and a link that leads out of the folder or nowhere.
    """

    path: str
    name: str
    form: Form
    day: datetime | None
    values: dict[str, str]
    size: int | None
    etag: str | None
    is_file: bool


class Entry(NamedTuple):
    """What a place has under a path: its kind (`file`, `other`, `linked folder`), size, ETag and last change."""

    kind: str
    size: int | None = None
    etag: str | None = None
    changed_at: datetime | None = None


class Found(NamedTuple):
    """The files that can be read, in order; those (or their folders) that are not ready; how many are there in all."""

    files: list[File]
    waiting: list[str]
    seen: int


class Place:
    """What a variable names, with its errors as messages."""

    def __init__(self, label: str, connection: str, start: str = "") -> None:
        """`label`: whose files they are, for messages; `start`: the folder there that they lie below."""
        root = settings().place(connection, label.partition(".")[0])
        self.system, self.base = open_store(root, connection, is_new=True, is_source=True)
        self.is_local = isinstance(self.system, LocalFileSystem)
        self.root = printable(self.base) if self.is_local else shown(root.rstrip("/"))  # for people
        self.label, self.connection, self.start = label, connection, start
        self._urls: dict[str, str] = {}  # of a web server: what it calls a file

    def of(self, said: Files, asked: Interval, others: Collection[Pattern] = ()) -> Found:
        """The files that the declaration asks for, and what of them is not ready.

        Files that are not read are reported, but for those of the `others`: how many, why, and the name of one. An
        interval bounds the days; a file without a day is in every interval.
        """
        pattern, flag = read_pattern(said.files), said.ready.flag
        what = "the days in" if pattern.has_day else "files in"
        other_folder = f"only {what} {pattern.folder_words or 'the folder itself'} are read"
        other_name = f"only {pattern.name_words} are read"
        is_asked_for = pattern.is_one_file and not flag and isinstance(self.system, HTTPFileSystem)
        entries = self._one(said.files) if is_asked_for else self.entries()
        flagged = {name.rpartition("/")[0] for name in entries if name.rpartition("/")[2] == flag}
        files, waiting, left = [], set(), defaultdict(list)
        for name, entry in entries.items():
            folder, _, base_name = name.rpartition("/")
            in_folder = pattern.folders.fullmatch(f"{folder}/" if folder else "")
            in_name = pattern.name.fullmatch(base_name)
            values = (in_folder.groupdict() if in_folder else {}) | (in_name.groupdict() if in_name else {})
            day = pattern.day_of(values)
            if flag and base_name == flag:
                continue
            if entry.kind == "linked folder":
                left[_LINKED_FOLDER].append(name)
            elif not in_folder or (pattern.has_day and day is None and in_name):
                left[other_folder].append(name)
            elif flag and base_name.lower() == flag.lower():
                left[f"the flag is {flag}, in these letters"].append(name)
            elif not in_name and base_name.startswith((".", "_")):
                left[_HIDDEN].append(name)
            elif not in_name:
                left[other_name].append(name)
            elif (form := form_of(base_name, said.format, said.compression)) is None:
                left[f"only {FORM_WORDS.replace(' or ', ' and ')} are read"].append(name)
            elif day and (
                (asked.from_ and day + timedelta(days=1) <= asked.from_) or (asked.until and day >= asked.until)
            ):
                continue
            elif flag and folder not in flagged:
                waiting.add(folder)
            elif said.ready.minutes and self._is_fresh(name, entry, said.ready.minutes):
                waiting.add(name)
            else:
                path = self.path_of(name)
                files.append(File(path, name, form, day, values, entry.size, entry.etag, entry.kind == "file"))
        for why, names in left.items():
            names = [name for name in names if not any(other.values_of(name) is not None for other in others)]
            if not names:
                continue
            news = "%s: %d files are not read: %s; such as %s"
            logger.warning(news, self.label.partition(".")[0], len(names), why, printable(names[0]))
        return Found(files, sorted(waiting), len(entries))

    def exists(self, name: str) -> bool:
        """True if there is a file or folder of this name."""
        return self.system.exists(self.path_of(name))

    def entries(self) -> dict[str, Entry]:
        """Everything below the start that is no folder, by its path below the place, in order."""
        start, most = self.path_of(self.start), settings().store_files_max
        try:
            if not self.is_local:
                self.system.invalidate_cache()
                found = self._walked(start) if self._is_server() else self._listed(start)
                entries = dict(itertools.islice(found, most + 1))
            elif not self._is_within(start):
                raise StorehouseError(
                    f"{self.root}/{self.start} leads out of its folder. "
                    f"Set {self.connection} to the folder above the one that it leads to."
                )
            else:
                below = self._below(start) if Path(start).is_dir() else ()
                entries = {
                    entry.path.removeprefix(self.base).lstrip("/"): self._of_folder(entry)
                    for entry in itertools.islice(below, most + 1)
                }
        except ValueError as error:
            raise StorehouseError(f"{self.connection}={self.root}: {without_values(first_line(error))}.") from None
        except AWAY as error:
            raise self._away(error) from None
        if len(entries) > most:
            raise StorehouseError(
                f"{self.where} holds more than STORE_FILES_MAX ({most:,}) files. Move old days away, or allow more."
            )
        return dict(sorted(entries.items()))

    @property
    def where(self) -> str:
        """The folder of all its files, for people."""
        return f"{self.root}/{self.start}".rstrip("/")

    def is_empty(self) -> StorehouseError:
        """The error of a folder without any file."""
        return StorehouseError(f"There is no file below {self.where}. Check {self.connection} (docs/sources/files.md).")

    def etag_of(self, file: File) -> str | None:
        """What the store says of the file's contents; a web server is asked, of one file at a time."""
        if file.etag or not isinstance(self.system, HTTPFileSystem):
            return file.etag
        try:
            return self._in_time(file.name, "info", file.path).get("ETag")
        except AWAY as error:
            raise self._away(error, file.name) from None

    def open(self, file: File) -> BufferedReader:
        """The file's bytes, to read and to seek in: the file itself, or a copy of what is in the bucket.

        Raises:
            StorehouseError: it is no file of this folder, or too large.
            TransientError: it is away, or is replaced meanwhile.
        """
        if not file.is_file:
            raise self._is_no_file(file)
        try:
            if file.size is not None:
                _check_size(file.size)
            stream = self._opened(file) if self.is_local else self._fetched(file)
            _check_size(stamp(stream)[0])
        except ValueError as error:
            raise self.unread(file, str(error)) from None
        except AWAY as error:
            raise self._away(error, file.name) from None
        return stream

    def unread(self, file: File, why: str) -> StorehouseError:
        """The error of a file that can't be read."""
        return StorehouseError(
            f"{self.label}: {self.root}/{printable(file.name)} can't be read: {why}. Nothing of it was landed. "
            "Write it again; the next load takes it."
        )

    def changed(self, file: File) -> TransientError:
        """The error of a file that somebody writes to."""
        return TransientError(
            f"{self.label}: {self.root}/{printable(file.name)} changed while it was read. Nothing of it was landed; "
            "the next load takes it. Write files before the flag of their folder, and move a file that is corrected "
            "into its place."
        )

    def path_of(self, name: str) -> str:
        """Where the file system has what lies under this name."""
        if isinstance(self.system, HTTPFileSystem):
            return self._urls.get(name) or f"{self.base}/{name}".rstrip("/")
        return f"{self.base}/{name}" if name else self.base

    def _one(self, name: str) -> dict[str, Entry]:
        """A file of a web server, which need not list what it has."""
        try:
            found = self._in_time(name, "info", self.path_of(name))
        except FileNotFoundError:
            return {}
        except AWAY as error:
            raise self._away(error, name) from None
        return {name: _entry(found)}

    def _is_server(self) -> bool:
        return "http" in self.system.protocol or "sftp" in self.system.protocol

    def _listed(self, start: str) -> Iterator[tuple[str, Entry]]:
        for path, entry in self._in_time(self.start, "find", start, detail=True).items():
            yield path.removeprefix(self.base).lstrip("/"), _entry(entry)

    def _walked(self, start: str) -> Iterator[tuple[str, Entry]]:
        """A folder after the other: fsspec's own walk passes over those that a server fails to list."""
        until = time.monotonic() + settings().store_file_seconds
        todo, looks = [start.rstrip("/") + "/"], 0
        while todo:
            folder, looks = todo.pop(), looks + 1
            if time.monotonic() > until:
                raise TimeoutError(too_slow())
            if looks > settings().store_files_max:
                raise ValueError(f"it has more folders than STORE_FILES_MAX ({settings().store_files_max:,})")
            try:
                listed = self._in_time(self.start, "ls", folder, detail=True)
            except FileNotFoundError:
                if folder.rstrip("/") != start:
                    raise
                return
            for entry in listed:
                url = entry["name"] if isinstance(self.system, HTTPFileSystem) else None
                path = html.unescape(url or entry["name"])
                below = path.rstrip("/").removeprefix(folder.rstrip("/") + "/").removeprefix("./")
                plain = unquote(below) if url else below
                # A link to sort the list by, to the folder above, or to another place.
                if not path.startswith(folder) or plain in ("", ".", "..") or (url and set(below) & set("/?#")):
                    continue
                if entry["type"] == "directory":
                    todo.append(path.rstrip("/") + "/")
                    continue
                name = path.rstrip("/").removeprefix(self.base).lstrip("/")
                if url:
                    name = unquote(name)
                    self._urls[name] = path
                yield name, _entry(entry)

    def _is_fresh(self, name: str, entry: Entry, minutes: float) -> bool:
        changed_at = entry.changed_at
        try:
            if self.is_local:
                changed_at = datetime.fromtimestamp(Path(self.path_of(name)).stat().st_mtime, UTC)
            elif changed_at is None and isinstance(self.system, HTTPFileSystem):
                said = self._in_time(name, "info", self.path_of(name)).get("Last-Modified")
                changed_at = _time_of(said) if said else None
        except AWAY as error:
            raise self._away(error, name) from None
        if changed_at is None:
            raise StorehouseError(
                f"{self.label}: {self.root} does not say when a file was changed, as ready: {{minutes: …}} needs it. "
                "Declare a flag, or leave ready out."
            )
        return datetime.now(UTC) - changed_at < timedelta(minutes=minutes)

    def _opened(self, file: File) -> BufferedReader:
        path = os.path.realpath(file.path)
        if not self._is_within(path):
            raise self._is_no_file(file)
        # A pipe that took the file's place meanwhile would not open before somebody writes to it.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise self._is_no_file(file)
        return os.fdopen(handle, "rb")

    def _fetched(self, file: File) -> BufferedReader:
        with tempfile.NamedTemporaryFile(prefix="storehouse-") as copy:
            self._in_time(file.name, "get_file", file.path, copy.name, callback=_Limit())
            if file.etag:
                self.system.invalidate_cache()
                if _etag(self._in_time(file.name, "info", file.path)) != file.etag:
                    raise self.changed(file)
            # It stays readable after its name is gone.
            return Path(copy.name).open("rb")

    def _in_time(self, name: str, method: str, *args: Any, **kwargs: Any) -> Any:
        """What the store answers, within `STORE_FILE_SECONDS` if it is one that can be left."""
        seconds = settings().store_file_seconds
        if not isinstance(self.system, AsyncFileSystem):
            return getattr(self.system, method)(*args, **kwargs)
        try:
            return sync(self.system.loop, getattr(self.system, f"_{method}"), *args, timeout=seconds, **kwargs)
        except FSTimeoutError:
            raise self._away(TimeoutError(too_slow()), name) from None

    def _below(self, folder: str) -> Iterator[os.DirEntry]:
        """Not by fsspec, for which a folder that may not be read is an empty one."""
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield from self._below(entry.path)
                else:
                    yield entry

    def _of_folder(self, entry: os.DirEntry) -> Entry:
        if not entry.is_symlink():
            return Entry("file" if entry.is_file() else "other")
        try:
            if entry.is_dir():
                return Entry("linked folder")
            return Entry("file" if entry.is_file() and self._is_within(entry.path) else "other")
        except OSError:  # it leads back to itself
            return Entry("other")

    def _is_within(self, path: str) -> bool:
        return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self.base))

    def _is_no_file(self, file: File) -> StorehouseError:
        return StorehouseError(
            f"{self.label}: {self.root}/{printable(file.name)} is no file of this folder, but a pipe, a device, "
            "a socket, or a link that leads out of it or nowhere. It was not read. "
            "Put the file itself there, or remove it."
        )

    def _away(self, error: Exception, name: str | None = None) -> StorehouseError:
        kind = StorehouseError if isinstance(error, PermissionError | NoCredentialsError) else TransientError
        return kind(
            f"{f'{self.root}/{printable(name or self.start)}'.rstrip('/')} can't be read: {first_line(error)}. "
            f"Check {self.connection} and, for s3://, AWS_ENDPOINT_URL and the AWS credentials."
        )


class _Limit(Callback):
    """Stops the copying of a file that is larger than it was said to be."""

    def relative_update(self, inc: int = 1) -> None:
        """Count bytes that came."""
        super().relative_update(inc)
        if self.value:
            _check_size(self.value)


def stamp(stream: BufferedReader) -> tuple[int, int]:
    """What changes when a file is written to."""
    now = os.fstat(stream.fileno())
    return now.st_size, now.st_mtime_ns


def too_slow() -> str:
    """The words of the limit."""
    return f"it takes longer than STORE_FILE_SECONDS ({settings().store_file_seconds:g} s)"


def _check_size(size: int) -> None:
    if not size:
        raise ValueError("it is empty")
    if size > settings().store_file_max_mb * 1e6:
        raise ValueError(f"it is larger than STORE_FILE_MAX_MB ({settings().store_file_max_mb:g} MB)")


def _entry(found: dict[str, Any]) -> Entry:
    """What a store says of a file, each in its own words."""
    kinds = {"file": "file", "link": "linked folder"}
    changed_at = next(
        (found[key] for key in ("LastModified", "last_modified", "mtime", "updated") if key in found), None
    )
    if isinstance(changed_at, str):
        changed_at = datetime.fromisoformat(changed_at)
    return Entry(kinds.get(found["type"], "other"), found.get("size"), _etag(found), changed_at)


def _time_of(said: str) -> datetime | None:
    """The time of a header; None if nobody can read it."""
    try:
        time_ = parsedate_to_datetime(said)
    except (TypeError, ValueError, IndexError):
        return None
    return time_.replace(tzinfo=time_.tzinfo or UTC)


def _etag(found: dict[str, Any]) -> str | None:
    return found.get("ETag") or found.get("etag")
