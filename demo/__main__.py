"""The command line: `python -m demo advance | serve | start | stop | status`."""

import argparse
import sys
import time
from datetime import date
from typing import Any

from demo import service, shop, stores
from demo.database import connect, read_clock
from storehouse.core import progress
from storehouse.core.errors import StorehouseError


def main() -> int:
    """Run one command; the exit code."""
    progress.configure()
    arguments = vars(_parser().parse_args())
    command = arguments.pop("command")
    try:
        command(**arguments)
    except StorehouseError as error:
        progress.fail(f"demo: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m demo",
        description="A small shop that behaves like a real one: a database, two APIs and a folder of store files. "
        "It is the source that Storehouse reads while no other is set.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    advance = commands.add_parser(
        "advance",
        help="play the shop's days, making the shop first where there is none",
        description="Play the shop through the end of a day, making it first where there is none. "
        "The same seed, size, start and error rate give the same shop, however its days are divided into steps.",
    )
    goal = advance.add_mutually_exclusive_group()
    goal.add_argument("--until", type=_date, metavar="DATE", help="the last day to play, such as 2026-01-31")
    goal.add_argument("--days", type=int, metavar="N", help="instead: so many days more (default: 1)")
    advance.add_argument(
        "--bad-orders",
        type=float,
        default=0,
        metavar="SHARE",
        help="of the last day's web orders: out with a negative total, until the shop plays on",
    )
    new = advance.add_argument_group("a new shop")
    new.add_argument("--size", type=float, help="1 is about 2,000 orders a day over all channels (default: 1)")
    new.add_argument("--seed", type=int, help="another seed, another shop (default: 7)")
    new.add_argument("--start", type=_date, metavar="DATE", help=f"its first day (default: {shop.START})")
    new.add_argument("--error-rate", type=float, metavar="SHARE", help="of wrong records in each feed (default: 0.02)")
    advance.set_defaults(command=_advance)

    serve = commands.add_parser("serve", help="run the API server here, until it is interrupted")
    serve.add_argument("--port", type=int, default=8100, help="the port to listen on (default: 8100)")
    serve.set_defaults(command=_serve)

    start = commands.add_parser("start", help="start the API server in the background (port: DEMO_PORT, or a free one)")
    start.set_defaults(command=_start)
    stop = commands.add_parser("stop", help="stop the API server that `start` started")
    stop.set_defaults(command=_stop)
    status = commands.add_parser("status", help="the shop's day, the server and the files")
    status.set_defaults(command=_status)
    return parser


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date such as 2026-01-31") from None


def _advance(**arguments: Any) -> None:
    began = time.monotonic()
    done = shop.advance(**arguments, report=lambda line: print(f"  {line}", flush=True))
    print(f"The shop has played until the end of {done.day} ({time.monotonic() - began:.1f} s).")


def _serve(port: int) -> None:
    import uvicorn  # here, because the other commands would wait for it

    print(f"Marketplace: http://127.0.0.1:{port}/marketplace   Reviews: http://127.0.0.1:{port}", flush=True)
    uvicorn.run("demo.api:app", host="127.0.0.1", port=port, log_level="info")


def _start() -> None:
    for name, url in service.start().items():
        print(f"{name}={url}")


def _stop() -> None:
    print("The demo's API server is stopped." if service.stop() else "The demo's API server was not running.")


def _status() -> None:
    with connect() as connection:
        clock = read_clock(connection)
    if clock:
        print(
            f"Shop: at the end of {clock.day}, since {clock.start}; "
            f"size {clock.size:g}, seed {clock.seed}, error rate {clock.error_rate:g}"
        )
    else:
        print("Shop: none yet. Make it with: python -m demo advance --days 30")
    print(f"API server: {service.urls()['REVIEWS_URL'] if service.is_running() else 'not running'}")
    print(f"Store files: {stores.folder()}")


if __name__ == "__main__":
    sys.exit(main())
