"""dbt's `adapter`, as far as a linter needs it."""

from collections.abc import Callable

from jinja2 import pass_context
from jinja2.runtime import Context


@pass_context
def dispatch(context: Context, name: str, package: str | None = None) -> Callable[..., str]:
    """PostgreSQL's form of a macro, or the default one; of another package's macro, what it is given first."""
    return (
        context.get(f"postgres__{name}")
        or context.get(f"default__{name}")
        or (lambda *arguments, **named: str([*arguments, *named.values()][0]))
    )
