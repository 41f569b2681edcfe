"""Which program this is."""

from functools import lru_cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed


@lru_cache
def version() -> str:
    """The version of the installed package."""
    try:
        return installed("hubbub")
    except PackageNotFoundError:
        return "unknown"
