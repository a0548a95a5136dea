"""`python -m tests.land_declared FOLDER [reconcile|snapshot]`: land the shop so declared, in a process to kill.

It begins when everything is imported and a line has come, or none will.
"""

import sys
from pathlib import Path

import extract_load
from extract_load import connectors, tables

tables.STAGING = Path(sys.argv[1])
for table in tables.tables_of("shop"):
    connectors.connector(table.connector)
print("ready", flush=True)
sys.stdin.readline()
extract_load.load("shop", allow_empty=True, snapshot="snapshot" in sys.argv)
if "reconcile" in sys.argv:
    extract_load.reconcile("shop", compare="columns", allow_empty=True)
