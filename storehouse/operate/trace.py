"""What became of one key of a mart: its landed versions, what each layer holds of it, and what readers see.

All of it is found in dbt's graph: the models that the mart is built from and that have its key. A landed version is
judged anew by the model of staging itself, `judged_…`. Columns that are tagged as personal are not read.
"""

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from storehouse.core import transform
from storehouse.core.databases import open_warehouse
from storehouse.core.errors import StorehouseError
from storehouse.core.queries import as_sql
from storehouse.core.settings import quoted
from storehouse.operate import published
from storehouse.operate.forget import places

# Where a session has the values that are sought: no text of a person's gets into SQL or Jinja.
SOUGHT = "current_setting('storehouse.sought_{}')"
AT_MOST = 100  # rows of one model that are shown
_VERSIONS = """
    select
        '{staging}' as model,
        _load_id,
        _row,
        _version_at,
        _is_deleted,
        _errors,
        to_jsonb(judged) ->> '_file' as file,
        to_jsonb(judged) ->> '_line' as line,
        (
            select jsonb_object_agg(key, value)
            from jsonb_each(to_jsonb(judged))
            where key in ({columns}) and value != 'null'
        ) as shown
    from {{{{ ref('{judged}') }}}} as judged
    where {is_sought}
"""
_LOADS = """
    select
        found.*,
        loads.source || '.' || loads.table_name as "table",
        loads.kind,
        loads.partition,
        loads.interval_from,
        loads.interval_until,
        loads.finished_at as landed_at,
        loads.run_id,
        loads.position,
        quarantined.status
    from ({versions}) as found
    inner join raw.loads on loads.load_id = found._load_id
    left join quarantine.refused_records as refused using (_load_id, _row)
    left join quarantine.quarantined_records as quarantined using (record_id)
    order by loads.position, found._row
"""


def main(model: str, values: list[str], *, is_json: bool) -> int:
    """Trace a key and print what was found.

    Args:
        model: a mart's name.
        values: of its key, in the order of its columns; of a longer key the first ones will do.
        is_json: print it for programs.

    Raises:
        StorehouseError: there is no such mart, or nothing of the key anywhere.
    """
    found = trace(model, values)
    if is_json:
        group = found["published"]
        print(json.dumps(found | {"published": group and group._asdict()}, indent=2, default=_plain))
    else:
        print("\n".join(_lines(found)))
    return 0


def trace(model: str, values: list[str]) -> dict[str, Any]:
    """The landed versions of a key, its rows in each layer, and what readers see: as `main` prints it.

    Raises:
        StorehouseError: as `main`.
    """
    if not all(value.isprintable() for value in values):
        raise StorehouseError("A value of the key has a character that is none to be printed.")
    try:
        graph = transform.manifest()
    except FileNotFoundError:
        raise StorehouseError("dbt's graph has not been written here yet: make manifest, or make run") from None
    nodes = {id_: node for id_, node in graph["nodes"].items() if node["resource_type"] == "model"}
    mart = _mart(nodes, model)
    keys = _key(nodes, mart)
    if len(values) > len(keys):
        raise StorehouseError(f"The key of {model} has {len(keys)} columns: {', '.join(keys)}.")
    keys = keys[: len(values)]
    is_sought = " and ".join(f"{key}::text = {SOUGHT.format(n)}" for n, key in enumerate(keys))
    tables = [(node["schema"], node) for node in _ancestors(nodes, mart)] + [(transform.published_schema(mart), mart)]
    with open_warehouse("transform") as warehouse, warehouse.speaking():
        for n, value in enumerate(values):
            warehouse.execute("select set_config(%s, %s, false)", [f"storehouse.sought_{n}", value])
        there = [(schema, node, _columns(warehouse, schema, node)) for schema, node in tables]
        having = [(schema, node, columns) for schema, node, columns in there if set(keys) <= set(columns)]
        hidden = _tagged(graph)
        shown = [
            (schema, node, [column for column in columns if not _is_hidden(node, column, hidden)])
            for schema, node, columns in having
        ]
        versions = _versions(warehouse, nodes, shown, is_sought)
        rows = {
            f"{schema}.{node['alias']}": _rows(warehouse, schema, node, columns, is_sought)
            for schema, node, columns in shown
        }
        of_group = transform.published_group(mart)
        group = next((group for group in published.read(warehouse) if group.name == of_group), None)
    if not shown:
        raise StorehouseError(
            f"Nothing that {model} is made of was built here yet, so its keys are not known: dbt build"
        )
    if not versions and not any(rows.values()):
        words = ", ".join(f"{key} {value}" for key, value in zip(keys, values, strict=True))
        raise StorehouseError(
            f"Nothing has landed of {words}, and no table that {model} is built from has it. "
            "Ids are those of the marts: web-123, mkt-MP-…, store-S-01/S1-…"
        )
    return {
        "model": model,
        "key": dict(zip(keys, values, strict=True)),
        "versions": versions,
        "rows": rows,
        "published": group,
    }


def _mart(nodes: Mapping[str, Any], name: str) -> dict[str, Any]:
    marts = {node["name"]: node for node in nodes.values() if transform.published_schema(node)}
    if name not in marts:
        raise StorehouseError(f"There is no mart of this name. There are: {', '.join(sorted(marts))}.")
    return marts[name]


def _key(nodes: Mapping[str, Any], node: Mapping[str, Any]) -> list[str]:
    """The columns of its key; of a view those of the table that it is made from."""
    key = node["config"].get("unique_key")
    for parent in node["depends_on"]["nodes"]:
        if not key and parent in nodes and set(theirs := _key(nodes, nodes[parent])) <= node["columns"].keys():
            key = theirs
    return [key] if isinstance(key, str) else list(key or [])


def _ancestors(nodes: Mapping[str, Any], node: dict[str, Any]) -> list[dict[str, Any]]:
    """What it is built from, in the order of the build, itself last."""
    found: dict[str, dict[str, Any]] = {}

    def visit(id_: str) -> None:
        if id_ in nodes and id_ not in found:
            for parent in nodes[id_]["depends_on"]["nodes"]:
                visit(parent)
            found[id_] = nodes[id_]

    visit(node["unique_id"])
    return list(found.values())


def _columns(warehouse: psycopg.Connection, schema: str, node: Mapping[str, Any]) -> list[str]:
    """The columns of its table or view; none if it has not been built, or is in no database."""
    rows = warehouse.execute(
        "select attname from pg_attribute "
        "where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped order by attnum",
        [f"{quoted(schema)}.{quoted(node['alias'])}"],
    )
    return [name for (name,) in rows]


def _tagged(graph: Mapping[str, Any]) -> set[str]:
    """The names of columns, and of members of JSON, that a source or a model tags as personal."""
    landed = {name for place in places.landed() for name in (place.column, *place.path[-1:])}
    return landed | {
        name
        for node in graph["nodes"].values()
        for name, column in node["columns"].items()
        if "pii" in column["config"]["meta"]
    }


def _is_hidden(node: Mapping[str, Any], column: str, tagged: set[str]) -> bool:
    """True unless it is masked, or bears the name of nothing that is tagged."""
    known = node["columns"].get(column)
    return column in tagged and not (known and known["config"]["meta"].get("masked"))


def _versions(warehouse: psycopg.Connection, nodes: Mapping, tables: list[tuple], is_sought: str) -> list[dict]:
    """All landed versions of the key, in the order in which they landed."""
    judged = {node["name"] for node in nodes.values()}
    asked = [
        _VERSIONS.format(
            staging=node["name"],
            judged=name,
            columns=", ".join(f"'{column}'" for column in columns),
            is_sought=is_sought,
        )
        for _, node, columns in tables
        if (name := node["name"].replace("stg_", "judged_", 1)) in judged and name != node["name"]
    ]
    if not asked:
        return []
    query = _LOADS.format(versions=transform.compiled(" union all ".join(asked)))
    with warehouse.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(as_sql(query)).fetchall()


def _rows(
    warehouse: psycopg.Connection, schema: str, node: Mapping[str, Any], columns: list[str], is_sought: str
) -> list[dict]:
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    with warehouse.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            sql.SQL("select {} from {} where {} limit {}").format(
                names, sql.Identifier(schema, node["alias"]), as_sql(is_sought), sql.Literal(AT_MOST)
            )
        ).fetchall()


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    """What a person reads."""
    group = found["published"]
    bound = group.position if group else None
    yield f"{', '.join(f'{key} {value}' for key, value in found['key'].items())} in {found['model']}"
    yield "landed" if found["versions"] else "no landed row has this key: trace one of those that it is made of"
    for version in found["versions"]:
        since = f"{version['interval_from']} " if version["interval_from"] else ""
        interval = f", {since}to {version['interval_until']}" if version["interval_until"] else ""
        place = f", {version['file']} line {version['line']}" if version["file"] else ""
        yield (
            f"  {version['table']}, {version['landed_at']:%Y-%m-%d %H:%M:%S} UTC: load {version['_load_id']} "
            f"({version['kind']}{interval}{place}), row {version['_row']}, position {version['position']}, "
            f"run {version['run_id']}"
        )
        if version["_errors"]:
            yield f"    refused ({version['status'] or 'not built yet'}): {'; '.join(version['_errors'])}"
        else:
            seen = "" if bound is None or version["position"] <= bound else "; readers don't see it yet"
            yield f"    accepted{', deleted' if version['_is_deleted'] else ''}{seen}: {_words(version['shown'] or {})}"
    for relation, rows in found["rows"].items():
        if rows:
            yield f"{relation}: {len(rows)} row{'s' * (len(rows) > 1)}{', and more' * (len(rows) == AT_MOST)}"
        for row in rows:
            yield f"    {_words(row)}"
    if lacking := [relation for relation, rows in found["rows"].items() if not rows]:
        yield f"no row in {', '.join(lacking)}"
    if group:
        yield f"readers of {group.name} see {group.stands}"
    if group and group.held_back:
        yield group.waits


def _words(row: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} {_plain(value)}" for name, value in row.items() if value is not None and not name.startswith("_")
    )


def _plain(value: object) -> str:
    """As a person writes it: not `0E-10`."""
    return f"{value.normalize():f}" if isinstance(value, Decimal) else str(value)
