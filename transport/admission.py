"""Admission: who may ask now. The one object that every transport asks before it does any work for a request or a connection.

It joins what is counted over time (`limits`) with what is counted while it lasts: sockets, streams and strangers by address, and
requests in flight in all. A stranger is a connection that was upgraded and has not said who it is yet.

Invariants:
- A refusal is made before anything is looked up, started or upgraded, so that it can be said in HTTP, and costs less than work.
- What is counted while it lasts is given back exactly once; a count of nought is not kept, so the memory is bounded by what is
  open.
- Health answers whatever is full.

Left out: how many sockets there are in all (`acceptor`), subscriptions of one connection (`engine.core.session`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

from ..engine.core.buckets import SECOND_NS
from ..engine.core.errors import LimitExceeded, Overloaded, Retry
from .address import Addresses, site_of
from .http_message import RequestHead
from .limit_settings import Action
from .limits import Limits, Ruling
from .live import Live, LiveSettings

ROOM_AGAIN_S: Final = 5.0
"""What those are told to wait who were refused because their address has too much open."""


def clock_ns() -> int:
    """The clock of trio, nanoseconds."""
    return int(trio.current_time() * SECOND_NS)


class TooManyOpen(LimitExceeded):
    """An address has as much open as it may have."""

    retry = Retry.AFTER
    retry_after_s = ROOM_AGAIN_S


class Tally:
    """What is open, by address and by IPv6 site."""

    __slots__ = ("_open", "_sites", "refused")

    def __init__(self) -> None:
        self._open: dict[str, int] = {}
        self._sites: dict[str, int] = {}
        self.refused = 0

    def __len__(self) -> int:
        return len(self._open)

    def count(self, address: str) -> int:
        """How many an address has open."""
        return self._open.get(address, 0)

    def take(self, address: str | None, bound: int | None = None, site_factor: int = 1) -> bool:
        """Count one more, or refuse it.

        Args:
            address: None for whom nothing is counted.
            bound: how many there may be; None for what must not be refused.
            site_factor: how many times that an IPv6 site may have.
        """
        if address is None:
            return True
        site = site_of(address) if ":" in address else None
        count = self._open.get(address, 0)
        if bound is not None and (
            count >= bound or (site is not None and self._sites.get(site, 0) >= bound * site_factor)
        ):
            self.refused += 1
            return False
        self._open[address] = count + 1
        if site is not None:
            self._sites[site] = self._sites.get(site, 0) + 1
        return True

    def give_back(self, address: str | None) -> None:
        """One that was taken is no longer open."""
        if address is None:
            return
        _less(self._open, address)
        if ":" in address:
            _less(self._sites, site_of(address))


def _less(counts: dict[str, int], key: str) -> None:
    count = counts[key] - 1
    if count:
        counts[key] = count
    else:
        del counts[key]


class Admission:
    """What a server lets in; follows its settings.

    Args:
        live: the settings of now.
        clock_ns: nanoseconds, never running back.

    Attributes:
        changing: held by whoever stores what an admin has set, so that what is stored last is what holds.
        limits: what is counted over time.
        addresses: whom requests are from.
        sockets, streams, strangers: what is open, by address. Sockets by that of their other side, the others by the client's.
        in_flight: requests that are being carried out.
        refused_in_flight: requests refused because of those.
    """

    def __init__(self, live: Live, clock_ns: Callable[[], int] = clock_ns) -> None:
        self.changing = trio.Lock()
        self._settings = live.current.limits
        self.limits = Limits(live.current.limits, clock_ns)
        self.addresses = Addresses(live.current.proxies)
        self.sockets, self.streams, self.strangers = Tally(), Tally(), Tally()
        self.in_flight = self.refused_in_flight = 0
        live.subscribe(self._apply)

    def _apply(self, settings: LiveSettings) -> None:
        self._settings = settings.limits
        self.limits.apply(settings.limits)
        self.addresses = Addresses(settings.proxies)

    # -- sockets ------------------------------------------------------------------------------------------------------

    def take_socket(self, peer: str | None, *, always: bool = False) -> tuple[bool, str | None]:
        """Count a socket that was accepted, or refuse it; see `ports.Gate`."""
        address = self.addresses.of_peer(peer)
        bound = None if always else self._settings.connections_per_address
        taken = self.sockets.take(address, bound, self._settings.site_factor)
        return taken, address if taken else None

    def give_back_socket(self, counted: str) -> None:
        """A socket that was counted is closed."""
        self.sockets.give_back(counted)

    # -- requests -----------------------------------------------------------------------------------------------------

    def arrive(self, action: Action, address: str | None) -> Ruling | None:
        """Let a request in that has just arrived, before its credential is looked at.

        Returns:
            The ruling by address, which may refuse it; None where nothing limits it.

        Raises:
            Overloaded: too much is being carried out. Admins are let in all the same.
        """
        if action is Action.FREE:
            return None
        if self.in_flight >= self._settings.requests_in_flight and action is not Action.ADMIN:
            self.refused_in_flight += 1
            raise Overloaded("too many requests are being carried out")
        return self.limits.decide(Action.REQUEST, address)

    # -- streams and WebSockets ---------------------------------------------------------------------------------------

    def enter(self, peer: str | None, head: RequestHead) -> Visit:
        """Let a WebSocket or an event stream in, before its upgrade and before its credential is looked at.

        Raises:
            RateLimited: its address opens too many too fast.
            TooManyOpen: its address has too many open.
        """
        address = self.addresses.of(peer, head)
        for action in (Action.REQUEST, Action.CONNECT):
            ruling = self.limits.decide(action, address)
            if ruling is not None and (refusal := ruling.refusal) is not None:
                raise refusal
        settings = self._settings
        if not self.streams.take(address, settings.connections_per_address, settings.site_factor):
            raise TooManyOpen("this address has too many connections open")
        return Visit(self, address)

    def is_strange(self, address: str | None) -> bool:
        """Count a stranger; False when its address has too many of them."""
        return self.strangers.take(address, self._settings.strangers_per_address, self._settings.site_factor)


class Visit:
    """One WebSocket or event stream that was let in.

    Attributes:
        address: the client's key.
    """

    __slots__ = ("_admission", "_is_open", "_is_stranger", "address")

    def __init__(self, admission: Admission, address: str | None) -> None:
        self._admission = admission
        self.address = address
        self._is_open = True
        self._is_stranger = False

    def estrange(self) -> None:
        """It goes on without having said who it is.

        Raises:
            TooManyOpen: its address has too many of that kind.
        """
        if not self._admission.is_strange(self.address):
            raise TooManyOpen("this address has too many connections that have not authenticated")
        self._is_stranger = True

    def acquaint(self) -> None:
        """It has said who it is."""
        if self._is_stranger:
            self._is_stranger = False
            self._admission.strangers.give_back(self.address)

    def leave(self) -> None:
        """It is over; may be called again."""
        self.acquaint()
        if self._is_open:
            self._is_open = False
            self._admission.streams.give_back(self.address)
