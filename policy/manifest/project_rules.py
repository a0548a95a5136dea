"""Rules of dbt-bouncer.yml that dbt-bouncer itself does not have: a function a rule, its docstring is the rule."""

import re
from pathlib import Path
from typing import Any

from dbt_bouncer.check_framework.decorator import check, fail

# The engine of a dispatched macro, and what dbt puts before the names of materializations and generic tests.
PREFIX = re.compile(r"^(default|postgres)__|^(materialization|test)_|_(default|postgres)$")
KEYLESS = ("ephemeral", "view", "table")


@check
def check_model_has_owner(model: Any, ctx: Any) -> None:
    """A model belongs to a group, whose owner has a name and an e-mail address."""
    group = ctx.manifest_obj.manifest.groups.get(f"group.{model.package_name}.{model.group}")
    if group is None:
        fail(f"`{model.name}` has no group. Give its folder one in dbt_project.yml, or itself.")
    if not (group.owner.name and group.owner.email):
        fail(f"The group `{model.group}` of `{model.name}` needs an owner with a name and an e-mail address.")


@check
def check_model_has_key(model: Any) -> None:
    """A model that is built row by row says by which key; a view or a small table that is built whole need not."""
    if model.config.materialized not in KEYLESS and not model.config.unique_key:
        fail(f"`{model.name}` has no `unique_key`.")


@check
def check_public_personal_columns_are_masked(model: Any) -> None:
    """A column with `pii` of a public model of the marts is `masked`, or says that it is `published`."""
    for name, column in model.columns.items():
        meta = column.config.meta or {}
        if meta.get("pii") and not (meta.get("masked") or meta.get("published")):
            fail(f"`{model.name}.{name}` is personal: mask it and say `masked: true`, or `published: true` and why.")


@check
def check_macro_is_described(macro: Any, ctx: Any) -> None:
    """A macro is described, and each of its arguments; of a dispatched one, what is called, not each engine's form."""
    if PREFIX.search(macro.name) and not _replaces_dbts_own(macro):
        return
    if not (macro.description or "").strip():
        fail(f"`{macro.name}` in {macro.original_file_path} has no description in the YAML beside it.")
    for argument in macro.arguments or []:
        if not (argument.description or "").strip():
            fail(f"`{macro.name}`: its argument `{argument.name}` has no description.")


@check
def check_macro_stands_in_its_own_file(macro: Any) -> None:
    """One macro a file, with its name; the forms for each engine stand with it."""
    file = Path(macro.original_file_path).stem
    if PREFIX.sub("", macro.name) not in (file, PREFIX.sub("", file), file.removesuffix("_materialization")):
        fail(f"`{macro.name}` stands in {macro.original_file_path}: give it a file of its name.")


def _replaces_dbts_own(macro: Any) -> bool:
    """True of `postgres__safe_cast` in a file of that name: dbt has the macro that is called."""
    return macro.name == Path(macro.original_file_path).stem
