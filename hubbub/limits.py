"""The descriptors that a server needs: its soft limit is raised as far as the hard one lets it, and what does not fit is said.

Past its limit of descriptors a server cannot even refuse: accepting pauses, and whoever connects waits without a word. So a
server that may not have enough takes fewer connections, and the others get the 503 of `TableSettings.refusal`.
"""

import logging
import resource
from typing import Final

import attrs

from .transport.ledger import TableSettings

OTHERS: Final = 2_500
"""Descriptors besides those of the connection table: the cold lane's connections (2,000 at most), Postgres, listeners, files."""

_log: Final = logging.getLogger("hubbub.limits")


def fit_descriptors(table: TableSettings) -> TableSettings:
    """Raise this process's soft limit of open files (never its hard one), and fit a table into what that came to.

    Returns:
        `table` when there is enough for all of it. Otherwise, after one line of warning, the same with fewer connections: what
        the others leave, and at least half of the limit.
    """
    needed = table.max_connections + table.max_refusals + OTHERS
    limit = _raise_soft_limit(needed)
    if limit >= needed:
        return table
    fitting = max(limit - table.max_refusals - OTHERS, limit // 2)
    fitted = attrs.evolve(
        table,
        max_connections=min(table.max_connections, fitting),
        max_refusals=min(table.max_refusals, limit // 8),
    )
    _log.warning(
        "this process may have %d files open (ulimit -Hn) and would need %d for %d connections: it takes %d at most",
        limit,
        needed,
        table.max_connections,
        fitted.max_connections,
    )
    return fitted


def _raise_soft_limit(needed: int) -> int:
    """What of `needed` this process may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return needed
    within = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (within, hard))
    except (OSError, ValueError):  # some sandboxes forbid it, whatever the hard limit says
        return soft
    return within
