"""Business metrics: a question becomes SQL over the marts that readers see, as `models/semantic` defines the metrics.

MetricFlow, which dbt-core brings, makes the SQL of what dbt has parsed. It runs in this process and asks nobody.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from datetime import date
from typing import Any, NamedTuple

import psycopg
from metricflow.engine.metricflow_engine import MetricFlowEngine, MetricFlowQueryRequest, OutputColumnOrderMode
from metricflow.protocols.sql_client import SqlEngine
from metricflow.sql.render.postgres import PostgresSQLSqlPlanRenderer
from metricflow_semantic_interfaces.implementations.node_relation import PydanticNodeRelation
from metricflow_semantic_interfaces.implementations.semantic_manifest import PydanticSemanticManifest
from metricflow_semantics.errors.error_classes import InformativeUserError
from metricflow_semantics.model.dbt_manifest_parser import parse_manifest_from_dbt_generated_manifest
from metricflow_semantics.model.semantic_manifest_lookup import SemanticManifestLookup
from metricflow_semantics.specs.instance_spec import InstanceSpec
from metricflow_semantics.specs.query_spec import InputSpecOrder
from metricflow_semantics.specs.time_dimension_spec import TimeDimensionSpec

from storehouse.core import transform
from storehouse.core.databases import reading
from storehouse.core.errors import StorehouseError
from storehouse.core.queries import as_sql
from storehouse.core.settings import quoted

GRAINS = ("day", "week", "month", "quarter", "year")
_TIME = "metric_time"  # MetricFlow's name for the time by which a metric counts


class Answer(NamedTuple):
    """A table: a column for each dimension, then one for each metric."""

    columns: list[str]
    rows: list[tuple[Any, ...]]


class _Client:
    """What MetricFlow asks of a database to write SQL for it. It is given no connection."""

    sql_engine_type = SqlEngine.POSTGRES
    sql_plan_renderer = PostgresSQLSqlPlanRenderer()


def engine() -> MetricFlowEngine:
    """MetricFlow over what dbt has parsed, reading each mart where it is published.

    Raises:
        StorehouseError: dbt has parsed nothing here.
    """
    try:
        graph = transform.manifest()
        text = (transform.target_folder() / "semantic_manifest.json").read_text()
    except FileNotFoundError:
        raise StorehouseError("dbt's graph has not been written here yet: make manifest, or make run") from None
    manifest = parse_manifest_from_dbt_generated_manifest(text)
    _read_published(manifest, graph)
    return MetricFlowEngine(SemanticManifestLookup(manifest), _Client())  # type: ignore[arg-type]


def _read_published(manifest: PydanticSemanticManifest, graph: Mapping[str, Any]) -> None:
    """Put what readers see in the place of what is built."""
    schemas = {
        (node["schema"], node["alias"]): transform.published_schema(node) or node["schema"]
        for node in graph["nodes"].values()
        if node["resource_type"] == "model"
    }
    for read in [*manifest.semantic_models, *manifest.project_configuration.time_spines]:
        built = read.node_relation
        schema = schemas[built.schema_name, built.alias]
        read.node_relation = PydanticNodeRelation(
            alias=built.alias, schema_name=schema, relation_name=f"{quoted(schema)}.{quoted(built.alias)}"
        )


def dimensions(metrics: MetricFlowEngine, names: Sequence[str]) -> dict[str, str]:
    """By what these metrics can be asked together: the short name of each dimension, and MetricFlow's.

    A time can be asked by a longer grain too: `first_order_date__month`. Dimensions that share a short name have
    MetricFlow's alone.

    Args:
        metrics: the engine.
        names: of metrics that there are.
    """
    found: dict[str, list[str]] = {}
    for dimension in sorted(metrics.simple_dimensions_for_metrics(list(names)), key=lambda each: each.name != _TIME):
        grain = dimension.type_params.time_granularity if dimension.type_params else None
        grains = GRAINS[GRAINS.index(grain.value) :] if grain else ()
        name = dimension.granularity_free_dunder_name
        if dimension.name != _TIME:
            found.setdefault(dimension.name, []).append(f"{name}__{grains[0]}" if grains else name)
        for each in grains:
            short = each if dimension.name == _TIME else f"{dimension.name}__{each}"
            found.setdefault(short, []).append(f"{name}__{each}")
    found |= {key: [key] for key in sorted(set.intersection(*(_keys(metrics, name) for name in names)))}
    return {short if len(names) == 1 else name: name for short, names in found.items() for name in names}


def _keys(metrics: MetricFlowEngine, name: str) -> set[str]:
    """The keys that stand in the rows themselves that a metric counts."""
    (models,) = [each.semantic_models for each in metrics.list_metrics(include_dimensions=False) if each.name == name]
    return {entity.name for entity in metrics.entities_for_metrics([name]) if entity.semantic_model_reference in models}


def short_dimensions(metrics: MetricFlowEngine, names: Sequence[str]) -> list[str]:
    """Of `dimensions` the names that are worth telling."""
    return [name for name in dimensions(metrics, names) if "__" not in name]


def sql(
    metrics: MetricFlowEngine,
    names: Sequence[str],
    by: Sequence[str] = (),
    since: date | None = None,
    until: date | None = None,
) -> str:
    """The query for metrics, or for one saved query, in the order of its dimensions.

    Args:
        metrics: the engine.
        names: of metrics; or of one saved query.
        by: dimensions, as `dimensions` names them; a saved query has its own.
        since: the first day.
        until: the day after the last.

    Raises:
        StorehouseError: a metric, a dimension or an interval that there is not, and what there is.
    """
    saved = {query.name: query.query_params.metrics for query in metrics.list_saved_queries()}
    known = [metric.name for metric in metrics.list_metrics(include_dimensions=False)]
    is_saved = names[0] in saved
    if is_saved and (len(names) > 1 or by):
        raise StorehouseError(f"{names[0]} is a saved query, with metrics and dimensions of its own: ask for it alone.")
    for name in names:
        if name not in known and not is_saved:
            raise StorehouseError(
                f"There is no metric {name!r}.{_meant(name, [*known, *saved])} List them: make metric"
            )
    of = saved[names[0]] if is_saved else names
    request = MetricFlowQueryRequest.create(
        saved_query_name=names[0] if is_saved else None,
        metric_names=None if is_saved else names,
        group_by_names=None if is_saved else [_found(metrics, names, word) for word in by],
        where_constraints=_within(metrics, of, since, until),
        output_column_order_mode=OutputColumnOrderMode.INPUT_ORDER,
    )
    try:
        made = metrics.explain(request)
    except InformativeUserError as error:
        raise StorehouseError(f"MetricFlow can't ask for {', '.join(names)} so: {error}") from None
    return _named(made.sql_statement.sql, made.query_spec.input_spec_order)


def _meant(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, known, 3)
    return f" Did you mean {' or '.join(close)}?" if close else ""


def _found(metrics: MetricFlowEngine, names: Sequence[str], word: str) -> str:
    """MetricFlow's name of the dimension that a person named."""
    found = dimensions(metrics, names)
    if word not in found and word not in found.values():
        raise StorehouseError(
            f"{', '.join(names)} can't be asked by {word!r}.{_meant(word, found)} "
            f"What {'they' if len(names) > 1 else 'it'} can be asked by: {', '.join(short_dimensions(metrics, names))}."
        )
    return found.get(word, word)


def _within(metrics: MetricFlowEngine, names: Sequence[str], since: date | None, until: date | None) -> list[str]:
    """Filters for an interval: MetricFlow's own way takes the whole of a month along that is asked for in part."""
    if not (since or until):
        return []
    found = dimensions(metrics, names)
    grain = next((grain for grain in GRAINS if grain in found), None)
    if grain is None:
        raise StorehouseError(f"{', '.join(names)} have no time in common: ask for them one by one.")
    if since and until and since >= until:
        raise StorehouseError(f"No day is from {since} on and before {until}: UNTIL is the day after the last.")
    if grain == "month" and any(day.day != 1 for day in (since, until) if day):
        raise StorehouseError(f"{', '.join(names)} count by month: FROM and UNTIL must be the first day of one.")
    time = f"{{{{ TimeDimension('{_TIME}', '{grain}') }}}}"
    return [f"{time} {sign} '{day:%Y-%m-%d}'" for sign, day in ((">=", since), ("<", until)) if day]


def _named(query: str, asked: InputSpecOrder) -> str:
    """The query with columns as people name them, a time as a date, in the order of its dimensions."""
    by, words = asked.group_by_item_specs, [_word(spec) for spec in asked.group_by_item_specs]
    columns = [
        f"{_as_date(spec)} as {quoted(word if words.count(word) == 1 else spec.dunder_name)}"
        for spec, word in zip(by, words, strict=True)
    ]
    columns += [quoted(spec.element_name) for spec in asked.metric_specs]
    order = f"\norder by {', '.join(str(n + 1) for n in range(len(by)))}" if by else ""
    return "select\n    " + ",\n    ".join(columns) + f"\nfrom (\n{query}\n) as answer{order}"


def _word(spec: InstanceSpec) -> str:
    if isinstance(spec, TimeDimensionSpec) and spec.element_name == _TIME:
        return str(spec.time_granularity_name)
    return spec.element_name


def _as_date(spec: InstanceSpec) -> str:
    column = quoted(spec.dunder_name)
    return f"cast({column} as date)" if isinstance(spec, TimeDimensionSpec) else column


def answer(query: str, warehouse: psycopg.Connection | None = None) -> Answer:
    """What the warehouse answers, read as its readers do.

    Args:
        query: as `sql` made it.
        warehouse: within `reading`, where several answers are to be of one moment.

    Raises:
        StorehouseError: nothing is published yet, or not for this role.
    """
    with nullcontext(warehouse) if warehouse else reading() as readers:
        cursor = readers.execute(as_sql(query))
        return Answer([column.name for column in cursor.description or []], cursor.fetchall())
