"""Folders, buckets and web addresses, opened by their URL. One that can't be used is refused with the reason."""

import os
import re
from pathlib import Path
from typing import Any

import fsspec
from aiohttp import ClientError as HttpClientError
from aiohttp import ClientTimeout
from botocore.exceptions import BotoCoreError, ClientError
from fsspec.implementations.local import LocalFileSystem
from fsspec.registry import known_implementations
from fsspec.spec import AbstractFileSystem

from storehouse.core.errors import StorehouseError, as_error
from storehouse.core.shown import first_line, shown

# Errors of a store that is away, refuses, or breaks off.
AWAY = (OSError, BotoCoreError, ClientError, HttpClientError)

_FOLDERS = ("", "file", "local")
_BUCKETS = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss")
# Where sources are read and nothing is written.
_SERVERS = ("http", "https", "sftp", "ssh")
# The extra of pyproject.toml that brings the package of a scheme.
_EXTRAS = {"gs": "gcs", "gcs": "gcs", "az": "azure", "abfs": "azure", "abfss": "azure", "sftp": "sftp", "ssh": "sftp"}
_SCHEME = re.compile(r"(?:([A-Za-z][A-Za-z0-9+.-]*):)?//|")


def open_store(
    url: str, setting: str, *, is_new: bool = False, is_source: bool = False
) -> tuple[AbstractFileSystem, str]:
    """The file system of a folder, bucket or server, and the path of it there.

    A relative folder is one below the working directory; `~` is the user's home. A file system that was registered
    with fsspec in this process will do too.

    Args:
        url: a folder, `file://…`, `s3://bucket/path`, or `gs://…` and `az://…` where their packages are installed; of a
            source also `http://…`, `https://…` and `sftp://…`.
        setting: the name of the setting that holds it, for messages.
        is_new: with connections of its own, not those of who opened it before.
        is_source: it is only read.

    Raises:
        StorehouseError: it can't be used. Nothing was asked of it yet, but for SFTP: it may still not be there.
    """
    named = _SCHEME.match(url)
    scheme = (named and named[1]) or ""
    known = (*_FOLDERS, *_BUCKETS, *(_SERVERS if is_source else ()))
    if "::" in url or (scheme in known_implementations and scheme not in known):
        raise _is_none(url, setting, f"{scheme}:// is no store that can be used here")
    try:
        system, base = fsspec.url_to_fs(url, skip_instance_cache=is_new, **_options(scheme))
    except ImportError as error:
        install = f"Install it with: uv sync --extra {extra}" if (extra := _EXTRAS.get(scheme)) else ""
        raise _is_none(url, setting, f"a package is missing: {first_line(error)}", install) from None
    except ValueError:
        raise _is_none(url, setting, f"{scheme}:// is no store that can be used here") from None
    except Exception as error:
        # Each kind of store has its own errors, of its own settings.
        raise _is_none(url, setting, f"{type(error).__name__}: {first_line(error)}") from None
    if isinstance(system, LocalFileSystem):
        # Not resolved: a link stays what people see.
        return system, os.path.abspath(base)  # noqa: PTH100
    if scheme in _BUCKETS and not base.strip("/"):
        raise _is_none(url, setting, "it names no bucket")
    return system, base.rstrip("/")


def put(file: Path, url: str, setting: str, name: str) -> None:
    """Put a file under this name into a folder or bucket, which is made if it is not there.

    Args:
        file: on this machine.
        url: as `open_store` takes it.
        setting: the name of the setting that holds it, for messages.
        name: what it is named there.

    Raises:
        TransientError: it can't be written, and may be the next time.
        StorehouseError: it can't be written.
    """
    try:
        files, root = open_store(url, setting)
        files.makedirs(root, exist_ok=True)
        files.put_file(str(file), f"{root}/{name}")
    except (ValueError, *AWAY) as error:
        raise as_error(f"{setting}={shown(url)} can't be written: {first_line(error)}.") from None


def _options(scheme: str) -> dict[str, Any]:
    """Of a web server: the bytes as they lie there, proxies as the environment says, no limit but our own."""
    if scheme not in ("http", "https"):
        return {}
    as_stored = {"headers": {"Accept-Encoding": "identity"}, "auto_decompress": False}
    return {
        "simple_links": False,
        "client_kwargs": as_stored | {"trust_env": True, "timeout": ClientTimeout(total=None, sock_connect=30)},
    }


def _is_none(url: str, setting: str, why: str, advice: str = "") -> StorehouseError:
    advice = advice or "Give a folder or s3://bucket/path"
    return StorehouseError(f"{setting}: {shown(url)} can't be used: {why}. {advice}.")
