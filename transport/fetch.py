"""Small documents from other servers: keys, metadata, tokens. Bounded in size and time; nothing of an answer is in an error.

Invariants: no redirect is followed and no proxy of the environment believed, so that what was checked of a URL holds for what is
asked; certificates are verified; an answer over the bound is not read on.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Final
from urllib.parse import urlsplit

import attrs
import httpx
import trio

ANSWER_BYTES: Final = 256 * 1024
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})

_HEADERS: Final = {"accept": "application/json", "accept-encoding": "identity"}  # unpacked, an answer has no bound

Fetch = Callable[[str, float], Awaitable[bytes]]
"""Fetch a document; arguments are the URL and the seconds it may take. Raises `FetchFailed`."""


class FetchFailed(Exception):
    """A document could not be had; the message says why and holds nothing of it."""


@attrs.frozen
class Answer:
    """What a server has answered."""

    status: int
    body: bytes = attrs.field(repr=False)


def secure_url(url: str) -> str:
    """Check a URL that keys, tokens or secrets are exchanged with.

    Raises:
        ValueError: it is neither https nor plain http to this machine, or carries a credential.
    """
    parts = urlsplit(url)
    if not parts.hostname or not (parts.scheme == "https" or is_local(url)):
        raise ValueError("give an https URL (http only to this machine itself)")
    if parts.username is not None or parts.fragment:
        raise ValueError("the URL may hold neither a user nor a fragment")
    return url


def is_local(url: str) -> bool:
    """Whether a URL is plain http to this machine."""
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname in _LOOPBACK


async def fetch_document(url: str, timeout_s: float) -> bytes:
    """GET a document.

    Raises:
        FetchFailed: no answer in time, another status than 200, or too much.
    """
    answer = await ask("GET", url, timeout_s)
    if answer.status != httpx.codes.OK:
        raise FetchFailed(f"status {answer.status}")
    return answer.body


async def ask(
    method: str,
    url: str,
    timeout_s: float,
    *,
    headers: Mapping[str, str] | None = None,
    form: Mapping[str, str] | None = None,
) -> Answer:
    """Send one request and read its answer, whatever its status, up to `ANSWER_BYTES`.

    Args:
        form: fields of a form to send.

    Raises:
        FetchFailed: no answer in time, or too much.
    """
    body, status, reason = b"", 0, f"no answer within {timeout_s:g} s"
    try:
        with trio.move_on_after(timeout_s) as scope:
            verify = await _verifying()
            async with (
                httpx.AsyncClient(timeout=timeout_s, follow_redirects=False, trust_env=False, verify=verify) as client,
                client.stream(method, url, headers={**_HEADERS, **(headers or {})}, data=form) as answer,
            ):
                status = answer.status_code
                async for piece in answer.aiter_raw():
                    body += piece
                    if len(body) > ANSWER_BYTES:
                        reason = f"over {ANSWER_BYTES} bytes"
                        scope.cancel()  # leaving the loop would leave httpx's generators to the garbage collector
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise FetchFailed(type(error).__name__) from error
    if scope.cancelled_caught:
        raise FetchFailed(reason)
    return Answer(status, body)


_contexts: Final[list[ssl.SSLContext]] = []


async def _verifying() -> ssl.SSLContext:
    """The context that verifies certificates, made once: reading the certificates takes too long for the loop."""
    if not _contexts:
        _contexts.append(await trio.to_thread.run_sync(lambda: httpx.create_ssl_context(trust_env=False)))
    return _contexts[-1]
