"""What the names and values of columns suggest: a key, a version, a delete, something personal.

For `discover`, which prints no value. A column of a database, a column of a file and a member of an API's record are
guessed alike; what each connector alone can see, such as an index, it adds.
"""

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence

from extract_load.declarations.common import UNREADABLE

# Forms of values, as regular expressions that Python and PostgreSQL read alike. A number alone is no telephone's.
EMAIL = r"^[^@ ]+@[^@ ]+[.][A-Za-z]{2,}$"
PHONE = r"^([+][0-9]|[(]?0[0-9]+[) /-])[0-9 ()/.-]{5,18}$"
FORMS = {"email": EMAIL, "text": PHONE}
# So many of the values that there are must have the form.
SHARE = 0.5
# What `rank_in_key` says of a name that is no id's.
NO_ID = 3
# Of more ids than these no two or three are tried together.
MOST_IDS = 8

_ID = "id|uuid|guid|key|sku|no|nr|num|number|code|line"
_ALONE, _OF_SOMETHING = re.compile(_ID), re.compile(rf".*_({_ID})|.*nummer")
_VERSION = re.compile(
    r"(.*_)?(last_?)?(updat|modif|chang|mutat|touch|mtime|write_date|lastmod|version|geaendert|aktualisiert).*"
)
# A cancelled order is one, and not a row that was taken back.
_DELETED = re.compile(r"(is_?)?(deleted|removed|erased|archived|trashed|void|voided|reversed)")

_NAMES = {
    "email": r"e?_?mail(_?address)?",
    "name": (
        r"(first|last|full|sur|given|family|middle|maiden|contact|customer|client|buyer|user|nick|display|holder|"
        r"recipient|billing|shipping)_?name|surname|vorname|nachname"
    ),
    "text": (
        r"(tele)?phone(_?(number|no))?|mobile|fax|(date_of_)?birth(_?(date|day))?|dob|ip(_?addr(ess)?)?|iban|bic|ssn|"
        r"(passport|tax|card|account)_?(number|no|id)"
    ),
    "address": r"(street|home)?_?(address|addr)(_?line)?_?[0-9]?|street_?[0-9]?|zip|(zip|post(al)?)_?code",
}
_PERSONAL = {kind: re.compile(rf"(.*_)?({names})") for kind, names in _NAMES.items()}
_PEOPLE = re.compile(
    r"(.*_)?(customer|user|person|people|contact|client|member|employee|account|buyer|seller|patient|guest|owner|author|"
    r"recipient|reviewer|billing|shipping)(s|_address)?"
)
_FREE_TEXT = re.compile(r"(.*_)?(note|comment|message|remark|feedback|body|memo)s?")


def plain(name: str, otherwise: str = "") -> str:
    """A name as lower case letters, digits and _, such as `sale_orders`; `otherwise` before what begins with none."""
    found = re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()).strip("_")
    return found if found[:1].isalpha() else f"{otherwise}_{found}".strip("_")


def rank_in_key(name: str, of: str) -> int:
    """How likely a column of this name is part of the key of the table `of`: 0 the most, `NO_ID` if it is no id."""
    name, of = plain(name), plain(of)
    if name in ("id", f"{of}_id", f"{of.removesuffix('s')}_id"):
        return 0
    return 1 if _ALONE.fullmatch(name) else 2 if _OF_SOMETHING.fullmatch(name) else NO_ID


def key_of(columns: Mapping[str, Sequence[object]], rows: int, of: str) -> tuple[list[str], bool]:
    """The fewest ids that tell these rows of the table `of` apart, and True; or the likeliest one, and False."""
    filled = [
        name
        for name, values in columns.items()
        if len(values) == rows and not any(value in (None, "") for value in values)
    ]
    ids = sorted((name for name in filled if rank_in_key(name, of) < NO_ID), key=lambda name: rank_in_key(name, of))
    texts = {name: list(map(repr, columns[name])) for name in ids[:MOST_IDS]}
    for names in itertools.chain.from_iterable(itertools.combinations(texts, size) for size in (1, 2, 3)):
        if rows and len(set(zip(*(texts[name] for name in names), strict=True))) == rows:
            return [name for name in columns if name in names], True
    return (ids or filled or list(columns))[:1], False


def is_version(name: str) -> bool:
    """Whether a column of this name may grow with every change of a row."""
    return bool(_VERSION.fullmatch(plain(name)))


def is_deleted(name: str) -> bool:
    """Whether a column of this name may be true of a row that was taken back."""
    return bool(_DELETED.fullmatch(plain(name)))


def personal_by_name(name: str, *above: str) -> str | None:
    """`email`, `name`, `address` or `text` if a column of this name looks personal; `above`: what it is in."""
    name = plain(name)
    if name == "name":
        return "name" if any(_PEOPLE.fullmatch(plain(step)) for step in above) else None
    return next((kind for kind, names in _PERSONAL.items() if names.fullmatch(name)), None)


def is_free_text(name: str) -> bool:
    """Whether people write into a column of this name what they like."""
    return bool(_FREE_TEXT.fullmatch(plain(name)))


def personal_by_values(values: Iterable[object]) -> str | None:
    """As `personal_by_name`, by the values: of the texts among them."""
    texts = [value for value in values if isinstance(value, str) and value]
    for kind, form in FORMS.items():
        if texts and sum(bool(re.search(form, text)) for text in texts) >= SHARE * len(texts):
            return kind
    return None


def personal_in_records(values: Mapping[str, Sequence[object]], of: str) -> tuple[dict[str, str], dict[str, str]]:
    """The paths of records of `of` that look personal, each with its kind; and what is not sure of them."""
    tags, by_values, open_ = {}, [], []
    for path, found in values.items():
        *above, name = path.split(".")
        if kind := personal_by_name(name, *(above or [of])):
            # A yes or no about a person, and an object, whose members have paths of their own, show nothing.
            if not any(isinstance(value, bool | dict) for value in found):
                tags[path] = kind
        elif kind := personal_by_values(found):
            tags[path] = kind
            by_values.append(path)
        elif is_free_text(name):
            open_.append(path)
    # What could not be read can hold what the tagged ones hold.
    return tags | ({UNREADABLE: "text"} if tags else {}), unsure_of_personal(by_values, open_)


def unsure_of_personal(by_values: list[str], open_: list[str]) -> dict[str, str]:
    """What is not sure of columns that are personal by their values, and of those that may hold anything."""
    said = [f"{', '.join(by_values)} by the form of the values"] if by_values else []
    said += [f"{', '.join(open_)} may hold anything: is something personal in there?"] if open_ else []
    return {"pii": "; ".join(said)} if said else {}
