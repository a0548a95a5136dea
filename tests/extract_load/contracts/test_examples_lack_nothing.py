"""The examples are whole: what `make check` asks of a declared table, they have.

Beside the sample that the project's own tests send: `tests/examples` sends more than one.
"""

import pytest
import test_declared_tables
from examples_in_project import with_examples

from extract_load.declarations import read_declarations

pytestmark = pytest.mark.quick


def test_no_table_of_an_example_lacks_anything(tmp_path, monkeypatch) -> None:
    project = with_examples(tmp_path)
    staging, samples = (
        project / "models" / "staging",
        test_declared_tables.SAMPLES.relative_to(test_declared_tables.PROJECT),
    )
    for name, value in {"PROJECT": project, "STAGING": staging, "SAMPLES": project / samples}.items():
        monkeypatch.setattr(test_declared_tables, name, value)
    lines = [line for declared in read_declarations(staging) for line in test_declared_tables.lacks(declared)]
    assert [line for line in lines if str(samples) not in line] == []
