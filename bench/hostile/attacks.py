"""The attacks: what each does, how large it is, which bounds hold meanwhile, what the documents say becomes of it. Data only.

Expected outcomes are those of `docs/protocol.md`, "Limits" and "Bad input". An attack that ends otherwise is `broken`, also
when the healthy clients noticed nothing: then either the server or the document is wrong.
"""

from __future__ import annotations

from typing import Final

import attrs

from . import floods, frames, rude, slow
from .arena import Program


@attrs.frozen
class Expect:
    """What may be seen: each of `must` at least once, nothing that is in neither."""

    must: frozenset[str] = frozenset()
    may: frozenset[str] = frozenset()


def _only(*must: str, may: tuple[str, ...] = ()) -> Expect:
    return Expect(frozenset(must), frozenset(may))


@attrs.frozen(kw_only=True)
class Attack:
    """One attack.

    Attributes:
        does: What it does, in a few words.
        program: What one connection does.
        connections: How many at the same time, all processes together.
        processes: Attacking processes.
        seconds: How long it goes on at least; what a documented time limit needs to be seen.
        repeat: A connection that has ended is opened anew until the time is up.
        outcomes: How connections must and may end.
        replies: What single requests and commands must and may be answered with.
        bound: What keeps it small, in words.
        rss_growth_mib: The server's memory may grow by so much meanwhile.
        delivery_p99_ms: The healthy readers' p99 meanwhile; generous, since attackers and server share a machine.
        may_refuse: Healthy posts may be refused meanwhile (never lost).
    """

    name: str
    does: str
    program: Program
    connections: int
    processes: int = 1
    seconds: float
    repeat: bool = False
    outcomes: Expect
    replies: Expect = Expect()
    bound: str
    rss_growth_mib: float
    delivery_p99_ms: float = 1_000.0
    may_refuse: bool = False


_SLOW: Final = (
    Attack(
        name="slow-heads",
        does="heads that arrive a byte a second",
        program=slow.heads,
        connections=3_000,
        seconds=14,
        outcomes=_only("status 408"),
        bound="a head must be whole 10 s after its first byte",
        rss_growth_mib=32,
    ),
    Attack(
        name="slow-bodies",
        does="bodies that arrive a byte a second",
        program=slow.bodies,
        connections=1_000,
        seconds=34,
        outcomes=_only("status 408"),
        bound="a body must be whole after 30 s",
        rss_growth_mib=24,
    ),
    Attack(
        name="silent",
        does="connections that say nothing",
        program=slow.silent,
        connections=10_000,
        processes=2,
        seconds=24,
        outcomes=_only("eof"),
        bound="the first head must be there after 10 s",
        rss_growth_mib=48,
    ),
    Attack(
        name="stopped-sockets",
        does="WebSocket readers of the healthy room that stop reading",
        program=slow.stopped_sockets,
        connections=201,
        seconds=30,
        outcomes=_only("open", "close 3008"),
        replies=_only("ok"),
        bound="256 KiB in the kernel and one write each; cut off 20 s after the last byte taken",
        rss_growth_mib=64,
    ),
    Attack(
        name="stopped-streams",
        does="event streams of the healthy room that nobody reads",
        program=slow.stopped_streams,
        connections=201,
        seconds=30,
        outcomes=_only("open", "end slow"),
        replies=_only("ok"),
        bound="256 KiB in the kernel and one write each; cut off 20 s after the last byte taken",
        rss_growth_mib=64,
    ),
)
_FLOODS: Final = (
    Attack(
        name="subscribe-flood",
        does="subscribe and unsubscribe, 64 commands a frame",
        program=floods.subscriptions,
        connections=16,
        seconds=8,
        outcomes=_only("open"),
        replies=_only("ok", may=("error 409",)),
        bound="64 commands a turn, 128 without a reply",
        rss_growth_mib=24,
    ),
    Attack(
        name="typing-flood",
        does="typing in the healthy room, 64 commands a frame",
        program=floods.typing,
        connections=2,
        seconds=8,
        outcomes=_only("open"),
        replies=_only("ok"),
        bound="64 commands a turn, 128 without a reply; an author's typing is shown once a second, in steps of 256 subscribers",
        rss_growth_mib=24,
    ),
    Attack(
        name="publish-flood",
        does="12,800 posts at a time into the healthy room",
        program=floods.posts,
        connections=100,
        seconds=8,
        outcomes=_only("open"),
        replies=_only("ok", may=("error 503",)),
        bound="128 commands of a connection, 4,096 in the mailbox, 4,096 behind a commit; the rest is refused",
        rss_growth_mib=64,
        delivery_p99_ms=10_000,
        may_refuse=True,
    ),
    Attack(
        name="ping-flood",
        does="WebSocket pings, protocol pings and empty messages",
        program=floods.pings,
        connections=16,
        seconds=8,
        outcomes=_only("open"),
        replies=_only("ok"),
        bound="64 events a turn",
        rss_growth_mib=24,
    ),
    Attack(
        name="unread-pings",
        does="pings whose answers are not read",
        program=floods.unread_pings,
        connections=100,
        seconds=28,
        outcomes=_only("reset", may=("close 3008",)),
        bound="not read while its answers wait; cut off after 20 s; sending 1 MiB more then is answered by a reset",
        rss_growth_mib=32,
    ),
    Attack(
        name="pipelining",
        does="200 requests in one write, again and again",
        program=floods.pipelined,
        connections=32,
        seconds=8,
        outcomes=_only("open"),
        replies=_only("status 200"),
        bound="16 steps a turn, one request at a time",
        rss_growth_mib=24,
    ),
    Attack(
        name="unread-pipelining",
        does="requests whose answers are not read",
        program=floods.unread_pipelined,
        connections=100,
        seconds=28,
        outcomes=_only("cut"),
        bound="not read while its answers wait; cut off after 20 s without a byte taken",
        rss_growth_mib=32,
    ),
    Attack(
        name="reconnect-storm",
        does="reconnects that ask for what they missed, reset, and come again",
        program=floods.reconnects,
        connections=100,
        seconds=8,
        outcomes=_only("done"),
        replies=_only("recovered"),
        bound="served from the tail, 64 KiB a reply",
        rss_growth_mib=32,
    ),
)
_FRAMES: Final = (
    Attack(
        name="fragments",
        does="a message in 5,000 frames of one byte",
        program=frames.fragments,
        connections=50,
        seconds=5,
        repeat=True,
        outcomes=_only("close 1009"),
        bound="1,024 fragments a message",
        rss_growth_mib=24,
    ),
    Attack(
        name="oversized-frame",
        does="a frame that announces a terabyte",
        program=frames.oversized_frame,
        connections=50,
        seconds=5,
        repeat=True,
        outcomes=_only("close 1009"),
        bound="128 KiB a message; refused on the announced length",
        rss_growth_mib=24,
    ),
    Attack(
        name="oversized-message",
        does="half a megabyte in fragments of 32 KiB",
        program=frames.oversized_message,
        connections=50,
        seconds=5,
        repeat=True,
        outcomes=_only("close 1009"),
        bound="128 KiB a message, over all its fragments",
        rss_growth_mib=24,
    ),
    Attack(
        name="compression",
        does="offers permessage-deflate, then sends a compressed frame all the same",
        program=frames.compression,
        connections=50,
        seconds=5,
        repeat=True,
        outcomes=_only("close 1002"),
        replies=_only("ok"),
        bound="no extension is negotiated",
        rss_growth_mib=24,
    ),
)
_RUDE: Final = (
    Attack(
        name="garbage",
        does="TLS hellos and random bytes",
        program=rude.garbage,
        connections=100,
        seconds=5,
        repeat=True,
        outcomes=_only("status 400"),
        bound="refused on the first bytes; 2 s and 16 MiB of the rest are thrown away",
        rss_growth_mib=24,
    ),
    Attack(
        name="half-closed",
        does="ends its side within a head, behind a request, on a WebSocket",
        program=rude.half_closed,
        connections=90,
        seconds=5,
        repeat=True,
        outcomes=_only("eof", "status 200"),
        bound="what was asked is answered, then closed",
        rss_growth_mib=24,
    ),
    Attack(
        name="resets",
        does="resets in every stage of a connection",
        program=rude.resets,
        connections=100,
        seconds=5,
        repeat=True,
        outcomes=_only("done"),
        bound="a reset connection is forgotten within a turn",
        rss_growth_mib=24,
    ),
)

ATTACKS: Final = (*_SLOW, *_FLOODS, *_FRAMES, *_RUDE)
INNOCENT: Final = Attack(
    name="innocent",
    does="computes as much as the attackers did, and touches no server",
    program=rude.burn,
    connections=1,
    seconds=0,
    outcomes=_only("done"),
    bound="none",
    rss_growth_mib=0,
)


def find(name: str) -> Attack:
    """The attack of that name. Raises KeyError."""
    return {attack.name: attack for attack in (*ATTACKS, INNOCENT)}[name]
