"""Tests of hubbub/client.py: what is said when a server cannot be reached, and how long is waited then."""

import socket
from functools import partial

import pytest
import trio

from hubbub.client import Backoff, open_client, server_url
from hubbub.follower import Pace
from hubbub.refusals import TalkError, Unreachable

HOST = "no-such-host.invalid"  # RFC 6761: no resolver knows it


async def why_not(url: str) -> Unreachable:
    """How becoming a guest at the URL fails."""
    async with open_client(url) as client:
        with trio.fail_after(20), pytest.raises(Unreachable) as caught:
            await client.become_guest("ada")
    return caught.value


async def test_a_host_that_nobody_knows_is_named():
    """The name is what was mistyped, so the name is said; nothing was sent."""
    error = await why_not(f"http://{HOST}:8000")
    assert f"unknown host {HOST} (" in str(error)
    assert not error.sent


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n", "TLS handshake failed: the port speaks plain HTTP"),
        (b"\x15\x03\x03\x00\x02\x02\x28", "TLS handshake failed: SSLV3_ALERT_HANDSHAKE_FAILURE"),
    ],
)
async def test_a_failed_tls_handshake_says_why(answer, said):
    """https to a port of plain HTTP is told from a server that speaks TLS and refuses; nothing was sent."""

    async def plain(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(answer)

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, plain, 0, host="127.0.0.1"))
        error = await why_not(f"https://127.0.0.1:{listener.socket.getsockname()[1]}")
        nursery.cancel_scope.cancel()
    assert said in str(error)
    assert not error.sent


async def test_a_port_without_a_server_is_told_from_both():
    """Nobody listens: the host is there, and TLS has nothing to do with it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        for scheme in ("http", "https"):
            assert "nobody answers there" in str(await why_not(f"{scheme}://127.0.0.1:{taken.getsockname()[1]}"))


@pytest.mark.parametrize("host", ["a..b", "a" * 70 + ".example"])
def test_a_name_that_cannot_be_a_host_is_refused_before_it_is_looked_up(host):
    """The error is about the URL, as with any other mistake in it."""
    with pytest.raises(TalkError, match="not the URL of a server"):
        server_url(f"http://{host}:8000")


def test_a_follower_never_waits_long_for_a_server_that_names_no_time():
    """After any number of failures, and whatever pace the server asked of readers, the next try is within 5 s."""
    pace = Pace()
    for first_s in (pace.first_s, 60.0):
        backoff = Backoff(first_s, pace.most_s)
        assert max(backoff.next_s() for _ in range(100)) <= 5
