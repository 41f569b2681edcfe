"""What is limited: actions, the profiles that each is counted on, and the section `limits` of what may change.

Left out: how a request is judged (`limits`), and by what algorithm (`engine.core.buckets`).
"""

# ruff: noqa: RUF009  `_profile` makes an attrs field, as the checker would see of `attrs.field`

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

import attrs
from attrs.validators import ge, instance_of, le

from ..engine.core.buckets import MAX_PERIOD_S, MAX_RATE, SECOND_NS, Limit


class Counted(StrEnum):
    """Whom a profile counts."""

    ADDRESS = "address"
    CALLER = "caller"
    """The principal; the address where there is none."""
    MEMBER = "caller_in_conversation"
    CONVERSATION = "conversation"
    CONNECTION = "connection"
    ACCOUNT = "account_at_address"
    """The account that somebody wants to get into, from where: others cannot use it up for whom it belongs to."""


class Action(StrEnum):
    """What a request asks for, as far as limits go."""

    FREE = "free"
    """Never limited: health must answer whatever happens."""
    REQUEST = "request"
    """Anything at all, before it is looked at any closer."""
    READ = "read"
    WRITE = "write"
    POST = "post"
    CREATE = "create"
    JOIN = "join"
    GUEST = "guest"
    LOGIN = "login"
    GUESS = "guess"
    """A password that may be wrong: taken back when it is right (`guesses`)."""
    SIGN_UP = "sign_up"
    CONNECT = "connect"
    SUBSCRIBE = "subscribe"
    ADMIN = "admin"
    EMULATE = "emulate"
    """Commands of a stream over HTTP: each is counted as what it asks for when it is taken up."""


RULES: Final[Mapping[Action, tuple[str, ...]]] = {
    Action.FREE: (),
    Action.REQUEST: ("request",),
    Action.READ: ("read",),
    Action.WRITE: ("write",),
    Action.POST: ("write", "post", "conversation"),
    Action.CREATE: ("write", "create"),
    Action.JOIN: ("write", "join"),
    Action.GUEST: ("guest",),
    Action.LOGIN: ("login",),
    Action.GUESS: ("password",),
    Action.SIGN_UP: ("sign_up",),
    Action.CONNECT: ("connect",),
    Action.SUBSCRIBE: ("subscribe",),
    Action.ADMIN: ("admin",),
    Action.EMULATE: (),
}
"""The profiles that an action is counted on. Posts are writes, too: else one caller could try any number of conversations."""


@attrs.frozen(kw_only=True)
class Profile:
    """How much and how fast; see `engine.core.buckets.Limit`."""

    rate: int = attrs.field(validator=[instance_of(int), ge(1), le(MAX_RATE)], metadata={"help": "requests a period"})
    period_s: int = attrs.field(
        default=1, validator=[instance_of(int), ge(1), le(MAX_PERIOD_S)], metadata={"help": "the period, seconds"}
    )
    burst: int = attrs.field(
        validator=[instance_of(int), ge(1), le(MAX_RATE)], metadata={"help": "requests at once after a pause"}
    )
    on: bool = attrs.field(
        default=True, validator=instance_of(bool), metadata={"help": "false lets any number through"}
    )

    def limit(self, factor: int) -> Limit:
        """What buckets are judged by, some times larger."""
        return Limit(
            rate=min(self.rate * factor, MAX_RATE),
            period_ns=self.period_s * SECOND_NS,
            burst=min(self.burst * factor, MAX_RATE),
        )


def _bound(default: int, doc: str) -> Any:
    return attrs.field(default=default, validator=[instance_of(int), ge(1)], metadata={"help": doc})


def _profile(counted: Counted, rate: int, burst: int, doc: str, *, period_s: int = 1, on: bool = True) -> Any:
    profile = Profile(rate=rate, period_s=period_s, burst=burst, on=on)
    return attrs.field(default=profile, metadata={"help": doc, "counted": counted})


@attrs.frozen(kw_only=True)
class LimitSettings:
    """The profiles, what holds for all of them, and bounds of what is open at the same time."""

    on: bool = attrs.field(default=True, metadata={"help": "false limits nothing by rate; bounds still hold"})
    factor: int = attrs.field(
        default=1,
        validator=[ge(1), le(MAX_RATE)],
        metadata={
            "help": "makes every rate and burst so many times larger: for load tests, which then pay for limits, too"
        },
    )
    site_factor: int = attrs.field(
        default=16,
        validator=[instance_of(int), ge(1), le(65_536)],
        metadata={
            "help": "what an IPv6 network of 48 bits gets of everything counted by address, in times of what one of its 65,536 "
            "networks of 64 bits gets"
        },
    )
    max_buckets: int = attrs.field(
        default=20_000,
        validator=[ge(1), le(10_000_000)],
        metadata={"help": "callers that one profile can tell apart at once; while there are more, late comers share"},
    )
    connections_per_address: int = _bound(
        1_000, "sockets of one address, and WebSockets and event streams of one client"
    )
    strangers_per_address: int = _bound(100, "WebSockets of one client that have not authenticated yet")
    requests_in_flight: int = _bound(4_096, "requests being carried out at once; more are refused with 503")
    request: Profile = _profile(Counted.ADDRESS, 200, 1000, "requests of any kind, before credentials are looked up")
    read: Profile = _profile(Counted.CALLER, 50, 200, "reads: pages of messages, lists, presence")
    write: Profile = _profile(Counted.CALLER, 50, 100, "everything that changes something or is shown to others")
    post: Profile = _profile(Counted.MEMBER, 20, 40, "posts of one caller in one conversation")
    conversation: Profile = _profile(
        Counted.CONVERSATION, 500, 1000, "posts of all callers in one conversation", on=False
    )
    create: Profile = _profile(Counted.CALLER, 30, 30, "new conversations", period_s=60)
    join: Profile = _profile(
        Counted.MEMBER, 10, 10, "becoming a member oneself; each is an event for everybody there", period_s=60
    )
    guest: Profile = _profile(Counted.ADDRESS, 10, 30, "new guests", period_s=60)
    login: Profile = _profile(Counted.ADDRESS, 10, 10, "attempts to log in", period_s=60)
    password: Profile = _profile(
        Counted.ACCOUNT, 10, 10, "wrong passwords for one account from one address", period_s=900
    )
    sign_up: Profile = _profile(Counted.ADDRESS, 20, 10, "new accounts", period_s=3600)
    connect: Profile = _profile(Counted.ADDRESS, 20, 200, "WebSockets and event streams opened")
    subscribe: Profile = _profile(
        Counted.CALLER, 200, 2000, "conversations followed; a client that returns follows all"
    )
    command: Profile = _profile(Counted.CONNECTION, 200, 2000, "commands of one WebSocket")
    admin: Profile = _profile(Counted.CALLER, 50, 100, "calls of admins, and of the operator's token")

    def profiles(self) -> dict[str, Profile]:
        """The profiles by name."""
        return {name: getattr(self, name) for name in PROFILES}


PROFILES: Final[Mapping[str, Counted]] = {
    each.name: each.metadata["counted"] for each in attrs.fields(LimitSettings) if "counted" in each.metadata
}
"""Whom each profile counts, by name."""
