"""What a run found: as values (`result`), for the terminal (`table`), against an earlier run (`compare`), as a page (`page`)."""

from .machine import Machine, commit
from .result import Curve, Figure, GeneratorUse, Judged, Result, Series, Spread, merged, read_results, to_json
from .table import show

__all__ = [
    "Curve",
    "Figure",
    "GeneratorUse",
    "Judged",
    "Machine",
    "Result",
    "Series",
    "Spread",
    "commit",
    "merged",
    "read_results",
    "show",
    "to_json",
]
