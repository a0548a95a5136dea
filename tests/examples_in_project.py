"""A copy of what dbt reads of the project, with the examples put into it as their README says."""

import re
import shutil
from pathlib import Path

from extract_load.declarations import read_declarations
from storehouse.core.settings import PROJECT

EXAMPLES = PROJECT / "examples"
NAMES = sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir())
# What dbt reads of the project.
OF_DBT = ("models", "macros", "seeds", "snapshots", "tests/data")
OF_DBT_ALONE = ("dbt_project.yml", "profiles.yml", "packages.yml", "packages", "dbt_packages")


def of_dbt(project: Path) -> Path:
    """A copy of what dbt reads."""
    for folder in OF_DBT:
        shutil.copytree(PROJECT / folder, project / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in OF_DBT_ALONE:
        (project / name).symlink_to(PROJECT / name)
    return project


def with_examples(project: Path) -> Path:
    """A copy of what dbt reads, with all examples put into it as their README says."""
    of_dbt(project)
    for name in NAMES:
        shutil.copytree(EXAMPLES / name / "models", project / "models", dirs_exist_ok=True)
    labels = sorted(f"{table.source}.{table.name}" for table in read_declarations(project / "models" / "staging"))
    write_list(
        project / "macros" / "quality" / "landed_tables.sql", "set names = [", [f"'{label}'," for label in labels]
    )
    lines = re.findall(r"^'.*},$", (EXAMPLES / "README.md").read_text(), re.MULTILINE)
    write_list(project / "macros" / "rules" / "channels.sql", "set models = {", lines, keep=True)
    return project


def write_list(file: Path, start: str, lines: list[str], *, keep: bool = False) -> None:
    """Write lines into the list of a macro, after or in the place of those that it has."""
    head, _, rest = file.read_text().partition(f"{start}\n")
    has, end, tail = re.split(r"^(    [\]}] -%})$", rest, maxsplit=1, flags=re.MULTILINE)
    written = "".join(f"        {line}\n" for line in lines)
    file.write_text(f"{head}{start}\n{has if keep else ''}{written}{end}{tail}")
