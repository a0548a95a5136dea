"""What the tests of lineage share: a real HTTP server that takes OpenLineage events, their specification, their graph.

`lineage/spec/` has the specification's schemas as https://openlineage.io/spec/ publishes them (Apache License 2.0).
"""

import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

SPEC = Path(__file__).parent / "lineage" / "spec"
OFFICIAL = "https://openlineage.io/spec/"
# Facets of the integrations themselves, whose schemas their packages have.
THEIRS = "https://github.com/OpenLineage/OpenLineage/tree/main/integration/common/openlineage/schema/"
NEEDS_AUTHORIZATION = "Bearer a-key-for-lineage-alone"


@dataclass
class Backend:
    """A lineage backend: what it has received, in order."""

    url: str = ""
    events: list[dict] = field(default_factory=list)
    refused: int = 0


@contextmanager
def backend() -> Iterator[Backend]:
    """One that listens. It takes events with the right key alone."""
    found = Backend()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            is_right = self.path == "/api/v1/lineage" and self.headers["Authorization"] == NEEDS_AUTHORIZATION
            found.events += [json.loads(body)] if is_right else []
            found.refused += not is_right
            self.send_response(201 if is_right else 401)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    found.url = f"http://127.0.0.1:{server.server_port}"
    yield found
    server.shutdown()
    server.server_close()


def to_file(file: Path) -> dict:
    """The transport that appends events to this file."""
    return {"type": "file", "log_file_path": str(file), "append": True}


def to_server(url: str) -> dict:
    """The transport that posts them there."""
    return {"type": "http", "url": url, "auth": {"type": "api_key", "apiKey": NEEDS_AUTHORIZATION.split()[1]}}


def to_all(*transports: dict) -> str:
    """The variable's value that sends them to all of these."""
    return json.dumps({"type": "composite", "transports": list(transports)})


def read(file: Path) -> list[dict]:
    """The events of a file."""
    return [json.loads(line) for line in file.read_text().splitlines()]


def check(events: Iterable[dict]) -> None:
    """Each event, and each facet of it, is as its own schema says; a facet whose schema is not here is an error."""
    for event in events:
        _check(event, event["schemaURL"])
        for facet in _facets(event):
            _check(facet, facet["_schemaURL"])


def _facets(event: dict) -> Iterator[dict]:
    for owner in (event["run"], event["job"], *event.get("inputs", []), *event.get("outputs", [])):
        for kind in ("facets", "inputFacets", "outputFacets"):
            yield from (owner.get(kind) or {}).values()


def _check(thing: dict, url: str) -> None:
    errors = list(_validator(url).iter_errors(thing))
    assert not errors, [f"{url}: {error.json_path}: {error.message}" for error in errors]


@cache
def _validator(url: str) -> Draft202012Validator:
    registry, formats = Registry(retrieve=_schema), FormatChecker()
    if url.startswith(THEIRS):
        # An integration's own facet: its package has the schema, but of the newest, which must be facets at all.
        known = [*_definitions(url), f"{OFFICIAL}2-0-2/OpenLineage.json#/$defs/BaseFacet"]
        url = known[0]
    return Draft202012Validator({"$ref": url}, registry=registry, format_checker=formats)


def _definitions(url: str) -> list[str]:
    file = _file(url)
    names = json.loads(file.read_text())["$defs"] if file.is_file() else {}
    return [f"{url}#/$defs/{name}" for name in names if name.endswith("Facet")]


def _file(url: str) -> Traversable:
    if url.startswith(OFFICIAL):
        return SPEC / url.removeprefix(OFFICIAL)
    if url.startswith(THEIRS):
        return resources.files("openlineage.common") / "schema" / url.removeprefix(THEIRS)
    raise LookupError(f"no schema here: {url}")


def _schema(url: str) -> Resource:
    return Resource.from_contents(json.loads(_file(url).read_text()), default_specification=DRAFT202012)


def sources_of(events: Iterable[dict], name: str) -> set[str]:
    """The datasets, as `namespace/name`, that this one is made of, from step to step of completed runs."""
    parents: dict[str, set[str]] = {}
    for event in events:
        if event["eventType"] == "COMPLETE":
            read = {f"{of['namespace']}/{of['name']}" for of in event["inputs"]}
            for made in event["outputs"]:
                parents.setdefault(f"{made['namespace']}/{made['name']}", set()).update(read)
    found, to_visit = set(), [name]
    while to_visit:
        for parent in parents.get(to_visit.pop(), set()) - found:
            found.add(parent)
            to_visit.append(parent)
    return found


def columns_of(events: Iterable[dict], table: str, column: str) -> set[tuple[str, str]]:
    """The columns, with their tables, that this one is made of, from step to step."""
    parents: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for event in events:
        for made in event["outputs"]:
            fields = made.get("facets", {}).get("columnLineage", {}).get("fields", {})
            for name, of in fields.items():
                read = {(field["name"], field["field"]) for field in of["inputFields"]}
                parents.setdefault((made["name"], name), set()).update(read)
    found, to_visit = set(), [(table, column)]
    while to_visit:
        for parent in parents.get(to_visit.pop(), set()) - found:
            found.add(parent)
            to_visit.append(parent)
    return found
