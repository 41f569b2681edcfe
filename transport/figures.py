"""`GET /api/v1/admin/figures`: what `/metrics` counts, as one JSON document for the admin page and for `hubbub`'s own tools.

Counters begin at nought when the server starts: who wants rates looks twice. Like `/metrics` it waits for nothing, names no room
and no user, and takes no longer with connections.
"""

from __future__ import annotations

import resource
import time
from collections import Counter
from http import HTTPStatus
from typing import Any, Final

from trio.lowlevel import current_statistics

from ..engine import EngineStatistics
from ..engine.core import codec
from ..engine.core.histogram import Distribution
from ..engine.core.permissions import Access
from ..engine.core.principals import Scope
from ..storage.store import WriterStore
from ..storage.writer import WriterStatistics
from .answers import json_response
from .api import Api
from .call import Call
from .http_route import Respond
from .meters import Meters
from .openapi import shapes_figures
from .openapi.doc import Doc
from .operator import Operator
from .routes import Route
from .version import version


def show_figures(api: Api, call: Call, respond: Respond) -> None:
    """Show the server's figures: health, rooms, commits, connections, refusals, the process."""
    assert api.operator is not None, "a server has one"
    store, found = api.engine.store, api.engine.health()
    body = {
        "at": codec.rfc3339(api.engine.now_ms()),
        "version": version(),
        "generation": call.settings.generation,
        "ready": found.ready,
        "problems": list(found.problems),
        "rooms": _rooms(api.engine.statistics(rooms=0)),
        "commits": _commits(store.statistics()) if isinstance(store, WriterStore) else None,
        "connections": _connections(api.operator, api.watch.meters),
        "refusals": _refusals(api.watch.meters),
        "process": _process(api.operator),
    }
    respond(json_response(HTTPStatus.OK.value, codec.encode_json(body)))


def _rooms(found: EngineStatistics) -> dict[str, Any]:
    return {
        "conversations": found.conversations,
        "subscribers": found.subscribers,
        "paging": found.paging_subscribers,
        "mailbox": found.mailbox_items,
        "waiting": found.waiting,
        "tail_bytes": found.tail_bytes,
        "delivered": found.delivered,
        "crashes": found.crashes,
        "quarantined": found.quarantined,
        "fanout_seconds": _histogram(found.passes),
    }


def _commits(found: WriterStatistics) -> dict[str, Any]:
    return {
        "transactions": found.commits,
        "rows": found.rows,
        "failures": found.failures,
        "queued": found.queued_rows,
        "queue_capacity": found.queue_capacity,
        "seconds": _histogram(found.commit_s),
    }


def _connections(operator: Operator, meters: Meters) -> dict[str, Any]:
    table, cold = operator.table(), operator.cold()
    everything = table.connections + cold.connections
    return {
        "open": everything,
        "capacity": table.max_connections,
        "kinds": {"http": everything - meters.open.total(), **meters.open},
        "blocked": table.blocked,
        "accepted": table.accepted,
        "refused": table.refused + cold.refused,
        "cut_off": table.stalled + table.overflowed,
    }


def _refusals(meters: Meters) -> list[dict[str, Any]]:
    """By code, all transports together, the most frequent first; our own words bound how many there are."""
    counts: Counter[str] = Counter()
    for (_, code), count in meters.refusals.items():
        counts[code] += count
    return [{"code": code, "count": count} for code, count in counts.most_common()]


def _process(operator: Operator) -> dict[str, Any]:
    found, used = operator.lag.statistics(), resource.getrusage(resource.RUSAGE_SELF)
    return {
        "cpu_seconds": round(time.process_time(), 3),
        "peak_memory_bytes": used.ru_maxrss * 1024,
        "tasks": current_statistics().tasks_living,
        "loop_lag_worst_seconds": round(found.worst_s, 6),
    }


def _histogram(found: Distribution) -> dict[str, Any]:
    """Counts up to and including each bound; the last one has none."""
    return {"bounds": list(found.bounds), "counts": list(found.running())}


FIGURE_ROUTES: Final = (
    Route(
        method="GET",
        path="/api/v1/admin/figures",
        endpoint=show_figures,
        access=Access.ADMIN,
        scope=Scope.ADMIN,
        doc=Doc(tag="Administration", answer=shapes_figures.Figures),
    ),
)
