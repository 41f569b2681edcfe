"""What the figures of the bench are: their unit, which direction is better, what they mean. Data and look-up, pure.

Every figure that a scenario reports has its line here: `--slo` knows the names from it, `--against` the direction, the
page the meaning. A figure that is not here is compared by the end of its name, and cannot be part of an SLO.
"""

from __future__ import annotations

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
    "connect": "from the start of a connection to its subscription",
    "caught_up": "from the start of the reconnects until a reader has everything that it missed",
    "join": "from the start of a connection to its subscription, while posts go on",
    "history": "from the intended time of a read of the newest page to its answer",
    "request": "from the intended time of a request to the end of its answer",
}
_HIGHER: Final = (
    Kind("deliveries_per_s", "1/s", Better.HIGHER, "events handed to readers in a second, added up over the readers"),
    Kind("posts_per_s", "1/s", Better.HIGHER, "posts acknowledged in a second"),
    Kind("connects_per_s", "1/s", Better.HIGHER, "connections made and subscribed in a second"),
    Kind("requests_per_s", "1/s", Better.HIGHER, "requests answered in a second"),
    Kind("highest_rate_per_s", "1/s", Better.HIGHER, "the highest rate of posts that kept the service level"),
    Kind("lowest_rate_not_kept_per_s", "1/s", Better.HIGHER, "the lowest rate of posts that did not keep it; 0: none"),
    Kind("pages_per_s", "1/s", Better.HIGHER, "pages of history read in a second"),
)
_LOWER: Final = (
    Kind("cpu_per_delivery_us", "us", Better.LOWER, "CPU of the server for one delivery"),
    Kind("cpu_all_per_delivery_us", "us", Better.LOWER, "CPU of the server and its Postgres for one delivery"),
    Kind("cpu_per_post_us", "us", Better.LOWER, "CPU of the server for one post, deliveries included"),
    Kind("cpu_all_per_post_us", "us", Better.LOWER, "as cpu_per_post_us, with Postgres"),
    Kind("cpu_per_request_us", "us", Better.LOWER, "CPU of the server for one request"),
    Kind("cpu_all_per_request_us", "us", Better.LOWER, "as cpu_per_request_us, with Postgres"),
    Kind("rss_per_connection_kib", "KiB", Better.LOWER, "resident memory that each further connection takes"),
    Kind("pss_per_connection_kib", "KiB", Better.LOWER, "as rss_per_connection_kib, shared pages counted in part"),
    Kind("server_rss_mib", "MiB", Better.LOWER, "resident memory of the server"),
    Kind("idle_server_cpu_percent", "%", Better.LOWER, "CPU of a server whose connections only answer pings"),
    Kind("all_caught_up_s", "s", Better.LOWER, "until the last reader that came back had everything that it missed"),
    Kind("not_caught_up", "", Better.LOWER, "readers that came back and never had everything that they missed"),
    Kind("not_resumed", "", Better.LOWER, "readers that were told that their position could not be served"),
    Kind("store_reads", "", Better.LOWER, "reads of the database while readers came back"),
    Kind("cpu_per_connection_us", "us", Better.LOWER, "CPU of the server for a connection, until it has what it wants"),
    Kind("postgres_cpu_per_connection_us", "us", Better.LOWER, "CPU of Postgres for a connection"),
    Kind("rss_growth_mib", "MiB", Better.LOWER, "by how much the server's resident memory grew in a storm"),
    Kind("p50_shift_percent", "%", Better.LOWER, "by how much the others' p50 rose when some readers stalled"),
    Kind("p99_shift_percent", "%", Better.LOWER, "by how much the others' p99 rose when some readers stalled"),
    Kind("healthy_p50_ms", "ms", Better.LOWER, "p50 of deliveries before any reader stalled"),
    Kind("healthy_p99_ms", "ms", Better.LOWER, "p99 of deliveries before any reader stalled"),
)
_NEITHER: Final = (
    Kind("rows_per_commit", "", Better.NEITHER, "rows that a transaction held on average"),
    Kind("commits", "", Better.NEITHER, "transactions in the time of the load"),
    Kind("stalled_readers", "", Better.NEITHER, "readers that stopped reading"),
    Kind("generator_cpu_per_connection_us", "us", Better.NEITHER, "CPU of the generator for a connection"),
    Kind("deliveries", "", Better.NEITHER, "events handed to readers within the measured window"),
    Kind("server_user_percent", "%", Better.NEITHER, "CPU of the server in its own code, in percent of a core"),
    Kind("server_system_percent", "%", Better.NEITHER, "CPU of the server in the kernel, in percent of a core"),
    Kind("postgres_percent", "%", Better.NEITHER, "CPU of Postgres in percent of a core"),
    Kind("other_processes_percent", "%", Better.NEITHER, "CPU of everything that is no part of the run"),
)


def _latencies() -> list[Kind]:
    kinds = []
    for thing, means in _LATENCIES.items():
        kinds += [
            Kind(f"{thing}_{part}_ms", "ms", Better.LOWER, f"{nth} percentile of the time {means}")
            for part, nth in _PARTS.items()
        ]
        kinds.append(Kind(f"{thing}_max_ms", "ms", Better.LOWER, f"the longest time {means}"))
    return kinds


KNOWN: Final = {kind.name: kind for kind in (*_HIGHER, *_latencies(), *_LOWER, *_NEITHER)}
"""All figures by name."""


def kind_of(name: str, unit: str) -> Kind:
    """What a figure is; by its name's end where it is none of ours."""
    if name in KNOWN:
        return KNOWN[name]
    if name.endswith("_per_s"):
        better = Better.HIGHER
    elif name.endswith(("_ms", "_us", "_kib", "_mib")):
        better = Better.LOWER
    else:
        better = Better.NEITHER
    return Kind(name, unit, better, "")
