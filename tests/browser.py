"""A real browser without a screen."""

import shutil
import subprocess
from pathlib import Path

import pytest

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(not BROWSER, reason="no chromium here: apt-get install chromium")


def browse(folder: Path, *arguments: str, size: str = "1800,1100") -> str:
    """What it gives for a page: `--dump-dom`, `--screenshot=…`.

    Args:
        folder: for its profile.
        arguments: of its own, the page's URL last.
        size: of the window, in pixels.
    """
    command = [BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", f"--window-size={size}"]
    command.append(f"--user-data-dir={folder / 'browser'}")
    return subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=120, check=True).stdout
