"""Every figure of the README comes from here."""

from contextlib import suppress

import psutil

from storehouse.core.embedded import EmbeddedServer
from storehouse.laptop.server import Server


def cpu(server: Server | EmbeddedServer) -> float:
    """Seconds of CPU that a server has used, ended backends included."""
    postmaster = psutil.Process(int((server.data / "postmaster.pid").read_text().split()[0]))
    while True:
        # A backend that ends meanwhile counts among the ended ones of the next look.
        with suppress(psutil.NoSuchProcess):
            living = [child.cpu_times() for child in postmaster.children()]
            own = postmaster.cpu_times()
            return own.children_user + own.children_system + sum(times.user + times.system for times in living)
