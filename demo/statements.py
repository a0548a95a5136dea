"""Our SQL files, with their values put in as literals: the planner sees constants, and folds them."""

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
