"""What looks personal, by a column's name and its values: for `discover`, which never prints a value."""

import re
from collections.abc import Iterable, Mapping, Sequence

from extract_load.declarations import UNREADABLE

# Forms of values, as regular expressions that Python and PostgreSQL read alike. A number alone is no telephone's.
EMAIL = r"^[^@ ]+@[^@ ]+[.][A-Za-z]{2,}$"
PHONE = r"^([+][0-9]|[(]?0[0-9]+[) /-])[0-9 ()/.-]{5,18}$"
FORMS = {"email": EMAIL, "text": PHONE}
# So many of the values that there are must have the form.
SHARE = 0.5

_NAMES = {
    "email": r"(e_?)?mail(_?address)?",
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
_BY_NAME = {kind: re.compile(rf"(.*_)?({names})", re.IGNORECASE) for kind, names in _NAMES.items()}
_PEOPLE = re.compile(
    r"(.*_)?(customer|user|person|people|contact|client|member|employee|account|buyer|seller|patient|guest|billing|"
    r"shipping|owner|author|recipient|reviewer)s?",
    re.IGNORECASE,
)
_FREE_TEXT = re.compile(r"(.*_)?(note|comment|message|remark|feedback|body|memo)s?", re.IGNORECASE)


def kind_by_name(name: str, of: str = "") -> str | None:
    """`email`, `name`, `address` or `text` if a column of this name looks personal; `of`: its table, or its parent."""
    plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+", "_", name)
    if plain.lower() == "name":
        return "name" if _PEOPLE.fullmatch(of) else None
    return next((kind for kind, names in _BY_NAME.items() if names.fullmatch(plain)), None)


def is_free_text(name: str) -> bool:
    """Whether people write into a column of this name what they like."""
    return bool(_FREE_TEXT.fullmatch(name))


def kind_by_values(values: Iterable[object]) -> str | None:
    """As `kind_by_name`, by the values: of the texts among them."""
    texts = [value for value in values if isinstance(value, str) and value]
    for kind, form in FORMS.items():
        if texts and sum(bool(re.search(form, text)) for text in texts) >= SHARE * len(texts):
            return kind
    return None


def in_records(values: Mapping[str, Sequence[object]], of: str) -> tuple[dict[str, str], str]:
    """The paths of records that look personal, with the kind of each; and what is not sure of it, in words, or "".

    Args:
        values: by path, such as `buyer.email`.
        of: the table.
    """
    tags, by_values, doubts = {}, [], []
    for path, found in values.items():
        above, _, name = path.rpartition(".")
        if kind := kind_by_name(name, above.rpartition(".")[2] or of):
            if not any(isinstance(value, dict) for value in found):
                tags[path] = kind
        elif kind := kind_by_values(found):
            tags[path] = kind
            by_values.append(path)
        elif is_free_text(name):
            doubts.append(path)
    if tags:
        tags[UNREADABLE] = "text"
    said = [f"{', '.join(by_values)} by the form of the values"] if by_values else []
    said += [f"{', '.join(doubts)} may hold anything: is something personal in there?"] if doubts else []
    return tags, "; ".join(said)
