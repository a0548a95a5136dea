"""Secrets that are made here: each in a file that only its owner reads."""

import os
import secrets
from contextlib import suppress
from pathlib import Path


def kept_secret(file: Path) -> str:
    """The secret in the file, 64 hexadecimal digits; made, with its folder, where there is none."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        ours = file.with_name(f"{file.name}.{os.getpid()}")
        with os.fdopen(os.open(ours, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as new:
            new.write(secrets.token_hex(32))
        # Of two who begin at once, one secret stays.
        with suppress(FileExistsError):
            os.link(ours, file)
        ours.unlink()
    return file.read_text()
