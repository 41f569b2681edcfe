"""What can be done to a server: each fault as a frozen description. Pure; `blows` has the function for each.

A description says where the fault takes place, for how long, and what a server owes while it lasts, so that a round can be
judged without knowing what was done.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

import attrs


class Scene(Enum):
    """The place that a fault needs. Rounds of one scene share a server and its data."""

    EMBEDDED = "embedded Postgres"
    CLIENT_WIRES = "embedded Postgres, a proxy before the clients"
    DATABASE_WIRES = "a Postgres of its own behind a proxy, by --database-url"
    SMALL_DISK = "embedded Postgres on a small tmpfs"
    FALSE_CLOCK = "embedded Postgres, the server under libfaketime"


NEEDS: Final = {Scene.SMALL_DISK: "root, to mount a tmpfs", Scene.FALSE_CLOCK: "libfaketime"}
"""What a scene needs beyond Linux; for people."""


@attrs.frozen
class Span:
    """A range of seconds, both ends possible."""

    least_s: float
    most_s: float


@attrs.frozen(kw_only=True)
class Fault:
    """One kind of fault.

    Attributes:
        name: for the command line.
        does: one sentence for people.
        scene: where it takes place.
        lasts: how long it is kept up before it is taken back.
        at_times: another length, for one round in five; None when all are alike.
        ends_server: the server may end by it, and is started again.
        ends_postgres: it makes the embedded Postgres die, which a server mends only so often a minute.
        keeps_subscriptions: readers that stay connected must stay connected.
        may_complain: errors and tracebacks in the server's log are expected.
    """

    name: str
    does: str
    scene: Scene = Scene.EMBEDDED
    lasts: Span = Span(0.0, 0.0)
    at_times: Span | None = None
    ends_server: bool = False
    ends_postgres: bool = False
    keeps_subscriptions: bool = False
    may_complain: bool = False


@attrs.frozen
class Effect:
    """What a fault did.

    Attributes:
        took: it was seen to happen; a round without it proves nothing.
        what: for people.
        ready_s: how long a restarted server, or a Postgres that it brought back, took until it was ready; else None.
    """

    took: bool
    what: str
    ready_s: float | None = None


class CannotInject(Exception):
    """This machine does not let the fault happen; the message says why."""


_SECONDS: Final = Span(0.5, 4.0)
_PAST_DEADLINE: Final = Span(11.0, 13.0)  # a post gives up after 10 s: refusals and unknown outcomes

FAULTS: Final = (
    Fault(name="kill-server", does="SIGKILL to the server, then a restart", ends_server=True),
    Fault(
        name="kill-postgres",
        does="SIGKILL to the embedded Postgres; the server brings it back",
        ends_postgres=True,
        keeps_subscriptions=True,
    ),
    Fault(name="kill-both", does="SIGKILL to both at once, as when the power fails", ends_server=True),
    Fault(name="stop-server", does="SIGSTOP to the server for seconds, then SIGCONT", lasts=_SECONDS),
    Fault(
        name="stop-postgres",
        does="SIGSTOP to every process of Postgres for seconds, then SIGCONT",
        lasts=_SECONDS,
        at_times=_PAST_DEADLINE,
        keeps_subscriptions=True,
    ),
    Fault(
        name="restart-postgres",
        does="fast shutdown (SIGINT) of Postgres; the server brings it back",
        ends_postgres=True,
        keeps_subscriptions=True,
    ),
    Fault(
        name="terminate-backends",
        does="all connections of the server to Postgres ended by Postgres, several times",
        lasts=Span(0.2, 2.0),
        keeps_subscriptions=True,
    ),
    Fault(
        name="cut-clients",
        does="every client connection reset within the bytes of a frame",
        scene=Scene.CLIENT_WIRES,
    ),
    Fault(
        name="delay-clients",
        does="every chunk between clients and server late by up to 0.3 s",
        scene=Scene.CLIENT_WIRES,
        lasts=Span(1.0, 3.0),
        keeps_subscriptions=True,
    ),
    Fault(
        name="truncate-clients",
        does="client connections, new ones too, end politely after a few bytes",
        scene=Scene.CLIENT_WIRES,
        lasts=Span(0.5, 2.0),
    ),
    Fault(
        name="half-open-clients",
        does="client connections go silent; the clients give up, the server is never told",
        scene=Scene.CLIENT_WIRES,
        lasts=Span(0.5, 3.0),
    ),
    Fault(
        name="cut-postgres",
        does="every connection to Postgres reset within the bytes of a message",
        scene=Scene.DATABASE_WIRES,
        keeps_subscriptions=True,
    ),
    Fault(
        name="delay-postgres",
        does="every chunk between server and Postgres late by up to 0.3 s",
        scene=Scene.DATABASE_WIRES,
        lasts=Span(1.0, 3.0),
        keeps_subscriptions=True,
    ),
    Fault(
        name="truncate-postgres",
        does="connections to Postgres, new ones too, end politely after a few bytes",
        scene=Scene.DATABASE_WIRES,
        lasts=Span(0.5, 2.0),
        keeps_subscriptions=True,
    ),
    Fault(
        name="half-open-postgres",
        does="connections to Postgres go silent, for seconds or for ever; new ones work afterwards",
        scene=Scene.DATABASE_WIRES,
        lasts=Span(1.0, 4.0),
        keeps_subscriptions=True,
    ),
    Fault(
        name="disk-full",
        does="the disk under the data directory is full until posts are refused, then has room again",
        scene=Scene.SMALL_DISK,
        lasts=Span(15.0, 20.0),
        ends_server=True,
        ends_postgres=True,
        may_complain=True,
    ),
    Fault(
        name="clock-step",
        does="the server's clock jumps by an hour or a day, forwards or backwards",
        scene=Scene.FALSE_CLOCK,
        lasts=Span(0.5, 1.5),
        keeps_subscriptions=True,
    ),
    Fault(
        name="descriptors",
        does="more clients come than the server has descriptors left (RLIMIT_NOFILE)",
        lasts=Span(1.0, 2.5),
        keeps_subscriptions=True,
    ),
    Fault(
        name="memory",
        does="a flood of large posts while the server has little address space left (RLIMIT_AS)",
        lasts=Span(3.0, 5.0),
        ends_server=True,
        may_complain=True,
    ),
)

BY_NAME: Final = {fault.name: fault for fault in FAULTS}
