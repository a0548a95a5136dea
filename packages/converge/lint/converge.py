"""What `converge`'s macros render to, for linters: sqlfluff's jinja templater cannot load a package's namespace."""


def landed(relation: object, load_id: str = "_load_id") -> str:
    """A source as far as it has landed."""
    return str(relation)


def changes(relation: object) -> str:
    """The keys of a model that changed."""
    return f"(select * from {relation})"


def touched(*columns: str, caller: object = None) -> str:
    """The touched keys: a block that the materialization reads, nothing in the SQL itself."""
    caller()
    return ""


def is_tested(relation: object, *columns: str) -> str:
    """A predicate on the rows that a run changed."""
    return "true"


def tested(relation: object, key: str, changed: object = None) -> str:
    """The rows that a run changed."""
    return f"(select * from {relation})"


def touched_rows(relation: object, *columns: str) -> str:
    """The rows of an input whose columns are a touched key."""
    return f"(select * from {relation})"


def is_touched(*columns: str) -> str:
    """A predicate on the touched keys."""
    return "true"


def as_list(value: str | list[str]) -> list[str]:
    """One value or a list of them, as a list."""
    return [value] if isinstance(value, str) else list(value)


def state_table(name: str) -> str:
    """A table of the package's state."""
    return f"converge.{name}"


def taken_back_words(publication: object) -> str:
    """Why a group is held back that was taken back to a publication."""
    return f"it was taken back to publication {publication}"
