"""Tests of hubbub/client.py: what is said when a server cannot be reached, and how long is waited then."""

import io
import shutil
import socket
import ssl
import subprocess
from contextlib import asynccontextmanager, suppress
from functools import partial

import pytest
import trio

from hubbub.client import Backoff, open_client, server_url
from hubbub.credentials import GivenToken
from hubbub.follower import Follower, Pace
from hubbub.poster import Poster
from hubbub.refusals import Refused, TalkError, Unreachable
from hubbub.terminal import Terminal

from .certificates import Certificate, make_certificate
from .scripted_server import problem

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


@pytest.fixture
def certified(tmp_path):
    """A certificate that signs itself; it lies in the directory `believed`, too, as OpenSSL looks it up."""
    made = make_certificate(tmp_path)
    folder = tmp_path / "believed"
    folder.mkdir()
    shutil.copy(made.cert, folder)
    subprocess.run(["openssl", "rehash", str(folder)], check=True, capture_output=True)
    return made


@asynccontextmanager
async def https(certificate: Certificate):
    """A port that speaks TLS and answers each request with 404."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.cert, certificate.key)

    async def answer(stream: trio.SSLStream[trio.SocketStream]) -> None:
        with suppress(trio.BrokenResourceError):  # the client believes us not
            await stream.receive_some()
            await stream.send_all(problem(404, "no such thing", "never"))

    async with trio.open_nursery() as nursery:
        serve = partial(trio.serve_ssl_over_tcp, answer, 0, context, host="127.0.0.1", https_compatible=True)
        (listener,) = await nursery.start(serve)
        yield f"https://127.0.0.1:{listener.transport_listener.socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


async def test_a_certificate_that_nobody_vouches_for_is_never_believed(certified):
    """The error says how to name another authority, and that trying again is of no use."""
    async with https(certified) as url:
        error = await why_not(url)
    assert "self-signed certificate" in str(error)
    assert "SSL_CERT_FILE" in str(error)
    assert not error.sent
    assert not error.passing


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
async def test_the_environment_names_who_is_believed(certified, monkeypatch, variable):
    """For a server on this machine, too: its answer comes through."""
    named = certified.cert if variable == "SSL_CERT_FILE" else certified.cert.parent / "believed"
    monkeypatch.setenv(variable, str(named))
    async with https(certified) as url, open_client(url) as client:
        with trio.fail_after(20), pytest.raises(Refused, match="no such thing"):
            await client.become_guest("ada")


@pytest.mark.parametrize(
    ("variable", "content", "said"),
    [
        ("SSL_CERT_FILE", None, "cannot be read: No such file"),
        ("SSL_CERT_FILE", "no certificate", "no certificates are"),
        ("SSL_CERT_DIR", None, "is no directory"),
    ],
)
async def test_certificates_that_cannot_be_used_are_named(tmp_path, monkeypatch, variable, content, said):
    """Before anything is sent, and in words; for plain HTTP they are without meaning."""
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    monkeypatch.setenv(variable, str(file))
    with pytest.raises(TalkError, match=f"{variable} .*{said}"):
        async with open_client("https://127.0.0.1:9"):
            pass
    async with open_client("http://127.0.0.1:9"):
        pass


@pytest.mark.parametrize("work", ["post", "follow"])
async def test_neither_posting_nor_following_tries_a_certificate_again(certified, work):
    """One try, and the reason; a post says that it was not made."""
    terminal = Terminal(out=io.StringIO(), err=io.StringIO(), chatty=True)
    async with https(certified) as url, open_client(url) as client:
        poster = Poster(client, GivenToken("t"), terminal, conversation="lobby", key="k", timeout_s=600)
        follower = Follower(client, GivenToken("t"), terminal, conversation="lobby", after=None)
        run = partial(poster.post, "hi") if work == "post" else follower.run
        with trio.fail_after(20), pytest.raises(TalkError, match="self-signed certificate") as caught:
            await run()
    assert terminal.err.getvalue() == ""
    assert ("was not posted" in str(caught.value)) is (work == "post")


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


def test_no_server_makes_a_client_wait_for_more_than_a_minute_at_once():
    """Whatever it names, it is asked again then."""
    assert 60 <= Backoff(1.0, 5.0).next_s(1e9) <= 61


def test_a_follower_never_waits_long_for_a_server_that_names_no_time():
    """After any number of failures, and whatever pace the server asked of readers, the next try is within 5 s."""
    pace = Pace()
    for first_s in (pace.first_s, 60.0):
        backoff = Backoff(first_s, pace.most_s)
        assert max(backoff.next_s() for _ in range(100)) <= 5
