"""What a caller may say on dbt's command line: which models, and variables. Nothing of it can be a flag of dbt's."""

import json
import re

import yaml

from storehouse.core.errors import StorehouseError

# One criterion, as dbt reads it: @ or 2+, a value with wildcards, or method:value, and +1. None begins with `-`.
# It matches in one way only (a number and a plus begin it, or nothing does): a wrong one is refused at once.
_CRITERION = r"(@|\d*\+|(?!\d+\+))[\w*?\[./][\w*?\[\]!./:=-]*(\+\d*)?"
_WORD = rf"{_CRITERION}(,{_CRITERION})*"
# Of a whole selection: the form of a DAG run checks by it too, in the browser's regular expressions.
PATTERN = rf"^[ \t\r\n]*({_WORD}([ \t\r\n]+{_WORD})*)?[ \t\r\n]*$"


def words(selection: str | None) -> list[str]:
    """The words of a selection in dbt's syntax (`+fct_orders`, `path:models/marts,tag:x`); none of an empty one.

    Raises:
        StorehouseError: a word is none, such as a flag.
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
    """dbt's arguments for variables that are given as YAML, as one word of JSON.

    Raises:
        StorehouseError: it is no mapping.
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
