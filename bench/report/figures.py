"""What the figures of the bench are: their unit, which direction is better, what they mean. Data and look-up, pure.

Every figure that a scenario reports has its line here: `--slo` knows the names from it, `--against` the direction, the
page the meaning. A figure that is not here is compared by the end of its name, and cannot be part of an SLO.
"""

from __future__ import annotations

import math
from enum import Enum
from typing import Final

import attrs


class Better(Enum):
    """Which direction of a figure is an improvement."""

    HIGHER = "higher"
    LOWER = "lower"
    NEITHER = "neither"


@attrs.frozen
class Kind:
    """What a figure is.

    Attributes:
        unit: As in the result; "" for a count.
        means: One sentence for somebody who reads it for the first time.
    """

    name: str
    unit: str
    better: Better
    means: str


_PARTS: Final = {"p50": "50th", "p90": "90th", "p99": "99th", "p999": "99.9th"}
_LATENCIES: Final = {
    "delivery": "from the intended time of a post to the read that brought it to a reader",
    "ack": "from the intended time of a post to its acknowledgement, which says that it is committed",
    "healthy": "of a delivery before other readers stalled, from the intended time of its post",
    "connect": "from the start of a connection to its subscription",
    "join": "from the start of a connection to its subscription, while posts go on",
    "history": "from the intended time of a read of the newest page to its answer",
    "caught_up": "from the start of the reconnects until a reader has everything that it missed",
    "read": "from the intended time of a read to the end of its answer",
}
_HIGHER: Final = {
    "deliveries_per_s": ("1/s", "events handed to readers in a second, added up over the readers"),
    "posts_per_s": ("1/s", "posts acknowledged in a second"),
    "connects_per_s": ("1/s", "connections made and subscribed in a second"),
    "reads_per_s": ("1/s", "reads answered in a second"),
    "pages_per_s": ("1/s", "pages of history read in a second"),
    "highest_rate_per_s": ("1/s", "the highest rate of posts that kept the service level"),
    "lowest_rate_not_kept_per_s": ("1/s", "the lowest rate of posts that did not keep it"),
}
_LOWER: Final = {
    "cpu_per_delivery_us": ("us", "CPU of the server for one delivery"),
    "cpu_all_per_delivery_us": ("us", "CPU of the server and its Postgres for one delivery"),
    "cpu_per_post_us": ("us", "CPU of the server for one post, its deliveries included"),
    "cpu_all_per_post_us": ("us", "CPU of the server and its Postgres for one post"),
    "cpu_per_request_us": ("us", "CPU of the server for one request"),
    "cpu_all_per_request_us": ("us", "CPU of the server and its Postgres for one request"),
    "cpu_per_connection_us": ("us", "CPU of the server for one connection that is made and subscribed"),
    "postgres_cpu_per_connection_us": ("us", "CPU of Postgres for one connection that is made and subscribed"),
    "rss_per_connection_kib": ("KiB", "resident memory that each further connection takes"),
    "pss_per_connection_kib": ("KiB", "as rss_per_connection_kib, with shared pages counted in part"),
    "server_rss_mib": ("MiB", "resident memory of the server at the end"),
    "rss_growth_mib": ("MiB", "by how much the server's resident memory grew"),
    "idle_server_cpu_percent": ("%", "CPU of a server whose connections only answer pings, in percent of a core"),
    "p50_shift_percent": ("%", "how much longer the median delivery takes while other readers are stalled"),
    "p99_shift_percent": ("%", "how much longer the 99th percentile takes while other readers are stalled"),
    "refused": ("", "posts, reads and signals that the server refused, in the whole run"),
    "unanswered": ("", "posts without an answer long after the last one was sent"),
    "all_caught_up_s": ("s", "until the last reader had everything that it missed"),
    "not_caught_up": ("", "readers that did not get everything that they missed"),
    "not_resumed": ("", "readers that were told to begin anew instead of resuming"),
    "store_reads": ("", "reads of the database while readers came back"),
}
_NEITHER: Final = {
    "deliveries": ("", "events handed to readers within the measured window"),
    "commits": ("", "transactions of the writer, warm-up and last answers included"),
    "rows_per_commit": ("", "rows that shared a transaction, on average, warm-up and last answers included"),
    "blocked_readers": ("", "readers that the server could write nothing more to, at the end"),
    "stalled_readers": ("", "readers that stopped reading"),
    "server_user_percent": ("%", "CPU of the server in its own code, in percent of a core"),
    "server_system_percent": ("%", "CPU of the server in the kernel, in percent of a core"),
    "postgres_percent": ("%", "CPU of Postgres in percent of a core"),
    "other_processes_percent": ("%", "CPU of everything that is no part of the run, in percent of a core"),
    "generator_cpu_per_connection_us": ("us", "CPU of the generators for one connection"),
}


def _latencies() -> list[Kind]:
    kinds = []
    for thing, means in _LATENCIES.items():
        kinds += [
            Kind(f"{thing}_{part}_ms", "ms", Better.LOWER, f"{nth} percentile of the time {means}")
            for part, nth in _PARTS.items()
        ]
        kinds.append(Kind(f"{thing}_max_ms", "ms", Better.LOWER, f"the longest time {means}"))
    return kinds


def _all() -> list[Kind]:
    tables = ((_HIGHER, Better.HIGHER), (_LOWER, Better.LOWER), (_NEITHER, Better.NEITHER))
    plain = [Kind(name, unit, better, means) for t, better in tables for name, (unit, means) in t.items()]
    return plain + _latencies()


KNOWN: Final = {kind.name: kind for kind in _all()}
"""All figures by name."""


def kind_of(name: str, unit: str) -> Kind:
    """What a figure is; by its name's end where it is none of ours."""
    if name in KNOWN:
        return KNOWN[name]
    if name.endswith("_per_s"):
        better = Better.HIGHER
    elif name.endswith(("_ms", "_us", "_s", "_kib", "_mib")):
        better = Better.LOWER
    else:
        better = Better.NEITHER
    return Kind(name, unit, better, "")


def number(value: float) -> str:
    """A figure as people read it: three digits that matter, thousands set apart."""
    if not math.isfinite(value):
        return "n/a"
    return f"{value:,.0f}" if abs(value) >= 999.5 or value == int(value) else f"{value:,.3g}"
