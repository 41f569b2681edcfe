"""The garbage collector of a server process: what lives as long as the process is set aside, and it runs less often.

Modules, classes and the parts of the server never become garbage, but a full collection looks at all of them: 40 to 60 ms in
which nothing else happens, the first time after a few thousand connections. And hubbub makes next to no cycles of its own: what
a connection or a post leaves is freed by its last reference, so that a collection mostly finds nothing.

It belongs to whoever owns the process, hence to the command line and not to the engine: an embedding program says for itself
what is made to last (docs/design.md, "The garbage collector").
"""

import gc
from typing import Final

THRESHOLDS: Final = (5_000, 5, 200)
"""Of the three generations. A young collection then takes 0.6 ms, a middle one 5 ms (measured with 12,000 connections).

A full one walks over every tail, hence rarely.
"""


def settle() -> None:
    """Set everything aside that is there now, and collect in larger steps from now on. For a server that has just started."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
