"""The fixtures of the tests of `change_log`: the source declared, and a house that has it."""

from collections.abc import Callable, Iterator

import pytest
from change_log_scene import BOOKS, DECLARED, LIMITS, SOURCE, drop_slots
from houses import House

from extract_load import tables
from storehouse.core.settings import settings


@pytest.fixture
def declare(tmp_path, monkeypatch) -> Iterator[Callable[..., None]]:
    """Declare the source's tables, each by its fields; `source` is what all have."""
    monkeypatch.setattr(tables, "STAGING", tmp_path / "staging")

    def write(source: str = SOURCE, **of: str) -> None:
        file = tmp_path / "staging" / "books" / "_books__sources.yml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(
            source
            + "".join(
                f"      - name: {name}\n        config:\n          meta:{meta.rstrip()}{LIMITS.rstrip()}\n"
                for name, meta in (of or DECLARED).items()
            )
        )
        tables._tables.cache_clear()

    yield write
    tables._tables.cache_clear()


@pytest.fixture
def books(new_house: House, declare, configure) -> Iterator[House]:
    """A house whose source has the tables, without rows, and a publication of them."""
    configure(BOOKS_DATABASE_URL=new_house.shop)
    settings.cache_clear()
    drop_slots(new_house)
    new_house.execute_in_shop(BOOKS)
    declare()
    yield new_house
    drop_slots(new_house)
