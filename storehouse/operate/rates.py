"""Monthly exchange rates from the European Central Bank's reference rates, into `seeds/exchange_rates.csv`.

The ECB publishes, for each business day since 1999, what a euro costs in some thirty currencies. A month's rate here is
the mean of its days: US dollars for one unit. A month that is not over has none yet: the month before speaks for it.
"""

import csv
import io
import time
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path

import httpx

from extract_load.connectors.api.http import client_of
from storehouse.core.errors import StorehouseError
from storehouse.core.settings import PROJECT, settings

SEED = PROJECT / "seeds" / "exchange_rates.csv"
SOURCE = "ECB"
# Orders of before are refused.
FIRST_MONTH = date(2000, 1, 1)
# The history has 2 MB and grows by 80 KB a year.
MAX_BYTES = 50_000_000
MAX_SECONDS = 300
PLACES = Decimal("1e-10")

Rate = tuple[str, date, Decimal]


def refresh(more: Iterable[str] = (), seed: Path = SEED) -> str:
    """Write the ECB's rates into the seed. Rows of another source, that people wrote, stay and go before the ECB's.

    Args:
        more: codes of currencies to add to those that the seed has from the ECB. Each is 12 rows a year in every run.
        seed: the file with `currency`, `valid_from`, `usd_per_unit` and `source`.

    Returns:
        What was written, in words.

    Raises:
        StorehouseError: the ECB does not answer, or with something else; the seed stays as it was.
    """
    rows = list(_rows(seed.read_text(encoding="utf-8")))
    wanted = {code.upper() for code in more} | {row["currency"] for row in rows if row["source"] == SOURCE}
    rates = [rate for rate in monthly(read_days(download())) if rate[0] in wanted]
    if missing := wanted - {code for code, _, _ in rates}:
        raise StorehouseError(
            f"{_where()} has no whole month of {', '.join(sorted(missing))}. {seed.name} stays as it was. "
            "Write rows of your own for what the ECB does not quote, with another source than ECB."
        )
    kept = {
        (row["currency"], row["valid_from"]): (row["usd_per_unit"], row["source"])
        for row in rows
        if row["source"] != SOURCE
    }
    found = {(code, str(month)): (f"{rate.normalize():f}", SOURCE) for code, month, rate in rates}
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(["currency", "valid_from", "usd_per_unit", "source"])
    writer.writerows([*key, *value] for key, value in sorted((found | kept).items()))
    beside = seed.with_suffix(".new")
    beside.write_text(written.getvalue(), encoding="utf-8")
    beside.replace(seed)
    last = max(month for _, month, _ in rates)
    return (
        f"{len(found):,} monthly rates of {len({code for code, _ in found})} currencies up to {last:%Y-%m}, "
        f"and {len(kept)} of other sources. The next run converts with them; commit {seed.name}."
    )


def download() -> bytes:
    """The ECB's file, from `RATES_URL`.

    Raises:
        StorehouseError: no answer, another one than 200, or one that is too large; or the environment's proxy or
            certificates can't be used.
    """
    options = {"timeout": settings().http_timeout_seconds, "follow_redirects": True}
    try:
        url = httpx.URL(settings().rates_url)
        with (
            client_of(httpx.Client, url, "RATES_URL", **options) as client,
            client.stream("GET", url) as response,
        ):
            if response.status_code != 200:
                raise StorehouseError(f"{_where()} answered with status {response.status_code}. {_CHECK}")
            body, began = bytearray(), time.monotonic()
            for block in response.iter_bytes():
                body += block
                if len(body) > MAX_BYTES:
                    raise StorehouseError(f"{_where()} has more than {MAX_BYTES:,} bytes. {_CHECK}")
                if time.monotonic() - began > MAX_SECONDS:
                    raise StorehouseError(f"{_where()} takes longer than {MAX_SECONDS} s. {_CHECK}")
            return bytes(body)
    except (httpx.InvalidURL, httpx.UnsupportedProtocol):
        # Not in httpx's words: they may quote a password.
        raise StorehouseError("RATES_URL is not a URL. One looks like https://host/path.zip.") from None
    except httpx.HTTPError as error:
        raise StorehouseError(f"{_where()} does not answer: {type(error).__name__}. {_CHECK}") from None


def read_days(body: bytes) -> Iterator[tuple[date, dict[str, Decimal]]]:
    """Each day of the ECB's file, zipped or not: units of each currency for a euro, the euro among them.

    Raises:
        StorehouseError: it is not that file.
    """
    try:
        if body[:2] == b"PK":
            with zipfile.ZipFile(io.BytesIO(body)) as archive:
                member = archive.infolist()[0]
                if member.file_size > MAX_BYTES:
                    raise StorehouseError(f"{_where()} unpacks to more than {MAX_BYTES:,} bytes. {_CHECK}")
                body = archive.read(member)
        rows = list(_rows(body.decode()))
        if not rows:
            raise ValueError
        for row in rows:
            day = date.fromisoformat(row.pop("Date"))
            rates = {
                code.strip(): Decimal(text) for code, text in row.items() if text and text.strip() not in ("", "N/A")
            }
            if any(not rate.is_finite() or rate <= 0 for rate in rates.values()):
                raise ValueError
            yield day, rates | {"EUR": Decimal(1)}
    except (zipfile.BadZipFile, IndexError, KeyError, ValueError, TypeError, AttributeError, InvalidOperation):
        raise StorehouseError(f"{_where()} is not the ECB's history of reference rates. {_CHECK}") from None


def monthly(days: Iterable[tuple[date, dict[str, Decimal]]]) -> list[Rate]:
    """The mean of each whole month, in US dollars for one unit; the dollar itself is 1 from the first month on."""
    found: dict[tuple[str, date], list[Decimal]] = defaultdict(list)
    last = date.min
    for day, rates in days:
        last = max(last, day)
        if "USD" in rates and day >= FIRST_MONTH:
            for code, units in rates.items():
                found[code, day.replace(day=1)].append(rates["USD"] / units)
    # The ECB publishes on business days: a month is over when the next has begun, or only a week-end of it is left.
    over = (last + timedelta(days=3)).replace(day=1)
    means = [
        (code, month, (sum(values, Decimal(0)) / len(values)).quantize(PLACES))
        for (code, month), values in found.items()
        if code != "USD" and month < over
    ]
    return [("USD", FIRST_MONTH, Decimal(1)), *means] if means else []


def _rows(text: str) -> Iterator[dict[str, str]]:
    return csv.DictReader(io.StringIO(text))


def _where() -> str:
    return f"The ECB's file (RATES_URL, {httpx.URL(settings().rates_url).host})"


_CHECK = (
    "seeds/exchange_rates.csv stays as it was. Check RATES_URL, and that this machine reaches it; then run it again."
)
