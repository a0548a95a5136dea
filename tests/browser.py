"""A real browser without a screen."""

import base64
import http.server
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
import urllib.request
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

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


def visit(folder: Path, page: Path, query: str = "") -> tuple[str, set[str]]:
    """What it shows of a file when no host answers, and which hosts were asked for.

    Args:
        folder: for its profile.
        page: the file.
        query: of its address, from the `?` on.
    """
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
        shown = browse(folder, by_proxy, "--virtual-time-budget=8000", "--dump-dom", page.as_uri() + query)
    finally:
        server.shutdown()
        server.server_close()
    return shown, {host for host in asked if not OWN.search(host)}


class Tab:
    """A page in a browser of its own, told what to do by Chromium's DevTools protocol.

    Attributes:
        console: what the page's scripts said or failed with, and what its policy refused.
        asked: the URLs that it asked for, beside the file itself.
    """

    def __init__(self, folder: Path) -> None:
        self.console: list[str] = []
        self.asked: list[str] = []
        self._number = 0
        profile = folder / "tab"
        command = [BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"]
        self._process = subprocess.Popen(
            [*command, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._process_group = self._process.pid
        port = self._port(profile / "DevToolsActivePort")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list") as answer:
            page = next(each for each in json.load(answer) if each["type"] == "page")
        self._open = ExitStack()
        self._socket = self._open.enter_context(connect(page["webSocketDebuggerUrl"], max_size=None, compression=None))
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.tell(f"{domain}.enable")

    def __enter__(self) -> "Tab":
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()
        with suppress(ProcessLookupError):
            os.killpg(self._process_group, signal.SIGTERM)
        self._process.wait(30)

    @staticmethod
    def _port(file: Path) -> int:
        until = time.monotonic() + 60
        while not (file.exists() and (said := file.read_text().split())):
            assert time.monotonic() < until, "the browser does not answer"
            time.sleep(0.05)
        return int(said[0])

    def tell(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command, and keep what is told until its answer comes."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            said = json.loads(self._socket.recv(timeout=60))
            self._hear(said)
            if said.get("id") == self._number:
                assert "error" not in said, said["error"]
                return said["result"]

    def _hear(self, said: dict[str, Any]) -> None:
        given = said.get("params", {})
        match said.get("method"):
            case "Runtime.consoleAPICalled":
                self.console.append(" ".join(str(each.get("value")) for each in given["args"]))
            case "Runtime.exceptionThrown":
                details = given["exceptionDetails"]
                self.console.append(details.get("exception", {}).get("description", details["text"]))
            case "Log.entryAdded":
                self.console.append(given["entry"]["text"])
            case "Network.requestWillBeSent" if not given["request"]["url"].startswith("data:"):
                self.asked.append(given["request"]["url"])

    def look(self, width: int = 1280, height: int = 900, theme: str = "light") -> None:
        """A window of this width, in this theme; below 600 it is a telephone."""
        self.tell(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        self.tell("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])

    def open(self, page: Path | str, state: str = "") -> None:
        """Load a file or a URL anew, with this after the `#` of its address."""
        address = page if isinstance(page, str) else page.as_uri()
        self.tell("Page.navigate", url="about:blank")
        self.tell("Page.navigate", url=address + (f"#{state}" if state else ""))
        self.wait("document.readyState === 'complete' && location.protocol !== 'about:'")
        self.asked = [url for url in self.asked if url.partition("#")[0] not in (address, "about:blank")]

    def wait(self, script: str) -> None:
        """Stay until what a script gives is true."""
        until = time.monotonic() + 60
        while not self.run(f"!!({script})"):
            assert time.monotonic() < until, f"not within a minute: {script}"
            time.sleep(0.05)

    def run(self, script: str) -> Any:
        """What a script of the test's gives, as JSON knows it."""
        said = self.tell("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in said, said["exceptionDetails"]
        return said["result"].get("value")

    def press(self, key: str) -> None:
        """Press a key, as a person does."""
        typed = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            self.tell("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=KEYS[key], **typed)

    def picture(self) -> bytes:
        """What the window shows, as PNG."""
        return base64.b64decode(self.tell("Page.captureScreenshot", format="png")["data"])


KEYS = {"Tab": 9, "Enter": 13, "End": 35, "Home": 36, "ArrowLeft": 37, "ArrowRight": 39}
