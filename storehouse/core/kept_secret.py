"""Secrets that this project generates: each in a file that only its owner can read."""

import os
import secrets
from contextlib import suppress
from pathlib import Path


def kept_secret(file: Path) -> str:
    """The secret in the file, 64 hexadecimal digits; file and folder are made if they are missing."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        ours = file.with_name(f"{file.name}.{os.getpid()}")
        with os.fdopen(os.open(ours, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as new:
            new.write(secrets.token_hex(32))
        # If two processes make one at the same time, the first one stays.
        with suppress(FileExistsError):
            os.link(ours, file)
        ours.unlink()
    return file.read_text()
