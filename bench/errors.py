"""Why a bench run could not be made. Broken invariants are results, not errors."""

from __future__ import annotations


class BenchError(Exception):
    """The run could not be made; the message says what to do about it where that is known."""
