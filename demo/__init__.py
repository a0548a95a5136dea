"""A small shop that behaves like a real one: its database, its marketplace and reviews APIs, its stores' files."""

from demo.service import start, stop
from demo.shop import advance

__all__ = ["advance", "start", "stop"]
