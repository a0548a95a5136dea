"""What looks personal, by a column's name and its values: for `discover`, which never prints a value."""

import re
from collections.abc import Iterable

# Forms of values, as regular expressions that Python and PostgreSQL read alike. A number alone is no telephone's.
EMAIL = r"^[^@ ]+@[^@ ]+[.][A-Za-z]{2,}$"
PHONE = r"^([+][0-9]|[(]?0[0-9]+[) /-])[0-9 ()/.-]{5,18}$"
FORMS = {"email": EMAIL, "text": PHONE}
# So many of the values that there are must have the form.
SHARE = 0.5

_NAMES = {
    "email": r"e?mail(_?address)?",
    "name": (
        r"(first|last|full|sur|given|family|middle|maiden|contact|customer|client|buyer|user|nick|display|holder|"
        r"recipient|billing|shipping)_?name|surname|vorname|nachname"
    ),
    "text": (
        r"(tele)?phone(_?(number|no))?|mobile|fax|(date_of_)?birth(_?(date|day))?|dob|ip(_?addr(ess)?)?|iban|bic|ssn|"
        r"(passport|tax|card|account)_?(number|no|id)"
    ),
    "address": r"(street|home)?_?(address|addr)(_?line)?_?[0-9]?|street|zip|(zip|post(al)?)_?code",
}
_BY_NAME = {kind: re.compile(rf"(.*_)?({names})", re.IGNORECASE) for kind, names in _NAMES.items()}
_PEOPLE = re.compile(
    r"(.*_)?(customer|user|person|people|contact|client|member|employee|account|buyer|seller|patient|guest)s?",
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
