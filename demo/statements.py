"""Our SQL files, with their values put in as literals: the planner sees constants, and folds them."""

import re
from pathlib import Path

from psycopg import sql

from storehouse.core.queries import as_sql

FOLDER = Path(__file__).parent / "sql"


def statement(name: str, **values: object) -> sql.Composed:
    """The SQL of a file in `sql/`, its `{names}` replaced; what is not already composed becomes a literal."""
    text = (FOLDER / f"{name}.sql").read_text()
    return as_sql(text).format(
        **{key: value if isinstance(value, sql.Composable) else sql.Literal(value) for key, value in values.items()}
    )


def filled_by(channel: str) -> tuple[str, ...]:
    """The tables that the orders of a channel fill: each has a file in `sql/<channel>/`."""
    return tuple(sorted(path.stem for path in (FOLDER / channel).glob("*.sql")))


def shop_tables() -> dict[str, str]:
    """The statement that makes each of the shop's tables, by name; `{shop}` is the schema."""
    texts = [path.read_text() for path in sorted(FOLDER.rglob("*.sql"))]
    made = re.compile(r"create table if not exists {shop}\.(\w+) \(.*?\n\);", re.DOTALL)
    return {found[1]: found[0] for text in texts for found in made.finditer(text)}
