"""Client addresses: whom a request is from, as far as somebody we trust says so, and the key that limits count it by.

The peer of the socket is the client, unless it is a proxy that the operator has named. Then one header, the one that the operator
has named, is read from its right end: each proxy appends whom it heard from, so every entry is the word of the one after it, and
the first that is no proxy of ours is the client. What stands left of it the client may have made up.

A client is keyed by its IPv4 address or its IPv6 network of 64 bits, which is one link: whoever has one has 2^64 addresses. Many
have more of them, a household often 256 and whoever asks a provider 65,536 (RFC 6177): `site_of` tells the network of 48 bits
around them. Left out: the PROXY protocol, and the scheme and host that a proxy forwards.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import Final

import attrs
from attrs.validators import deep_iterable, in_, instance_of

from .http_message import RequestHead

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_HEADERS: Final = ("x-forwarded-for", "forwarded")
_MAX_HOPS: Final = 16
_MAX_CHARS: Final = 1024  # read from the right end: what a client puts on the left costs us nothing
_REMEMBERED: Final = 4096
_SITE_BITS: Final = 48


def _are_networks(instance: object, attribute: attrs.Attribute[tuple[str, ...]], networks: tuple[str, ...]) -> None:
    for each in networks:
        try:
            ipaddress.ip_network(each)
        except ValueError as error:
            raise ValueError(f"{attribute.name}: {error}") from None


@attrs.frozen(kw_only=True)
class ProxySettings:
    """Whose word counts for the address of a client."""

    trusted: tuple[str, ...] = attrs.field(
        default=(),
        converter=tuple,
        validator=[deep_iterable(instance_of(str)), _are_networks],
        metadata={"help": "networks of reverse proxies in front of this server, such as 10.0.0.0/8 or ::1/128"},
    )
    header: str = attrs.field(
        default=_HEADERS[0],
        validator=in_(_HEADERS),
        metadata={"help": "the header that they set, x-forwarded-for or forwarded; the other one is never read"},
    )


class Addresses:
    """Tells whom requests are from. Made anew when the settings change.

    Args:
        settings: whom to believe.
    """

    def __init__(self, settings: ProxySettings) -> None:
        self._networks: tuple[Network, ...] = tuple(ipaddress.ip_network(each) for each in settings.trusted)
        self._header = settings.header
        self._of_peer = lru_cache(maxsize=_REMEMBERED)(self._judge)
        self._of_chain = lru_cache(maxsize=_REMEMBERED)(self._follow)

    def of_peer(self, peer: str | None) -> str | None:
        """The key of a socket's other side, before it has said anything.

        Returns:
            None for whom no limit by address holds: a proxy of ours, a peer without address, and, until proxies are named,
            this machine itself (it may be one that was not named).
        """
        key, is_proxy = (None, False) if peer is None else self._of_peer(peer)
        return None if is_proxy else key

    def of(self, peer: str | None, head: RequestHead) -> str | None:
        """The key of the client that sent a request.

        Returns:
            None for whom no limit by address holds, as for `of_peer`. A proxy that names nobody is a client itself.
        """
        if peer is None:
            return None
        key, is_proxy = self._of_peer(peer)
        if not is_proxy:
            return key
        chain = head.header(self._header)
        if chain is None:
            return key
        return self._of_chain(peer, chain if len(chain) <= _MAX_CHARS else chain[-_MAX_CHARS:].partition(",")[2])

    def _judge(self, peer: str) -> tuple[str | None, bool]:
        """The key of a socket's other side, and whether it is a proxy of ours."""
        address = parse(peer)
        if address is None or (address.is_loopback and not self._networks):
            return None, False
        return key_of(address), self._trusts(address)

    def _follow(self, peer: str, chain: str) -> str | None:
        """The key of the first in a chain, from its right end, that is no proxy of ours."""
        address = parse(peer)
        assert address is not None, "a proxy has an address"
        # Cut at every comma, also within quotes: a quote that a client opened must not swallow what our proxy appended.
        for entry in reversed(chain.split(",")[-_MAX_HOPS:]):
            hop = parse(entry if self._header == _HEADERS[0] else _forwarded_for(entry))
            if hop is None:
                break  # "unknown", a pseudonym or garbage: whom we know last is who answers for it
            address = hop
            if not self._trusts(hop):
                break
        return key_of(address)

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


def key_of(address: Address) -> str:
    """What limits count an address by."""
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(ipaddress.IPv6Network((int(address) >> 64 << 64, 64)))


@lru_cache(maxsize=_REMEMBERED)
def site_of(key: str) -> str:
    """The IPv6 network of 48 bits around the key of an IPv6 client; no key of a client looks like it."""
    return str(ipaddress.IPv6Network(key).supernet(new_prefix=_SITE_BITS))


def parse(text: str) -> Address | None:
    """Read an address as sockets and proxies write it: with port, brackets or zone, or IPv4 inside IPv6. None if it is none."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _forwarded_for(element: str) -> str:
    """The `for` of one element of a Forwarded header (RFC 7239), "" when it has none."""
    for pair in element.split(";"):
        name, _, value = pair.partition("=")
        if name.strip().lower() == "for":
            return value
    return ""
