"""What dbt has parsed, lent to every home: a parse of the whole project costs seven seconds.

dbt throws it away where the vars, the target or anything of the connection is another. Of the connection, only the
database is in what was parsed. So there is one parse for each database's name and target, kept up to date from run to
run, and a home gets a copy that names its own connection.
"""

import pprint
from functools import cache
from pathlib import Path

import msgpack
import warm

from storehouse.core.settings import PROJECT
from storehouse.laptop.server import free_port

FOLDERS = {"default": ".", "audit": "audit"}  # of the targets, in dbt's target folder


def lend(environment: dict[str, str], target: str = "default") -> None:
    """Give a home whose dbt has parsed nothing yet what was parsed.

    Args:
        environment: of the commands in it. An embedded server of its own that has never run is told its port.
        target: of profiles.yml: `default`, or the audit's.
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
    file.write_bytes(_parsed_for(frozenset(place.items()), target))


@cache
def _parsed_for(place: frozenset[tuple[str, str]], target: str) -> bytes:
    """The parse, as dbt itself would have saved it with these variables of a connection."""
    database, connection = _connection(dict(place), target)
    parsed = msgpack.unpackb(_parsed(database, target))
    parsed["state_check"]["profile_hash"] = connection
    return msgpack.packb(parsed)


def _connection(environment: dict[str, str], target: str) -> tuple[str, dict[str, str]]:
    """The name of the database, and the hash of the connection that dbt compares, as the profile gives them."""
    from dbt.adapters.factory import load_plugin
    from dbt.artifacts.resources import FileHash
    from dbt.config.profile import Profile, read_profile
    from dbt.config.renderer import ProfileRenderer
    from dbt_common.context import set_invocation_context

    set_invocation_context(environment)
    profiles = read_profile(str(PROJECT))["storehouse"]
    _, profile = Profile.render_profile(profiles, "storehouse", target, ProfileRenderer({}))
    kind = load_plugin(profile.pop("type"))
    credentials = kind.from_dict(kind.translate_aliases(profile))
    found = FileHash.from_contents(pprint.pformat(sorted(credentials.connection_info())))
    return credentials.database, found.to_dict()


@cache
def _parsed(database: str, target: str) -> bytes:
    """The parse of the project as it stands."""
    warm.process()  # it parses too, and before
    with warm.parsing(database, target) as environment:
        done = warm.run("storehouse", "dbt", "--quiet", "parse", "--target", target, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return (Path(environment["DBT_TARGET_PATH"]) / "partial_parse.msgpack").read_bytes()
