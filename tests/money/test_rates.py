"""`make rates`: the ECB's file from a real HTTP server, into a seed; what is wrong with it is one message in words."""

import io
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from houses import command

from storehouse.core.errors import StorehouseError
from storehouse.core.settings import PROJECT, settings
from storehouse.operate import rates

# A euro in dollars, yen, and lats, which ended. The 28th of February 2025 was a Friday.
HISTORY = """Date,USD,JPY,LVL,
2025-03-03,1.05,150,N/A,
2025-02-28,1.04,N/A,N/A,
2025-02-27,1.06,150,N/A,
2025-01-02,1.00,200,0.5,
1999-12-31,1.00,100,0.6,
"""
OWN = "currency,valid_from,usd_per_unit,source\nJPY,2025-01-01,0.001,ECB\nKWD,2020-01-01,3.3,Central Bank of Kuwait\n"


class Ecb:
    """An HTTP server with one file."""

    def __init__(self) -> None:
        ecb = self
        self.status, self.body = 200, HISTORY.encode()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(ecb.status)
                self.send_header("Content-Length", str(len(ecb.body)))
                self.end_headers()
                self.wfile.write(ecb.body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def zip(self) -> None:
        """Pack the file, as the ECB does."""
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("eurofxref-hist.csv", self.body)
        self.body = packed.getvalue()


@pytest.fixture
def ecb(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ecb]:
    ecb = Ecb()
    monkeypatch.setenv("RATES_URL", f"http://somebody:secret@127.0.0.1:{ecb.server.server_port}/hist.zip")
    settings.cache_clear()
    yield ecb
    ecb.server.shutdown()
    settings.cache_clear()


@pytest.fixture
def seed(tmp_path: Path) -> Path:
    seed = tmp_path / "exchange_rates.csv"
    seed.write_text(OWN)
    return seed


@pytest.mark.parametrize("is_zipped", [True, False])
def test_a_months_rate_is_the_mean_of_its_days_and_rows_of_ones_own_stay(ecb: Ecb, seed: Path, is_zipped: bool) -> None:
    """USD per unit. March is not over; what the seed did not have is added by name; of before 2000 there is nothing."""
    if is_zipped:
        ecb.zip()
    said = rates.refresh(["eur", "LVL"], seed)
    assert seed.read_text().splitlines() == [
        "currency,valid_from,usd_per_unit,source",
        "EUR,2025-01-01,1,ECB",
        "EUR,2025-02-01,1.05,ECB",
        "JPY,2025-01-01,0.005,ECB",
        "JPY,2025-02-01,0.0070666667,ECB",
        "KWD,2020-01-01,3.3,Central Bank of Kuwait",
        "LVL,2025-01-01,2,ECB",
    ]
    assert "up to 2025-02" in said and "1 of other sources" in said


def test_the_last_friday_of_a_month_ends_it(ecb: Ecb, seed: Path) -> None:
    ecb.body = HISTORY.replace("2025-03-03", "2025-02-26").encode()
    rates.refresh((), seed)
    assert "JPY,2025-02-01" in seed.read_text()


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (404, b"", "answered with status 404"),
        (200, b"<html>maintenance</html>", "is not the ECB's history"),
        (200, b"PK not a zip", "is not the ECB's history"),
        (200, b"Date,USD,JPY\n2025-01-02,1.0,much\n2025-02-03,1,1\n", "is not the ECB's history"),
        (200, b"Date,USD,JPY\n2025-01-02,1.0,0\n2025-02-03,1,1\n", "is not the ECB's history"),
        (200, b"Date,USD\n2025-01-02,1.0\n2025-02-03,1.0\n", "has no whole month of JPY"),
    ],
)
def test_what_is_wrong_is_said_and_the_seed_stays(ecb: Ecb, seed: Path, status: int, body: bytes, words: str) -> None:
    ecb.status, ecb.body = status, body
    with pytest.raises(StorehouseError, match=words) as error:
        rates.refresh((), seed)
    assert "stays as it was" in str(error.value) and "secret" not in str(error.value)
    assert seed.read_text() == OWN


def test_a_file_that_is_too_large_is_left(ecb: Ecb, seed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "MAX_BYTES", 1000)
    ecb.body = b"0" * 2000
    with pytest.raises(StorehouseError, match="more than 1,000 bytes"):
        rates.refresh((), seed)
    ecb.body = HISTORY.encode() * 50
    ecb.zip()
    with pytest.raises(StorehouseError, match="unpacks to more than 1,000 bytes"):
        rates.refresh((), seed)


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        (
            {"ALL_PROXY": "socks://me:hunter2@127.0.0.1:1"},
            "RATES_URL can't be used: HTTP_PROXY, or ALL_PROXY, must look like http://host:3128",
        ),
        ({"SSL_CERT_FILE": "/no/such/file"}, "SSL_CERT_FILE or SSL_CERT_DIR names can't be used: No such file"),
        ({"HTTP_PROXY": "http://127.0.0.1:2", "NO_PROXY": "10.0.0.0/8,fd00::/8"}, "does not answer: ConnectError"),
    ],
)
def test_a_proxy_or_certificates_that_cannot_be_used_are_named(
    tmp_path: Path, environment: dict[str, str], words: str
) -> None:
    done = command(tmp_path, RATES_URL="http://11.1.2.3:1", HTTP_TIMEOUT_SECONDS="2", **environment)("rates")
    assert done.returncode == 1 and words in done.stderr and "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr


@pytest.mark.parametrize(
    ("url", "words"), [("http://127.0.0.1:1/x", "does not answer"), ("nonsense", "RATES_URL is not a URL")]
)
def test_the_command_fails_in_words_when_nobody_answers(tmp_path: Path, url: str, words: str) -> None:
    before = rates.SEED.read_text()
    done = command(tmp_path, RATES_URL=url)("rates")
    assert done.returncode == 1 and words in done.stderr and "Traceback" not in done.stderr
    assert rates.SEED.read_text() == before


def test_the_seed_has_every_month_of_every_currency_once() -> None:
    """What is shipped is whole: since its first month no currency lacks one."""
    months: dict[str, list[str]] = {}
    for line in (PROJECT / "seeds" / "exchange_rates.csv").read_text().splitlines()[1:]:
        code, month, _, source = line.split(",")
        if code != "USD" and source == "ECB":
            months.setdefault(code, []).append(month)
    last = max(map(max, months.values()))
    for code, found in months.items():
        year, month = map(int, found[0].split("-")[:2])
        whole = []
        while f"{year}-{month:02}-01" <= last:
            whole.append(f"{year}-{month:02}-01")
            year, month = (year + 1, 1) if month == 12 else (year, month + 1)
        assert found == whole, code
