"""SQL that models and this command share: macros of the project that have nothing of dbt's."""

from functools import cache

import jinja2

from storehouse.core.settings import PROJECT


@cache
def sql_of(file: str, *arguments: str) -> str:
    """What a macro says when it is given these arguments.

    Args:
        file: below `macros/`, named for the macro; PostgreSQL's form of one that has several.
        arguments: of the macro.
    """
    path = PROJECT / "macros" / file
    macros = vars(jinja2.Environment().from_string(path.read_text()).module)
    return (macros.get(f"postgres__{path.stem}") or macros[path.stem])(*arguments)
