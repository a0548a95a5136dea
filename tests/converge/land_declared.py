"""`python -m tests.converge.land_declared FOLDER [reconcile]`: land the shop so declared, in a process to kill."""

import sys
from pathlib import Path

import extract_load
from extract_load import tables

tables.STAGING = Path(sys.argv[1])
extract_load.load("shop", allow_empty=True)
if sys.argv[2:]:
    extract_load.reconcile("shop", compare="columns", allow_empty=True)
