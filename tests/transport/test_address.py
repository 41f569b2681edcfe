"""Client addresses: who is believed, and what one client counts as."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.transport.address import Addresses, ProxySettings, key_of, parse, site_of

from .house import head_of

PROXY = "10.0.0.1"
TRUSTING = ProxySettings(trusted=("10.0.0.0/8", "2001:db8:ffff::/48"))
FORWARDED = ProxySettings(trusted=("10.0.0.0/8",), header="forwarded")


def client(settings: ProxySettings, peer: str | None, *headers: str) -> str | None:
    return Addresses(settings).of(peer, head_of("GET", "/health", *headers))


@pytest.mark.parametrize("header", ["X-Forwarded-For: 203.0.113.7", "Forwarded: for=203.0.113.7"])
@pytest.mark.parametrize("settings", [ProxySettings(), TRUSTING, FORWARDED])
def test_x_forwarded_for_is_believed_from_anyone_and_here_it_is_not(header: str, settings: ProxySettings) -> None:
    """Whoever is no proxy of ours is its own address, whatever it says."""
    assert client(settings, "198.51.100.1", header) == "198.51.100.1"


@pytest.mark.parametrize(
    ("chain", "expected"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("1.1.1.1, 203.0.113.7", "203.0.113.7"),
        ("1.1.1.1,203.0.113.7,10.9.9.9", "203.0.113.7"),
        ("1.1.1.1, 203.0.113.7, 2001:db8:ffff::1", "203.0.113.7"),
        ("10.2.2.2, 10.3.3.3", "10.2.2.2"),
        ("203.0.113.7:4711", "203.0.113.7"),
        ("[2001:db8:1:2:3::4]:4711", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("203.0.113.7, unknown", PROXY),
        ("203.0.113.7, 10.9.9.9, nonsense", PROXY),
        ("203.0.113.7, nonsense, 10.9.9.9", "10.9.9.9"),
        ("", PROXY),
        (",", PROXY),
    ],
)
def test_the_client_is_the_first_from_the_right_that_is_no_proxy(chain: str, expected: str) -> None:
    """What stands left of it the client may have made up; garbage ends the search."""
    assert client(TRUSTING, PROXY, f"X-Forwarded-For: {chain}") == expected


@pytest.mark.parametrize(
    ("chain", "expected"),
    [
        ("for=203.0.113.7", "203.0.113.7"),
        ('For="[2001:db8:1:2:3::4]:4711"', "2001:db8:1:2::/64"),
        ("for=1.1.1.1, for=203.0.113.7;proto=https;by=10.0.0.1, for=10.9.9.9", "203.0.113.7"),
        ('for="1.1.1.1, for=203.0.113.7', "203.0.113.7"),
        ("for=_hidden, for=unknown", PROXY),
        ("proto=https", PROXY),
        ("for=203.0.113.7, proto=https", PROXY),
    ],
)
def test_forwarded_is_read_likewise(chain: str, expected: str) -> None:
    """RFC 7239, where it is the header that was named; an open quote swallows nothing."""
    assert client(FORWARDED, PROXY, f"Forwarded: {chain}") == expected


def test_the_header_that_was_not_named_is_never_read() -> None:
    """A proxy passes on what it does not set itself: the client may have made it up."""
    both = ("X-Forwarded-For: 203.0.113.7", "Forwarded: for=198.51.100.9")
    assert client(TRUSTING, PROXY, *both) == "203.0.113.7"
    assert client(FORWARDED, PROXY, *both) == "198.51.100.9"
    assert client(TRUSTING, PROXY, both[1]) == PROXY


def test_repeated_headers_are_one_chain() -> None:
    """The last line is what the nearest proxy appended."""
    lines = ("X-Forwarded-For: 1.1.1.1", "X-Forwarded-For: 203.0.113.7")
    assert client(TRUSTING, PROXY, *lines) == "203.0.113.7"


def test_a_chain_of_any_length_costs_no_more_than_a_short_one() -> None:
    """Only the right end is read, in whole entries."""
    made_up = "1.1.1.1, " * 1000
    assert client(TRUSTING, PROXY, f"X-Forwarded-For: {made_up}203.0.113.7") == "203.0.113.7"
    assert client(TRUSTING, PROXY, f"X-Forwarded-For: 203.0.113.7{', 10.9.9.9' * 1000}") == "10.9.9.9"
    assert client(TRUSTING, PROXY, f"X-Forwarded-For: 203.0.113.7, {'x' * 5000}") == PROXY


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
def test_loopback_is_nobody_until_proxies_are_named(peer: str) -> None:
    """A proxy on this machine that nobody has named must not be one bucket for the whole world."""
    assert client(ProxySettings(), peer) is None
    assert Addresses(ProxySettings()).of_peer(peer) is None
    assert client(TRUSTING, peer) is not None
    assert client(ProxySettings(trusted=("127.0.0.0/8", "::1/128")), peer, "X-Forwarded-For: 1.1.1.1") == "1.1.1.1"


def test_a_socket_of_a_proxy_is_not_counted_by_address() -> None:
    """Many clients stand behind it; they are counted when their requests have named them."""
    addresses = Addresses(TRUSTING)
    assert addresses.of_peer(PROXY) is None
    assert addresses.of_peer("2001:db8:ffff::1") is None
    assert addresses.of_peer("198.51.100.1") == "198.51.100.1"
    assert addresses.of_peer(None) is None
    assert client(TRUSTING, None, "X-Forwarded-For: 1.1.1.1") is None


@given(st.ip_addresses(v=6), st.integers(0, 2**64 - 1))
def test_all_addresses_of_one_ipv6_network_are_one_client(address: ipaddress.IPv6Address, host: int) -> None:
    """2^64 of them come with one connection to the internet."""
    if address.ipv4_mapped is None:
        assert key_of(address) == key_of(ipaddress.IPv6Address(int(address) >> 64 << 64 | host))
        assert key_of(address) != key_of(ipaddress.IPv6Address(int(address) ^ 1 << 64))


@given(st.one_of(st.ip_addresses(), st.text()))
def test_any_text_is_read_as_an_address_or_not_at_all(text: object) -> None:
    """Whatever a proxy forwards, nothing raises; what it writes is read back."""
    found = parse(str(text))
    if isinstance(text, ipaddress.IPv4Address):
        assert found == text == parse(f"{text}:80")
    if isinstance(text, ipaddress.IPv6Address) and text.ipv4_mapped is None:
        assert found == ipaddress.IPv6Address(int(text)) == parse(f'"[{text}]:80"')


@pytest.mark.parametrize(
    "fields",
    [{"trusted": ("10.0.0.1/8",)}, {"trusted": ("proxy.example.org",)}, {"header": "x-real-ip"}],
)
def test_settings_that_cannot_be_meant_are_refused(fields: dict[str, object]) -> None:
    """A network has no host bits; a name is no network; only headers that name every hop can be checked."""
    with pytest.raises(ValueError, match=next(iter(fields))):
        ProxySettings(**fields)  # type: ignore[arg-type]


def test_a_site_is_the_48_around_a_key() -> None:
    """It is written unlike any key of a client, and IPv4 has none."""
    assert site_of(key_of(ipaddress.IPv6Address("2001:db8:1:2:3::4"))) == "2001:db8:1::/48"
    assert site_of("2001:db8:1:ffff::/64") == site_of("2001:db8:1::/64") != site_of("2001:db8:2::/64")
