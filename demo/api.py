"""The marketplace's and the reviews' HTTP API, as docs/sources.md describes it, with transient errors."""

import zlib
from datetime import UTC, datetime
from typing import Annotated

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from psycopg import IsolationLevel, sql
from starlette.middleware.trustedhost import TrustedHostMiddleware

from demo.database import connect, read_clock
from storehouse.core.errors import StorehouseError
from storehouse.core.queries import one_value
from storehouse.core.settings import LOCAL_HOSTS

REGIONS = ("us", "eu", "apac")
PAGE_SIZE = 500

# Of 100 pages, this many fail on the first request, half with 500 and half with 429.
FAILING_PAGES = 8

app = FastAPI(title="The demo shop's marketplace and reviews", docs_url=None, redoc_url=None)
# Otherwise a web page could point its host name here and read the shop through a visitor's browser (DNS rebinding).
app.add_middleware(TrustedHostMiddleware, allowed_hosts=LOCAL_HOSTS)
_failed_once: set[str] = set()

From = Annotated[datetime, Query(alias="from")]
Page = Annotated[int, Query(ge=1)]
PageSize = Annotated[int, Query(ge=1, le=5000)]


class _BadRequestError(Exception):
    """A request that can't be answered, and why."""


@app.get("/health")
@app.get("/marketplace/health")
def health() -> dict[str, str]:
    """Alive, and the database answers."""
    with connect() as connection:
        connection.execute("select 1")
    return {"status": "ok"}


@app.get("/marketplace/orders")
def marketplace_orders(
    request: Request, region: str, from_: From, until: datetime, page: Page = 1, page_size: PageSize = PAGE_SIZE
) -> Response:
    """Orders of a region whose `updated_at` lies in [from, until)."""
    if region not in REGIONS:
        raise _BadRequestError(f"region is {region!r}: it must be one of {', '.join(REGIONS)}")
    return _hiccup(request) or _page("marketplace_orders", region, from_, until, page, page_size)


@app.get("/reviews")
def reviews(
    request: Request, from_: From, until: datetime, page: Page = 1, page_size: PageSize = PAGE_SIZE
) -> Response:
    """Reviews whose `updated_at` lies in [from, until)."""
    return _hiccup(request) or _page("reviews", None, from_, until, page, page_size)


def _hiccup(request: Request) -> Response | None:
    """The failure of some pages, always the same ones, the first time that this server is asked for them."""
    asked = f"{request.url.path}?{sorted(request.query_params.items())}"
    draw = zlib.crc32(asked.encode()) % 100
    if draw >= FAILING_PAGES or asked in _failed_once:
        return None
    _failed_once.add(asked)
    if draw % 2:
        return JSONResponse({"detail": "Too many requests. Try again."}, 429, {"Retry-After": "1"})
    return JSONResponse({"detail": "Something went wrong on our side. Try again."}, 500)


def _page(table: str, region: str | None, since: datetime, until: datetime, page: int, size: int) -> Response:
    """One page of a table, in the order of `updated_at`; the database makes the text that is sent."""
    window = {"region": region, "since": _utc(since), "until": _utc(until), "size": size}
    if window["since"] > window["until"]:
        raise _BadRequestError(f"from ({since.isoformat()}) is after until ({until.isoformat()})")
    with connect() as connection:
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        clock = read_clock(connection)
        if clock is None:
            raise StorehouseError("There is no shop yet. Make it with `python -m demo advance --days 30`.")
        asked = (table, clock, *window.values())
        if asked not in _contents:
            if len(_contents) >= 100:
                _contents.clear()
            _contents[asked] = connection.execute(_CONTENTS.format(**_names(table, region)), window).fetchall()
        contents = _contents[asked]
        data = ""
        if page <= len(contents):
            _, at, number, variant = contents[page - 1]
            first = {"at": at, "number": number, "variant": variant}
            data = one_value(connection, _DATA.format(**_names(table, region)), window | first)
    total = contents[0][0] if contents else 0
    body = f'{{"page": {page}, "pages": {max(1, len(contents))}, "total": {total}, "data": [{data}]}}'
    return Response(body, media_type="application/json")


# A window's table of contents (how many rows, and the first one of each page), kept while the shop's clock stands:
# pages that are found by counting rows from the window's start would take ever longer.
_contents: dict[tuple, list[tuple]] = {}
_CONTENTS = sql.SQL("""
    select total, updated_at, number, variant
    from (
        select
            updated_at,
            number,
            variant,
            count(*) over () as total,
            row_number() over (order by updated_at, number, variant) - 1 as position
        from demo.{table}
        where updated_at >= %(since)s and updated_at < %(until)s and {in_region}
    ) as positions
    where position %% %(size)s = 0
    order by position
""")
_DATA = sql.SQL("""
    select string_agg(payload::text, ', ' order by updated_at, number, variant)
    from (
        select *
        from demo.{table}
        where (updated_at, number, variant) >= (%(at)s, %(number)s, %(variant)s)
            and updated_at < %(until)s and {in_region}
        order by updated_at, number, variant
        limit %(size)s
    ) as page
""")


def _names(table: str, region: str | None) -> dict[str, sql.Composable]:
    in_region = sql.SQL("region = %(region)s") if region else sql.SQL("true")
    return {"table": sql.Identifier(table), "in_region": in_region}


def _utc(at: datetime) -> datetime:
    return at.replace(tzinfo=at.tzinfo or UTC)


@app.exception_handler(_BadRequestError)
def _refuse(request: Request, error: _BadRequestError) -> Response:
    return JSONResponse({"detail": str(error)}, 400)


@app.exception_handler(RequestValidationError)
def _refuse_parameters(request: Request, error: RequestValidationError) -> Response:
    reasons = [f"{wrong['loc'][-1]}: {wrong['msg']}" for wrong in error.errors()]
    return JSONResponse({"detail": "; ".join(reasons)}, 400)


@app.exception_handler(StorehouseError)
def _unavailable(request: Request, error: StorehouseError) -> Response:
    return JSONResponse({"detail": str(error)}, 503)
