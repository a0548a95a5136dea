"""What runs beside the project on a laptop: the embedded server, and the demo shop while it is the source."""

import psycopg

from extract_load import is_demo
from storehouse.core.progress import say
from storehouse.core.settings import settings
from storehouse.laptop.server import server_of_this_home


def start() -> None:
    """Start what is not running yet of what the settings ask for."""
    place, server = settings(), server_of_this_home()
    if place.is_embedded:
        was_running = server.is_running
        server.start().ensure_database(place.warehouse_database)
        try:
            server.count_statements(place.warehouse_database)
        except psycopg.Error as error:
            say("server", f"what statements look up is not counted ({type(error).__name__}); nothing else needs it")
        say("server", f"PostgreSQL on port {server.port}, {'was running' if was_running else 'started'}")
    if is_demo():
        import demo

        server.start().ensure_database("shop")
        say("demo shop", f"API on {demo.start()['REVIEWS_URL']}")
    if (place.is_embedded or is_demo()) and server.trusts_everybody:
        # It was started before there were passwords, and whoever is connected has none: it is not changed under them.
        say("server", "every user of this machine gets in without a password: make stop, then make start")


def stop() -> None:
    """Stop the demo's API and the embedded server of this home, if they run."""
    import demo

    if demo.stop():
        say("demo shop", "stopped")
    say("server", "stopped" if server_of_this_home().stop() else "was not running")
