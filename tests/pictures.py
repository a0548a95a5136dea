"""The pictures of docs/images: `make pictures` plays a demo shop in a home of its own. Look at each before a commit.

What shows a time or a duration differs from run to run; the rest is the same, byte for byte.
"""

import base64
import io
import json
import logging
import shutil
import signal
import subprocess
import sys
import warnings
from email.message import EmailMessage
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from airflow_scene import Airflow, environment, running_airflow
from browser import BROWSER, Tab
from mail_server import mail_server, text_of
from PIL import Image

from storehouse.core.settings import PROJECT

IMAGES = PROJECT / "docs" / "images"
DAYS = 91  # of the demo shop: as many weeks as the report's picture has
WIDE, NARROW = 1280, 390  # pixels: a laptop's window, a telephone


class View(NamedTuple):
    """A page as a window shows it.

    Attributes:
        page: the file in the folder of pages, or the path on Airflow's server.
        width, height: of the window, in pixels.
        theme: light or dark.
        state: what follows the `#` of its address.
        clicks: CSS selectors of what is clicked, one after another, as soon as it is there.
    """

    page: str
    width: int
    height: int
    theme: str = "light"
    state: str = ""
    clicks: tuple[str, ...] = ()


GRAPH, GANTT = 'button[title^="Show Graph"]', 'button[title^="Show Gantt"]'
ALL_OF_IT = ('button[aria-label="Collapse Details Panel"]', 'button[aria-label="Expand all task groups"]:enabled')
# A line that runs along never stands still.
STILL = """
    document.head.append(Object.assign(document.createElement("style"), {
        textContent: "*, *::before, *::after { animation: none !important; transition: none !important }"
    }))
"""
FIT = ".react-flow__controls-fitview"
VIEWS = {
    "dashboard": View("dashboard.html", WIDE, 1560),
    "dashboard-dark": View("dashboard.html", WIDE, 1560, "dark"),
    "dashboard-narrow": View("dashboard.html", NARROW, 1560),
    "dashboard-narrow-dark": View("dashboard.html", NARROW, 1560, "dark"),
    "status": View("status.html", WIDE, 1200),
    "status-narrow-dark": View("status.html", NARROW, 1200, "dark"),
    "report": View("mail.html", 640, 1180),
    "report-narrow": View("mail.html", NARROW, 1360),
    "docs": View("static_index.html", WIDE, 900, state="!/overview", clicks=("h1, h2",)),
    "columns": View("columns.html", WIDE, 900, clicks=('[data-id$=".fct_orders"] [title="status"]', FIT)),
}
AIRFLOW = {
    "airflow-graph": View("dags/shop_elt/runs/{run}", 1600, 1000, clicks=(GRAPH, *ALL_OF_IT, FIT)),
    "airflow-gantt": View("dags/shop_elt/runs/{run}", 1280, 1100, clicks=(GANTT, *ALL_OF_IT)),
}


def main() -> int:
    """Make all of them, or change none."""
    if not BROWSER:
        print("make pictures needs Chromium, and none is on the PATH: apt-get install chromium", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    warnings.filterwarnings("ignore", module="aiosmtpd")
    logging.getLogger("mail.log").setLevel(logging.ERROR)
    with TemporaryDirectory(prefix="pictures-") as folder:
        (made := Path(folder, "made")).mkdir()
        try:
            make(Path(folder, "home"), made)
        except (AssertionError, subprocess.CalledProcessError) as error:
            print(f"make pictures: {error} docs/images is as it was.", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("make pictures: interrupted. docs/images is as it was.", file=sys.stderr)
            return 130
        shutil.copytree(made, IMAGES, dirs_exist_ok=True)
        sizes = [file.stat().st_size for file in made.iterdir()]
    print(f"{len(sizes)} pictures in {IMAGES.relative_to(PROJECT)}, {sum(sizes) // 1000} KB. Look at each.")
    return 0


def make(home: Path, made: Path) -> None:
    """Play the demo shop in a new home, run it on Airflow too, and take the pictures.

    Raises:
        AssertionError, CalledProcessError: a part failed.
    """
    with mail_server() as mails:
        env = environment(home)
        mailed = {"REPORT_URL": f"{mails.url}&inline=yes", "DOCS_URL": "https://docs.example.com"}
        try:
            command(env | mailed, f"storehouse run --days {DAYS}")
            command(env, "storehouse docs")
            (mail,) = mails.taken()
            (home / "target" / "mail.html").write_text(as_page(mail))
            of_pages(home / "target", made)
            command(env, "demo advance --days 1")
            print(f"{'airflow':<14}starts, and runs shop_elt", file=sys.stderr, flush=True)
            with running_airflow(home, env) as airflow:
                run_id = airflow.trigger("shop_elt")
                assert (state := airflow.finish("shop_elt", run_id)) == "success", f"The run of shop_elt is {state}."
                of_airflow(airflow, run_id, made)
        finally:
            command(env, "storehouse stop")


def command(env: dict[str, str], words: str) -> None:
    """`python -m` with these words; its progress is shown."""
    subprocess.run([sys.executable, "-m", *words.split()], cwd=PROJECT, env=env, check=True, stdout=subprocess.DEVNULL)


def as_page(mail: EmailMessage) -> str:
    """What a mail shows, the pictures in it too."""
    page = text_of(mail, "html")
    for part in mail.walk():
        if part.get_content_maintype() == "image":
            content = base64.b64encode(part.get_payload(decode=True)).decode()
            page = page.replace(f"cid:{part['Content-ID'].strip('<>')}", f"data:image/png;base64,{content}")
    head = '<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    return f"{head}<style>body {{ margin: 20px }} img {{ max-width: 100% }}</style>{page}"


def of_pages(folder: Path, made: Path) -> None:
    """The pictures of the pages in a folder: of `make docs`, and `mail.html`."""
    for name, view in VIEWS.items():
        take((folder / view.page).as_uri(), view, made / f"{name}.png")


def of_airflow(airflow: Airflow, run_id: str, made: Path) -> None:
    """The pictures of a run in Airflow's own pages."""
    for name, view in AIRFLOW.items():
        take(f"{airflow.url}/{view.page.format(run=run_id)}", view, made / f"{name}.png")


def take(url: str, view: View, file: Path) -> None:
    """Look at a page, in a browser that has seen none before, and keep what it shows once that stands still."""
    with TemporaryDirectory() as profile, Tab(Path(profile)) as tab:
        tab.look(view.width, view.height, view.theme)
        tab.tell("Emulation.setScrollbarsHidden", hidden=True)
        tab.open(url, view.state)
        tab.run(STILL)
        seen = still(tab)
        for selector in view.clicks:
            found = f"document.querySelector({json.dumps(selector)})"
            tab.wait(found)
            tab.run(f"{found}.click()")
            seen = still(tab)
    file.write_bytes(small(seen))
    print(f"{'picture':<14}{file.name:<28}{file.stat().st_size // 1000:>4} KB", file=sys.stderr, flush=True)


def still(tab: Tab) -> bytes:
    """What the window shows when that has been the same for a second."""
    seen: list[bytes] = []
    while len(seen) < 3 or len(set(seen[-3:])) > 1:
        assert len(seen) < 100, "The page does not stand still."
        tab.run("new Promise(done => setTimeout(done, 500))")
        seen.append(tab.picture())
    return seen[-1]


def small(png: bytes) -> bytes:
    """The same picture in 256 colours."""
    file = io.BytesIO()
    few = Image.open(io.BytesIO(png)).convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE)
    few.save(file, "PNG", optimize=True)
    return file.getvalue()


if __name__ == "__main__":
    sys.exit(main())
