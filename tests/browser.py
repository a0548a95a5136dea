"""A real browser without a screen."""

import http.server
import re
import shutil
import subprocess
import threading
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


# What a browser asks for of its own accord.
OWN = re.compile(r"(^|\.)(google|googleapis|gvt1|gstatic)\.com$")


def visit(folder: Path, page: Path) -> tuple[str, set[str]]:
    """What it shows of a file when no host answers, and which hosts were asked for."""
    asked: set[str] = set()

    class Proxy(http.server.BaseHTTPRequestHandler):
        def answer(self) -> None:
            asked.add(self.path.removeprefix("http://").partition("/")[0].partition(":")[0])
            self.send_error(502)

        do_CONNECT = do_GET = do_POST = answer

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        by_proxy = f"--proxy-server=127.0.0.1:{server.server_port}"
        shown = browse(folder, by_proxy, "--virtual-time-budget=8000", "--dump-dom", page.as_uri())
    finally:
        server.shutdown()
        server.server_close()
    return shown, {host for host in asked if not OWN.search(host)}
