"""dbt's cross-database macros, as far as a linter needs them."""


def datediff(first: str, second: str, part: str) -> str:
    """A number."""
    return f"({second} - {first})"


def date_spine(part: str, first: str, last: str) -> str:
    """A select."""
    return f"select {first} as date_{part}"


def split_part(text: str, delimiter: str, part: int) -> str:
    """Text."""
    return f"split_part({text}, {delimiter}, {part})"


def dateadd(part: str, number: object, moment: str) -> str:
    """A time."""
    return f"({moment} + interval '{number} {part}')"
