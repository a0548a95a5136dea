"""How the pages of a list follow each other, in each of the ways that a declaration names.

dlt's `RESTClient` knows the same ways. It is not used because it reads an answer whole, of any length and for any time,
with a parser that makes floats of numbers, and notices no list that goes in a circle or that moves while it is read.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import httpx

from extract_load.connectors.api.http import Http
from extract_load.connectors.api.records import Record, look, split
from extract_load.declarations.api import Api, Pages

# A link with its parameters, and a parameter: its name and its value, quoted or not.
_VALUE = r'=\s*+(?:"((?:[^"\\]|\\.)*+)"|([^\s";,]*+))'
_PARAMETER = re.compile(rf';\s*+([^\s=;,"]++)\s*+(?:{_VALUE})?+')
_LINK = re.compile(rf'<([^<>]*+)>((?:\s*+;\s*+[^\s=;,"]++\s*+(?:{_VALUE})?+)*+)')


class Page(NamedTuple):
    """One answer: its bytes, its records, and how many pages it says there are; None: it does not."""

    body: bytes
    records: list[Record]
    count: int | None


class PagesMovedError(Exception):
    """The records changed while they were read page by page: some may have been skipped."""

    def __init__(self, what: str, pages: int = 2) -> None:
        """`pages`: how many there were; a list of one page that contradicts itself is not read in parts."""
        super().__init__(what)
        self.pages = pages


class _Answer(NamedTuple):
    """An answer with what stands beside its records."""

    response: httpx.Response
    beside: dict[str, Any]
    records: list[Record]


def first_parameters(said: Pages) -> dict[str, str]:
    """Those that ask for the first page."""
    parameters = {said.size_parameter: str(said.size)} if said.size_parameter else {}
    if said.by in ("number", "offset") and said.parameter:
        parameters[said.parameter] = str(said.first if said.by == "number" else 0)
    return parameters


def read_pages(http: Http, api: Api, parameters: Mapping[str, str]) -> Iterator[Page]:
    """All pages of one question, in order, each answered before the next is asked.

    A list ends where its declared total, number of pages or flag says so, with the page that has no cursor or link to
    go on, and, where nothing is declared, with an empty page. One that goes in a circle, that brings the same page
    again, or that has more than `most` pages is an error.

    Args:
        http: the API.
        api: what is declared of it.
        parameters: of the query; those of pages are added.

    Raises:
        StorehouseError: the API is away, too slow, or answers something that was not promised.
        PagesMovedError: the pages don't add up; reading all of them again may help.
    """
    said = api.pages
    # In the place of those that are given: a page's parameters come last.
    request = http.request(api.path, {**parameters, **first_parameters(said)})
    total: int | None = None
    count: int | None = None
    followed: set[str] = set()
    before: list[Record] = []
    number = seen = 0
    while True:
        answer = _ask(http, api, request)
        number, seen = number + 1, seen + len(answer.records)
        told = _told(http, answer, said, number)
        where = f"{api.path}, page {number:,}"
        if total is not None and told.get("total") not in (None, total):
            raise PagesMovedError(f"{where}: total {total} became {told['total']}")
        if count is not None and told.get("count") not in (None, count):
            raise PagesMovedError(f"{where}: {said.count or 'pages'} {count} became {told['count']}")
        total, count = told.get("total", total), told.get("count", count)
        # Of a list that may shift, with a total, the readings tell.
        is_read_once = total is None or not said.may_shift
        if said.by in ("number", "offset") and is_read_once and answer.records and answer.records == before:
            raise http.wrong(answer.response, f"has the records of the page before: {said.parameter} is not heeded")
        before = answer.records
        yield Page(answer.response.content, answer.records, count)
        request = _following(http, api, parameters, answer, _Read(number, seen, total, count), followed)
        if not request:
            break
        if number >= said.most:
            raise http.wrong(
                answer.response,
                f"is page {number:,}, and there are more: pages.most is {said.most:,}. Let the list be asked for in "
                "shorter intervals or longer pages, or allow more",
            )
    if total is not None and seen != total:
        raise PagesMovedError(f"{api.path}: {total:,} records were promised and {seen:,} came", pages=number)


def first_page(http: Http, api: Api, parameters: Mapping[str, str]) -> Page:
    """The first page alone.

    Raises:
        StorehouseError: as `read_pages`.
    """
    answer = _ask(http, api, http.request(api.path, {**parameters, **first_parameters(api.pages)}))
    return Page(answer.response.content, answer.records, _told(http, answer, api.pages, 1).get("count"))


class _Read(NamedTuple):
    """How far a list was read: pages, records, and how many there are of each, as the API says."""

    number: int
    seen: int
    total: int | None
    count: int | None


def _ask(http: Http, api: Api, request: httpx.Request) -> _Answer:
    response = http.answer(request)
    try:
        beside, records = split(response.content, api.records)
    except ValueError:
        where = f"at {api.records}" if api.records else "and nothing around it"
        raise http.wrong(response, f"is not the promised JSON with a list of records {where}") from None
    return _Answer(response, beside, records)


def _told(http: Http, answer: _Answer, said: Pages, number: int) -> dict[str, int]:
    """What an answer says of its list: its own number, the total, the number of pages."""
    paths = {"at": said.at, "count": said.count, "total": said.total}
    names = [path for path in paths.values() if path]
    headers = {"count": said.count_header, "total": said.total_header}
    try:
        told = {field: int(look(answer.beside, path)) for field, path in paths.items() if path}
        told |= {field: int(answer.response.headers[name]) for field, name in headers.items() if name}
    except (KeyError, TypeError, ValueError):
        names += [f"the header {name}" for name in headers.values() if name]
        words = f"{', '.join(names[:-1])} or {names[-1]}" if names[1:] else names[0]
        raise http.wrong(answer.response, f"lacks {words} as whole number{'s' if names[1:] else ''}") from None
    if said.by == "number" and told.get("at", number - 1 + said.first) != number - 1 + said.first:
        raise http.wrong(answer.response, f"is page {told['at']} where page {number - 1 + said.first} was asked for")
    return told


def _following(
    http: Http, api: Api, parameters: Mapping[str, str], answer: _Answer, read: _Read, followed: set[str]
) -> httpx.Request | None:
    """The request for the page after this one; None: this was the last one.

    Args:
        http: the API.
        api: what is declared of it.
        parameters: of the question, without those of pages.
        answer: the page.
        read: how far the list was read, this page included.
        followed: the cursors and links that were followed; the new one is added.

    Raises:
        StorehouseError: the list goes in a circle, or the answer has not what was promised.
    """
    said = api.pages
    if said.by == "none" or (said.more and not _flag(http, answer, said.more)):
        return None
    size = {name: value for name, value in first_parameters(said).items() if name == said.size_parameter}
    if said.by in ("number", "offset"):
        if read.count is not None:
            if read.number >= read.count:
                return None
        elif not answer.records or (read.total is not None and read.seen >= read.total):
            return None
        at = read.number + said.first if said.by == "number" else read.seen
        return http.request(api.path, {**parameters, **size, said.parameter or "": str(at)})
    onward = _onward(http, answer, said)
    # Some APIs answer the last cursor again when nothing is left.
    if onward is None or (onward in followed and not answer.records):
        return None
    if onward in followed:
        raise http.wrong(answer.response, "goes on where it was before: the list would never end")
    followed.add(onward)
    if said.by in ("link", "next"):
        return http.follow(onward, answer.response)
    return http.request(api.path, {**parameters, **size, said.parameter or "": onward}, hidden=said.parameter)


def _onward(http: Http, answer: _Answer, said: Pages) -> str | None:
    """The cursor or link to the next page; None: there is none."""
    if said.by == "link":
        onward = next_link(http, answer.response)
    elif said.by == "last":
        if not answer.records:
            return None
        onward = look(answer.records[-1].value, said.last or "")
        if not isinstance(onward, str) or not onward:
            raise http.wrong(answer.response, f"has a last record without {said.last}: the list can't be read on")
    else:
        onward = look(answer.beside, (said.cursor if said.by == "cursor" else said.next) or "")
    if onward is None or onward in ("", False):
        return None
    if not isinstance(onward, str):
        raise http.wrong(answer.response, f"has no text at {said.cursor or said.next}")
    return onward


def next_link(http: Http, response: httpx.Response) -> str | None:
    """The next page that a `Link` header names, as RFC 8288 writes it; None: it names none.

    httpx reads only the plain ones: to it the list would end at a header that is written otherwise.

    Raises:
        StorehouseError: there is a header, and nobody can read it.
    """
    header = response.headers.get("Link", "").strip()
    links = _LINK.findall(header)
    if header and not links:
        raise http.wrong(response, "has a Link header that can't be read")
    for url, parameters, *_ in links:
        for name, quoted, plain in _PARAMETER.findall(parameters):
            if name.lower() == "rel" and "next" in (quoted or plain).strip("'").lower().split():
                return url
    return None


def _flag(http: Http, answer: _Answer, path: str) -> bool:
    more = look(answer.beside, path)
    if not isinstance(more, bool):
        raise http.wrong(answer.response, f"lacks {path} as true or false")
    return more
