"""Every number that can be set is checked at the start: one message with its name, and no traceback later."""

from collections.abc import Callable

import pytest

from storehouse.core.errors import StorehouseError
from storehouse.core.settings import Settings, settings

pytestmark = pytest.mark.quick

NUMBERS = sorted(name for name, field in Settings.model_fields.items() if field.annotation in (int, float))
# What begins at 0 may be 0: a free port, no overlap.
FROM_ZERO = {"overlap_minutes", "storehouse_port"}


@pytest.mark.parametrize("value", ["-1", "0", "nan", "inf", "-inf", "1e300", "9" * 40, "1_0_", "many"])
@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_that_nothing_can_count_to_is_refused_by_its_name(
    configure: Callable[..., None], name: str, value: str
) -> None:
    configure(**{name.upper(): value})
    if value == "0" and name in FROM_ZERO:
        settings()
        return
    with pytest.raises(StorehouseError, match=f"A setting in the environment is wrong. {name.upper()}: "):
        settings()


def test_the_default_of_every_number_is_one_that_may_be_set(configure: Callable[..., None]) -> None:
    configure(**{name.upper(): Settings.model_fields[name].default for name in NUMBERS})
    settings()
