"""What runs beside the project on a laptop: the embedded server, and the demo shop while it is the source."""

import sys

from storehouse.core.settings import settings

# The names that the servers of a laptop answer to.
HOSTS = ["127.0.0.1", "localhost"]


def start() -> None:
    """Start what is not running yet of what the settings ask for."""
    place = settings()
    if place.is_embedded:
        was_running = place.server.is_running
        place.server.start()
        place.server.ensure_database(place.warehouse_database)
        say("server", f"PostgreSQL on port {place.server.port}, {'was running' if was_running else 'started'}")
    if place.is_demo:
        import demo

        place.server.start().ensure_database("shop")
        say("demo shop", f"API on {demo.start()['REVIEWS_URL']}")
    if (place.is_embedded or place.is_demo) and place.server.trusts_everybody:
        # It was started before there were passwords, and whoever is connected has none: it is not changed under them.
        say("server", "every user of this machine gets in without a password: make stop, then make start")


def stop() -> None:
    """Stop the demo's API and the embedded server of this home, if they run."""
    import demo

    if demo.stop():
        say("demo shop", "stopped")
    say("server", "stopped" if settings().server.stop() else "was not running")


def say(what: str, words: str) -> None:
    """One line of progress, on standard error: standard output is for results."""
    print(f"{what:<14}{words}", file=sys.stderr, flush=True)
