"""Small documents from other servers: bounded in size and time."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from hubbub.transport.fetch import ANSWER_BYTES, Answer, FetchFailed, ask, fetch_document, secure_url


@asynccontextmanager
async def site(answer: bytes) -> AsyncIterator[str]:
    """A server that says the same to everybody, then nothing for a long time."""

    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        with trio.move_on_after(30):
            await stream.send_all(answer)
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        yield f"http://127.0.0.1:{listener.socket.getsockname()[1]}/jwks"
        nursery.cancel_scope.cancel()


async def test_a_document_is_fetched() -> None:
    """Over plain HTTP from this machine."""
    async with site(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}") as url:
        assert await fetch_document(url, 5.0) == b"{}"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n", "status 302"),
        (b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n", "status 500"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (ANSWER_BYTES + 1), "over"),
        (b"nonsense\r\n\r\n", "RemoteProtocolError"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{", "no answer|ReadTimeout"),
    ],
)
async def test_documents_that_cannot_be_had(answer: bytes, reason: str) -> None:
    """Redirects are not followed, much is not read, slowness ends."""
    async with site(answer) as url:
        with pytest.raises(FetchFailed, match=reason):
            await fetch_document(url, 0.5)


async def test_a_packed_answer_is_not_unpacked() -> None:
    """A few bytes that would become millions stay a few bytes."""
    packed = gzip.compress(bytes(10_000_000))
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(packed)
    async with site(head + packed) as url:
        assert await fetch_document(url, 5.0) == packed


async def test_a_form_is_answered_whatever_the_status() -> None:
    """Who sends a form reads what is said of a refusal, too."""
    async with site(b"HTTP/1.1 400 No\r\ncontent-length: 2\r\n\r\n{}") as url:
        assert await ask("POST", url, 5.0, form={"a": "b"}) == Answer(400, b"{}")


async def test_nobody_there() -> None:
    """A port that nobody listens on."""
    with trio.socket.socket() as sock:
        await sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    with pytest.raises(FetchFailed, match="ConnectError"):
        await fetch_document(f"http://127.0.0.1:{port}/", 5.0)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8/x", "http://localhost/x", "https://login.example/x", "http://[::1]/"]
)
def test_urls_that_may_be_fetched(url: str) -> None:
    """https, or this machine."""
    assert secure_url(url) == url


@pytest.mark.parametrize(
    "url", ["http://login.example/x", "https:///x", "file:///etc/passwd", "https://a@b/", "https://b/#x"]
)
def test_urls_that_may_not(url: str) -> None:
    """Anything else would hand keys to whoever stands between."""
    with pytest.raises(ValueError, match="URL"):
        secure_url(url)
