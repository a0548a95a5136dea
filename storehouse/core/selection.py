"""What a caller may add to dbt's command line: a selection of models, and variables. Never a flag."""

import json
import re

import yaml

from storehouse.core.errors import StorehouseError

# One criterion, as dbt reads it: @ or 2+, a value with wildcards, or method:value, and +1. None begins with `-`.
# A text can match it in one way only (a number comes before a plus or not at all): a long wrong one is refused fast.
_CRITERION = r"(@|\d*\+|(?!\d+\+))[\w*?\[./][\w*?\[\]!./:=-]*(\+\d*)?"
_WORD = rf"{_CRITERION}(,{_CRITERION})*"
# A whole selection. The form of a DAG run uses it too, as a regular expression of the browser.
PATTERN = rf"^[ \t\r\n]*({_WORD}([ \t\r\n]+{_WORD})*)?[ \t\r\n]*$"


def words(selection: str | None) -> list[str]:
    """The words of a selection in dbt's syntax (`+fct_orders`, `path:models/marts,tag:x`); [] for an empty one.

    Raises:
        StorehouseError: a word is not a selection, such as a flag.
    """
    found = (selection or "").split()
    for word in found:
        if not re.fullmatch(_WORD, word):
            raise StorehouseError(
                f"{word!r} is no selection of dbt's. Give names of models, folders, +name, name+, method:value, with "
                "commas (both) or blanks (either) between: docs.getdbt.com, node selection. Flags are not taken."
            )
    return found


def variables(said: str | None) -> list[str]:
    """dbt's arguments for variables given as YAML; they become one word of JSON.

    Raises:
        StorehouseError: the YAML is not a mapping.
    """
    if not said:
        return []
    try:
        given = yaml.safe_load(said)
    except yaml.YAMLError:
        given = None
    if not isinstance(given, dict):
        raise StorehouseError("VARS must be names with values, as YAML: '{quality_limits: {shop.orders: 8}}'.")
    return ["--vars", json.dumps(given, default=str)]
