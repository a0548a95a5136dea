"""The audit: rebuild every converging model from raw beside the warehouse, at the same bound, and compare both ways.

What readers see is compared with what is built, unless that is held back.

It can begin at the source: then raw is compared with the databases that it was landed from, and nothing is landed.
"""

import time
from typing import LiteralString, NamedTuple

import psycopg
from psycopg import sql

import extract_load
from extract_load import tables
from storehouse.core import transform
from storehouse.core.databases import open_warehouse
from storehouse.core.errors import StorehouseError, as_error
from storehouse.core.progress import say
from storehouse.core.queries import columns_of, one_row, one_value
from storehouse.core.selection import words
from storehouse.operate import published

# The target of this name in profiles.yml: its schemas have this prefix, and are dropped at the end.
SCRATCH = "audit"
EXAMPLES = 5
BY_HAND = ".venv/bin/python -m storehouse dbt"
ROUNDS = 5


class Model(NamedTuple):
    """A converging model: where it stands, its key, and where and in which group it is published, if it is."""

    name: str
    schema: str
    table: str
    key: list[str]
    published_schema: str | None = None
    group: str | None = None


class Verdict(NamedTuple):
    """What comparing one table found: a note when it could not be compared, or waits for another build (`waits`)."""

    model: Model
    rows: int
    differences: int
    seconds: float
    examples: list[str]
    note: str = ""
    waits: bool = False

    @property
    def line(self) -> str:
        """The line that a person reads, and under it the keys that differ."""
        name = f"{self.model.schema}.{self.model.table}"
        head = f"{name:<48}{self.rows:>12,} rows {self.differences:>8,} different"
        return "\n".join([f"{head} {self.seconds:>6.1f} s  {self.note}".rstrip(), *(f"    {e}" for e in self.examples)])


def audit(select: str | None = None) -> list[Verdict]:
    """Compare the selected converging models (all by default) with their full refresh over the same raw rows.

    Safe while the warehouse is in use: it only reads what is there, and follows a run that moves the bound meanwhile.

    Raises:
        StorehouseError: a model could not be rebuilt, or nothing was selected.
    """
    models = _selected(select)
    try:
        for _ in range(ROUNDS):
            say("audit", f"rebuilding {len(models)} models in the schemas {SCRATCH}_…")
            chosen = [f"+{model.name},config.materialized:converging" for model in models]
            if failures := transform.build(["run", "--select", *chosen], target=SCRATCH):
                raise as_error("The audit could not rebuild every model:\n  " + "\n  ".join(failures))
            with open_warehouse("transform") as warehouse, warehouse.speaking():
                # One snapshot for all tables: the warehouse may move on, what is compared does not.
                warehouse.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
                warehouse.autocommit = False
                if not _moved(warehouse):
                    verdicts = [_compare(warehouse, model) for model in models]
                    verdicts += _compare_published(warehouse, models)
                    break
            say("audit", "a run moved the bound meanwhile: following it")
        else:
            raise StorehouseError(f"A run moved the bound in each of {ROUNDS} rounds. Audit when fewer runs are on.")
        _note(verdicts)
        return verdicts
    finally:
        drop_scratch()


def _note(verdicts: list[Verdict]) -> None:
    """Leave a trace for `operations.alerts`: what is behind, or waits for another build, was not judged."""
    with open_warehouse("transform") as warehouse, warehouse.speaking():
        if one_value(warehouse, "select to_regclass('operations.audit_log') is null"):
            return  # built by an earlier version: the next build makes it
        with warehouse.transaction(), warehouse.cursor() as cursor:
            cursor.executemany(
                "insert into operations.audit_log (relation, rows, differences) values (%s, %s, %s)",
                [(f"{v.model.schema}.{v.model.table}", v.rows, v.differences) for v in verdicts if not v.note],
            )


def _selected(select: str | None) -> list[Model]:
    listed = transform.names(["--resource-type", "model", *_chosen(select)])
    models = [
        Model(
            node["name"],
            node["schema"],
            node["alias"],
            _as_list(node["config"]["unique_key"]),
            transform.published_schema(node),
            transform.published_group(node),
        )
        for node in transform.manifest()["nodes"].values()
        if node["unique_id"] in listed and node["config"]["materialized"] == "converging"
    ]
    if not models:
        raise StorehouseError(f"No converging model matches {select!r}. Selections are dbt's: a name, a folder, +name.")
    return models


def _chosen(select: str | None) -> list[str]:
    """dbt's arguments for a selection."""
    return ["--select", *words(select)] if select else []


def _as_list(key: str | list[str]) -> list[str]:
    return [key] if isinstance(key, str) else key


def _moved(warehouse: psycopg.Connection) -> bool:
    """True when a model of the warehouse has consumed other loads than its rebuilt twin."""
    return one_value(
        warehouse,
        f"""
        select exists (
            select 1
            from converge.lag as ours
            join {SCRATCH}_converge.lag as twins
                on twins.relation = '{SCRATCH}_' || ours.relation and twins.input = ours.input
            where ours.input like 'raw%%' and ours.consumed != twins.consumed
        )
        """,
    )


def _behind(warehouse: psycopg.Connection, model: Model) -> list[str]:
    """The inputs, of the model or of a table that it is built from, that a run would read more of."""
    rows = warehouse.execute(
        """
        with recursive lineage as (
            select %s::text as relation
            union
            select lag.input from converge.lag join lineage using (relation)
        )
        select distinct lag.input from converge.lag join lineage using (relation) where lag.is_behind
        """,
        [f"{model.schema}.{model.table}"],
    ).fetchall()
    return [row[0] for row in rows]


def _compare_published(warehouse: psycopg.Connection, models: list[Model]) -> list[Verdict]:
    """What readers see of the models that are published, beside what is built. Nothing before the first publication."""
    groups = {group.name: group for group in published.read(warehouse) if group.published_at}
    waits = {group.name: group.waits for group in groups.values() if group.held_back}
    verdicts = []
    for model in models:
        if model.published_schema and model.group in groups:
            shown = model._replace(schema=model.published_schema)
            verdict = _compare(warehouse, shown, model.schema, "what is built")
            if verdict.differences and _behind_build(warehouse, shown):
                note = waits.get(str(model.group), "not published yet: dbt run-operation converge.publish")
                verdict = verdict._replace(note=note, waits=True)
            verdicts.append(verdict)
    return verdicts


def _behind_build(warehouse: psycopg.Connection, shown: Model) -> bool:
    """Whether the publisher would find changes of what is built: if not, a difference is no change that waits."""
    query = "select coalesce(bool_or(is_behind), false) from converge.lag where relation = %s"
    return one_value(warehouse, query, [f"{shown.schema}.{shown.table}"])


def _compare(
    warehouse: psycopg.Connection, model: Model, twins_schema: str | None = None, origin: str = "raw"
) -> Verdict:
    """Compare a model with the table of its name in another schema, by default the one that was rebuilt from raw."""
    began = time.monotonic()
    ours, twin = (
        sql.Identifier(schema, model.table) for schema in (model.schema, twins_schema or f"{SCRATCH}_{model.schema}")
    )
    if one_value(warehouse, "select to_regclass(%s)", [f"{model.schema}.{model.table}"]) is None:
        return Verdict(model, 0, 1, 0, [], "not there yet: dbt build")
    columns = [column.name for column in columns_of(warehouse, ours)]
    join = sql.SQL(" and ").join(sql.SQL("ours.{0} = twin.{0}").format(sql.Identifier(c)) for c in model.key)

    def each(form: LiteralString, side: str) -> sql.Composable:
        return sql.SQL(", ").join(sql.SQL(form).format(sql.Identifier(side, column)) for column in columns)

    # The same bytes, not only equal values: 1.0 is not 1.00, and some types have no equality.
    differs = sql.SQL("not record_image_eq(row({}), row({}))").format(each("{}", "ours"), each("{}", "twin"))
    key = sql.Identifier(model.key[0])
    pairs = sql.SQL("from {ours} as ours full join {twin} as twin on {join}").format(ours=ours, twin=twin, join=join)
    wrong = sql.SQL("ours.{key} is null or twin.{key} is null or {differs}").format(key=key, differs=differs)
    rows, differences = one_row(
        warehouse, sql.SQL("select count(ours.{}), count(*) filter (where {}) {}").format(key, wrong, pairs)
    )
    examples = []
    if differences:
        hashed = f"md5(concat_ws('|', {', '.join(model.key)}))"
        keys = sql.SQL(", ").join(sql.SQL("coalesce(ours.{0}, twin.{0})").format(sql.Identifier(c)) for c in model.key)
        found = warehouse.execute(
            sql.SQL("select md5(concat_ws('|', {})), array[{}], array[{}] {} where {} limit {}").format(
                keys, each("to_json({})::text", "ours"), each("to_json({})::text", "twin"), pairs, wrong, EXAMPLES
            )
        )
        is_row = columns.index(model.key[0])
        examples = [
            _explain(key, columns, *(side if side[is_row] else None for side in pair), origin=origin)
            for key, *pair in found
        ]
        examples.append(f"to see one: select * from {model.schema}.{model.table} where {hashed} = '…'")
    note = f"behind {', '.join(behind)}: dbt build" if (behind := _behind(warehouse, model)) else ""
    return Verdict(model, rows, differences, time.monotonic() - began, examples, note)


def _explain(
    key: str, columns: list[str], ours: list[str | None] | None, twin: list[str | None] | None, origin: str
) -> str:
    """Which columns of a row differ, by a hash of its key: no log keeps a value of a row. A side has them as JSON."""
    if not ours:
        return f"{key}: missing here, {origin} has it"
    if not twin:
        return f"{key}: here, though {origin} does not have it"
    wrong = [(name, here, there) for name, here, there in zip(columns, ours, twin, strict=True) if here != there]
    return f"{key}: " + ", ".join(
        f"{name} has {_sized(here)}, in {origin} {_sized(there)}" for name, here, there in wrong
    )


def _sized(value: str | None) -> str:
    return "nothing" if value is None else f"{len(value.strip(chr(34)))} characters"


def audit_sources(select: str | None = None) -> tuple[list[str], int]:
    """Compare raw, of the tables that the selected models are built from, with their databases.

    Returns:
        A line a table: living rows at the source, in raw and accepted in staging, what differs, hashes of keys; and how
        many tables differ.

    Raises:
        StorehouseError: a source could not be compared.
    """
    lines, wrong = [], 0
    for source, names in _databases(select).items():
        say("audit", f"comparing raw_{source} with its source")
        for found in extract_load.reconcile(source, tables=names, compare="columns", is_dry=True):
            wrong += found.differences > 0
            lines.append(
                f"{found.table:<24}{found.at_source:>12,} source {found.in_raw:>12,} raw {_accepted(found.table):>12} "
                f"accepted {found.differences:>8,} different"
                + (f"  {found.unread:,} more not read yet: the next load" if found.unread else "")
            )
            lines += [f"    {rows:,} {words}" for words, rows in found.found.items()]
            if found.keys:
                place = f"where {found.key_hash} = {found.keys[0]}"
                lines.append(f"    keys, hashed: {', '.join(map(str, found.keys))}")
                lines.append(f"    to see one, in raw_{found.table} or at the source: select * from … {place}")
    return lines, wrong


def _databases(select: str | None) -> dict[str, list[str]]:
    """The tables of databases in use that the selected models are built from, by source."""
    nodes = transform.manifest()["nodes"]
    wanted = set(transform.names(["--resource-type", "model", *_chosen(select)]))
    todo, found = list(wanted), {}
    while todo:
        for parent in nodes.get(todo.pop(), {}).get("depends_on", {}).get("nodes", []):
            if parent not in wanted:
                wanted.add(parent)
                todo.append(parent)
    for table in tables.TABLES:
        is_wanted = any(name.endswith(f".{table.source}.{table.name}") for name in wanted if name.startswith("source."))
        if is_wanted and table.connector == "postgres" and table.source in extract_load.in_use():
            found.setdefault(table.source, []).append(table.name)
    return found


def _accepted(label: str) -> str:
    """How many rows of a landed table live in its staging model; a dash where there is none yet."""
    model = sql.Identifier("staging", f"stg_{label.replace('.', '__')}")
    with open_warehouse("transform") as warehouse, warehouse.speaking():
        if one_value(warehouse, "select to_regclass(%s) is null", [model.as_string(warehouse)]):
            return "-"
        return f"{one_value(warehouse, sql.SQL('select count(*) from {} where not _is_deleted').format(model)):,}"


def drop_scratch() -> None:
    """Remove the scratch target's schemas: those of the project's own layers, whatever else has such a name."""
    layers = {node["config"].get("schema") for node in transform.manifest()["nodes"].values()} | {"converge"}
    with open_warehouse("transform") as warehouse, warehouse.speaking():
        for layer in sorted(filter(None, layers)):
            schema = sql.Identifier(f"{SCRATCH}_{layer}")
            warehouse.execute(sql.SQL("drop schema if exists {} cascade").format(schema))


def main(select: str | None, *, from_source: bool = False) -> int:
    """Audit, print a line a table, and return the exit code: 1 when anything differs."""
    lines, missed = audit_sources(select) if from_source else ([], 0)
    verdicts = audit(select)
    for line in lines:
        print(line)
    for verdict in verdicts:
        print(verdict.line)
    say("audit", "testing all rows")
    failed = transform.build(["test", "--exclude-resource-type", "unit_test", *_chosen(select)])
    for test in failed:
        print(f"test failed: {test}")
    wrong = [verdict for verdict in verdicts if verdict.differences and not verdict.waits]
    print(f"\n{len(verdicts)} tables, {sum(v.rows for v in verdicts):,} rows, {len(wrong)} tables with differences.")
    if wrong:
        print("A table that differs was written by hand, or its model broke a rule of converge. Put it right with:")
        if built := [f"{v.model.name}+" for v in wrong if v.model.schema != v.model.published_schema]:
            print(f"  {BY_HAND} build --full-refresh --select {' '.join(built)}")
        if len(built) < len(wrong):
            print(f"  {BY_HAND} run-operation converge.publish --args '{{compare: true}}'")
    if any(verdict.differences and verdict.waits for verdict in verdicts):
        print("Of a table that waits to be published, a row that was written by hand is not told from one that waits.")
    if missed:
        print(
            f"Raw differs from its source in {missed} tables: loads have missed changes. Land them with: make reconcile"
            "; of a table that is read in full or by change_log, with its next load. "
            "docs/runbook.md#raw-differs-from-its-source"
        )
    return 1 if wrong or failed or missed else 0
