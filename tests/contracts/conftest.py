"""The real database, HTTP server and folder of the extract-load tests, for the samples of what sources promise."""

import importlib.util
import sys
from pathlib import Path

SCENE = Path(__file__).parents[1] / "extract_load"
sys.path.insert(0, str(SCENE))
_spec = importlib.util.spec_from_file_location("extract_load_fixtures", SCENE / "conftest.py")
_fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_fixtures)
configure, api, stores = _fixtures.configure, _fixtures.api, _fixtures.stores
