"""`python -m tests.converge.land_declared FOLDER`: land the shop as FOLDER declares it, as a process to be killed."""

import sys
from pathlib import Path

import extract_load
from extract_load import tables

tables.STAGING = Path(sys.argv[1])
extract_load.load("shop", allow_empty=True)
