"""What people may see of a URL, and of what others say: in messages, logs and notices.

Of a URL that is host, port and path, and only what is known to be that: not the user, the password or the query.
Where a password has an unescaped `@`, `/`, `?` or `#`, nobody can tell where it ends: then no part is shown.
"""

import json
import logging
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<path>[^?#]*)(?P<rest>.*)", re.DOTALL
)
# One host or several, each with a port or without.
_HOSTS = re.compile(r"((\[[\dA-Fa-f:.%]+\]|[\w.-]*)(:\d{1,5})?(,|$))*")
_FOLDER = re.compile(r"[./~][^@]*|[\w .-][\w ./-]*")
# Of a bounded scheme: a long word without `://` is looked at once.
_IN_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}://[^\s'\"<>]*")
_NOT_PRINTED = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
# Of the variables that may hold one: a URL, or the secret itself.
_HAS_SECRET = re.compile(r"(URL|URI|DSN|CONN|PROXY|BACKEND|PASSWORD|SECRET|TOKEN|KEY)$|^AIRFLOW_CONN_", re.IGNORECASE)
# What a spreadsheet reads as a formula, and what it may drop before one (OWASP, CSV injection).
_FORMULA = re.compile(r"[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_PARTS = re.compile(r"[:/@?#&=\s]+")
SHORTEST = 4  # characters: what is shorter stands in too many words
HIDDEN = "…"


def printable(text: str) -> str:
    """A name of a source with its control characters escaped: none moves the cursor, ends a line, or hides the rest."""
    return _NOT_PRINTED.sub(lambda found: ascii(found[0])[1:-1], text)


def as_text(value: object) -> object:
    """A value of a CSV file for spreadsheets: a text that one would run as a formula begins with an apostrophe."""
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def as_message(text: str) -> str:
    """An error's message for people: without secrets, its own lines kept, any other control character escaped."""
    return "\n".join(printable(line) for line in without_secrets(text).split("\n"))


def is_clear(url: str) -> bool:
    """True when it is known which part of it is user and password: or it is no URL, but a folder."""
    if not (parts := _URL.fullmatch(url)):
        return bool(_FOLDER.fullmatch(url))
    userinfo, _, hosts = parts["authority"].rpartition("@")
    return bool(_HOSTS.fullmatch(hosts)) and "@" not in userinfo + parts["path"] + parts["rest"]


def shown(url: str) -> str:
    """A URL or folder for people: `https://host:8080/path`; `https://…` when more can't be told from a password."""
    parts = _URL.fullmatch(url)
    if not is_clear(url):
        return f"{parts['scheme']}://{HIDDEN}" if parts else HIDDEN
    if not parts:
        return printable(url)
    return printable(f"{parts['scheme']}://{parts['authority'].rpartition('@')[2]}{parts['path']}")


def without_secrets(said: object) -> str:
    """What others said, without any password or key that is set here, and with its URLs as people may see them."""
    text = str(said)
    for secret in sorted((secret for secret in secrets() if secret in text), key=len, reverse=True):
        text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(secret)}(?![A-Za-z0-9])", HIDDEN, text)
    # What tells how a URL looks keeps its example.
    return _IN_TEXT.sub(lambda url: url[0] if "//user:password@" in url[0] else shown(url[0]), text)


def first_line(error: BaseException) -> str:
    """The first line of what an error of another library says, without secrets; its kind when it says nothing."""
    return printable(without_secrets(next(iter(str(error).splitlines()), ""))).rstrip(". ") or type(error).__name__


def secrets() -> set[str]:
    """Every password, key and hidden part of a URL in the environment, and in the files of `STOREHOUSE_SECRETS`."""
    values = [*os.environ.items(), *_files()]
    parts = {
        part
        for name, value in values
        for part in (_hidden(name, value) if _HAS_SECRET.search(name) else _hidden_in_place(value))
    }
    return {part for secret in parts for part in (secret, unquote(secret)) if len(part) >= SHORTEST}


def _files() -> Iterator[tuple[str, str]]:
    try:
        for file in Path(os.environ.get("STOREHOUSE_SECRETS") or os.devnull).iterdir():
            if file.is_file():
                yield file.name, file.read_text().strip()
    except (OSError, ValueError):
        return  # settings say so


def _hidden(name: str, value: str) -> list[str]:
    """The parts of a variable's value that nobody may see."""
    if value.startswith("{"):
        with suppress(ValueError):
            return [str(part) for key, part in json.loads(value).items() if _HAS_SECRET.search(key)]
    if "://" in value:
        return [part for url in value.split() for part in _hidden_in_url(url)]
    if name.upper().endswith(("PASSWORD", "SECRET", "TOKEN", "KEY")):
        return [value]
    with suppress(ProgrammingError):
        return [str(conninfo_to_dict(value).get("password", ""))]
    return [] if is_clear(value) else _PARTS.split(value)


def _hidden_in_place(value: str) -> list[str]:
    """The secrets of a value that is a place: a declaration may name any variable for one."""
    if "://" in value:
        return _hidden_in_url(value) if "@" in value and is_clear(value) else []
    with suppress(ProgrammingError):
        return [str(conninfo_to_dict(value).get("password", ""))] if "password" in value else []
    return []


def _hidden_in_url(url: str) -> list[str]:
    parts = _URL.fullmatch(url)
    if not parts or not is_clear(url):
        return _PARTS.split(url.partition("://")[2])
    user, _, password = parts["authority"].rpartition("@")[0].partition(":")
    is_token = parts["scheme"].startswith("http")
    return [password or (user if is_token else ""), *re.findall(r"(?<==)[^&#]+", parts["rest"])]


class OneLine(logging.Filter):
    """Of a logger: each message is one line, without secrets, and with what a source has named escaped."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record."""
        record.msg, record.args = printable(without_secrets(record.getMessage())), None
        return True


# Ours, and that of httpx: it logs every request with its whole URL, which Airflow may write into the task's log.
for _name in ("extract_load", "publish", "httpx"):
    logging.getLogger(_name).addFilter(OneLine())
