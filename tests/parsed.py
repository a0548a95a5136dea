"""What dbt has parsed, lent to every home: a parse of the whole project costs seven seconds.

dbt throws it away where the vars, the target or anything of the connection is another. Of the connection, only the
database's name is in what was parsed, and of the vars none that a test sets. So there is one parse for each target,
kept up to date from run to run, and a home gets a copy that names its own database, connection and vars.
"""

import pprint
from functools import cache
from importlib.metadata import version
from pathlib import Path

import msgpack
import warm
from warm import DATABASE

from storehouse.core.settings import PROJECT
from storehouse.laptop.server import free_port

FOLDERS = {"default": ".", "audit": "audit"}  # of the targets, in dbt's target folder


def lend(environment: dict[str, str], target: str = "default", given: dict[str, object] | None = None) -> None:
    """Give a home whose dbt has parsed nothing yet what was parsed.

    Args:
        environment: of the commands in it. An embedded server of its own that has never run is told its port.
        target: of profiles.yml: `default`, or the audit's.
        given: dbt's `--vars` of all commands in it. What reads them while dbt parses needs a parse of its own.
    """
    home, folder = (Path(environment[name]) for name in ("STOREHOUSE_HOME", "DBT_TARGET_PATH"))
    file = folder / FOLDERS[target] / "partial_parse.msgpack"
    if file.exists():
        return
    place = {name: value for name, value in environment.items() if name.startswith(("WAREHOUSE_", "PG"))}
    if "WAREHOUSE_HOST" not in place:
        port = home / "postgres" / "port"
        if not port.exists():
            port.parent.mkdir(parents=True)
            port.write_text(str(free_port()))
        place["WAREHOUSE_PORT"] = port.read_text()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(_parsed_for(frozenset(place.items()), target, pprint.pformat(given or {})))


@cache
def _parsed_for(place: frozenset[tuple[str, str]], target: str, given: str) -> bytes:
    """The parse, as dbt itself would have saved it with these variables of a connection, and these vars."""
    database, connection = _connection(dict(place), target)
    parsed = msgpack.unpackb(_parsed(target))
    for node in [*parsed["nodes"].values(), *parsed["sources"].values()]:
        node["database"] = database
        if node["relation_name"]:
            node["relation_name"] = node["relation_name"].replace(f'"{DATABASE}".', f'"{database}".', 1)
    parsed["state_check"]["profile_hash"] = connection
    parsed["state_check"]["vars_hash"] = _hash("\0".join([given, "storehouse", target, version("dbt-core")]))
    return msgpack.packb(parsed)


def _connection(environment: dict[str, str], target: str) -> tuple[str, dict[str, str]]:
    """The name of the database, and the hash of the connection that dbt compares, as the profile gives them."""
    from dbt.adapters.factory import load_plugin
    from dbt.config.profile import Profile, read_profile
    from dbt.config.renderer import ProfileRenderer
    from dbt_common.context import set_invocation_context

    set_invocation_context(environment)
    profiles = read_profile(str(PROJECT))["storehouse"]
    _, profile = Profile.render_profile(profiles, "storehouse", target, ProfileRenderer({}))
    kind = load_plugin(profile.pop("type"))
    credentials = kind.from_dict(kind.translate_aliases(profile))
    return credentials.database, _hash(pprint.pformat(sorted(credentials.connection_info())))


def _hash(contents: str) -> dict[str, str]:
    from dbt.artifacts.resources import FileHash

    return FileHash.from_contents(contents).to_dict()


@cache
def _parsed(target: str) -> bytes:
    """The parse of the project as it stands."""
    warm.process()  # it has parsed the default target
    with warm.parsing(target) as environment:
        if target != "default":
            done = warm.run("storehouse", "dbt", "--quiet", "parse", "--target", target, env=environment)
            assert done.returncode == 0, done.stdout + done.stderr
        return (Path(environment["DBT_TARGET_PATH"]) / "partial_parse.msgpack").read_bytes()
