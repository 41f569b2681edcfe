"""A client of hubbub's REST calls and event streams, over httpx on trio; and how often it tries again.

Every failure is a `TalkError` whose text is for the person at the terminal: `Unreachable` when no whole answer came,
`Refused` when the server said no. Answers are bounded in size. A token is only sent to the URL it was given for: redirects
are not followed, and a proxy from the environment is not used for this machine itself.
"""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from http import HTTPStatus
from ipaddress import ip_address
from typing import Final, TypeVar
from urllib.parse import quote, urlsplit

import attrs
import httpx
import msgspec

from .refusals import TalkError, Unreachable, is_not_believed, refusal, why_unreachable
from .transport.version import version
from .trust import trusted

PAGE_ITEMS: Final = 100
_MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024  # a page of the longest texts, every character of them escaped
_MAX_PROBLEM_BYTES: Final = 64 * 1024
_CALL_S: Final = 15.0  # the server itself gives a post up after 10 s
_CONNECT_S: Final = 5.0
_MAX_RETRY_AFTER_S: Final = 60.0
_SILENCE_S: Final = 50.0  # a stream shows life every 20 s
T = TypeVar("T")


class _Author(msgspec.Struct, frozen=True):
    name: str


class _Message(msgspec.Struct, frozen=True):
    id: str
    offset: int
    author: _Author
    text: str
    created_at: str


class _Page(msgspec.Struct, frozen=True):
    messages: list[msgspec.Raw]
    next: int | None


class _Guest(msgspec.Struct, frozen=True):
    token: str


@attrs.frozen
class Message:
    """One message. `json` is what the server sent."""

    id: str
    offset: int
    author: str
    text: str
    created_at: str
    json: bytes = attrs.field(repr=False)

    @classmethod
    def decode(cls, data: bytes) -> Message:
        """Read a message as REST and events show it.

        Raises:
            TalkError: it is not one.
        """
        found = decode(data, _Message)
        return cls(found.id, found.offset, found.author.name, found.text, found.created_at, data)

    def ascii_json(self) -> str:
        """The JSON on one line, in ASCII."""
        return json.dumps(json.loads(self.json), separators=(",", ":"))


@attrs.frozen
class Page:
    """Messages after an offset, oldest first; `next` is what to ask for after them, or None at the head."""

    messages: tuple[Message, ...]
    next: int | None


@attrs.frozen
class Answer:
    """What a call came to. `headers` have names in lower case."""

    body: bytes = attrs.field(repr=False)
    headers: Mapping[str, str]


@attrs.frozen
class Since:
    """Where a reader resumes; `epoch` is None until the server has named the log."""

    offset: int
    epoch: str | None = None


def decode(data: bytes, kind: type[T]) -> T:
    """Decode the server's JSON.

    Raises:
        TalkError: it is not what a hubbub server sends.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise TalkError(f"the answer is not one of a hubbub server: {error}") from error


def server_url(text: str) -> str:
    """The URL of a server in the form that tokens are kept under: without a slash at its end, the host in lower case.

    Raises:
        TalkError: not an http or https URL, or one with a user, a query or a fragment.
    """
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
        (host or "").encode("idna")  # what cannot be looked up at all
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    if parts.scheme not in {"http", "https"} or not host or parts.username is not None or parts.query or parts.fragment:
        raise TalkError(f"{text!r} is not the URL of a server: it looks like http://127.0.0.1:8000")
    where = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{where}{'' if port is None else f':{port}'}{parts.path.rstrip('/')}"


def is_this_machine(url: str) -> bool:
    """Whether a URL names this machine itself."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Backoff:
    """How long to wait before the next try: twice as long each time up to a bound, and never as long as everybody else.

    Args:
        first_s: the longest first wait.
        most_s: the longest wait of all.
    """

    def __init__(self, first_s: float, most_s: float) -> None:
        self.first_s = first_s
        self._most_s = most_s
        self._failures = 0

    def reset(self) -> None:
        """It worked: start again with short waits."""
        self._failures = 0

    def next_s(self, at_least_s: float | None = None) -> float:
        """The next wait, between half and all of what is due. A server that names a time is waited for at least so long.

        No server makes us wait for more than a minute at once.
        """
        due_s = min(self._most_s, self.first_s * 2.0 ** min(self._failures, 30))
        self._failures += 1
        jittered_s = due_s * random.uniform(0.5, 1.0)  # noqa: S311  it spreads clients, it guards nothing
        return jittered_s + min(at_least_s or 0.0, _MAX_RETRY_AFTER_S)


class Client:
    """Calls of one server. Open it with `open_client`."""

    def __init__(self, url: str, http: httpx.AsyncClient) -> None:
        self.url = url
        self._http = http

    async def become_guest(self, name: str) -> str:
        """Get a token for a fresh guest.

        Raises:
            Refused, Unreachable, TalkError.
        """
        body = await self.call("POST", "/auth/guest", body={"name": name})
        return decode(body, _Guest).token

    async def post(self, conversation: str, text: str, *, key: str, token: str) -> Message:
        """Post once. It is committed when this returns; when this is cancelled, it may or may not be.

        Raises:
            Refused, Unreachable, TalkError.
        """
        path = f"/conversations/{quote(conversation, safe='')}/messages"
        body = await self.call("POST", path, token=token, body={"text": text}, headers={"idempotency-key": key})
        return Message.decode(body)

    async def page(self, conversation: str, *, after: int, token: str) -> Page:
        """The messages after an offset, at most `PAGE_ITEMS`.

        Raises:
            Refused, Unreachable, TalkError.
        """
        path = f"/conversations/{quote(conversation, safe='')}/messages?after={after}&limit={PAGE_ITEMS}"
        found = decode(await self.call("GET", path, token=token), _Page)
        return Page(tuple(Message.decode(bytes(raw)) for raw in found.messages), found.next)

    @asynccontextmanager
    async def events(
        self, conversation: str, since: Since | None, *, token: str
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open an event stream; gives its bytes as they come, and ends when the server ends it.

        Args:
            since: resume after this position; None starts with what happens from now on.

        Raises:
            Refused: instead of opening.
            Unreachable: on opening, or later when the connection breaks or is silent for too long.
        """
        headers = {"accept": "text/event-stream", "cache-control": "no-store", "authorization": f"Bearer {token}"}
        path = f"/conversations/{quote(conversation, safe='')}/events"
        if since is not None:
            headers["last-event-id"] = str(since.offset)
            if since.epoch is not None:
                path += f"?epoch={quote(since.epoch, safe='')}"
        timeout = httpx.Timeout(_CALL_S, connect=_CONNECT_S, read=_SILENCE_S)
        with self._reaching():
            async with self._http.stream("GET", self._api(path), headers=headers, timeout=timeout) as response:
                if response.status_code != HTTPStatus.OK:
                    raise refusal(response, await _read(response, _MAX_PROBLEM_BYTES))
                if not response.headers.get("content-type", "").startswith("text/event-stream"):
                    raise TalkError(f"{self.url} does not answer with an event stream: is it a hubbub server?")
                async with _pieces(response) as chunks:
                    yield chunks

    async def call(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        body: Mapping[str, object] | None = None,
        query: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """Make any call of the REST interface; gives the body of the answer, empty for 204. As `exchange`."""
        return (await self.exchange(method, path, token=token, body=body, query=query, headers=headers)).body

    async def exchange(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        body: Mapping[str, object] | None = None,
        query: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Make any call of the REST interface.

        Args:
            path: below ``/api/v1``, with what comes from outside quoted.

        Raises:
            Refused, Unreachable, TalkError.
        """
        sent = {"accept": "application/json", **(headers or {})}
        if token is not None:
            sent["authorization"] = f"Bearer {token}"
        content = None if body is None else msgspec.json.encode(body)
        if content is not None:
            sent["content-type"] = "application/json"
        with self._reaching():
            url = self._api(path)
            async with self._http.stream(method, url, headers=sent, content=content, params=query) as response:
                if response.status_code in {HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.NO_CONTENT}:
                    return Answer(await _read(response, _MAX_ANSWER_BYTES), response.headers)
                raise refusal(response, await _read(response, _MAX_PROBLEM_BYTES))

    def _api(self, path: str) -> str:
        return f"{self.url}/api/v1{path}"

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except httpx.RequestError as error:
            unsent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout | httpx.ProxyError)
            raise Unreachable(
                f"cannot reach {self.url}: {why_unreachable(error, self.url)}",
                sent=not unsent,
                passing=not is_not_believed(error),
            ) from error


@asynccontextmanager
async def open_client(url: str) -> AsyncIterator[Client]:
    """A client for the server at `url`, as `server_url` gives it.

    Raises:
        TalkError: the certificates that the environment names cannot be used.
    """
    async with httpx.AsyncClient(
        timeout=httpx.Timeout(_CALL_S, connect=_CONNECT_S),
        headers={"user-agent": f"hubbub/{version()}", "accept-encoding": "identity"},
        follow_redirects=False,
        trust_env=not is_this_machine(url),
        verify=trusted() if url.startswith("https:") else True,
    ) as http:
        yield Client(url, http)


@asynccontextmanager
async def _pieces(response: httpx.Response) -> AsyncIterator[AsyncIterator[bytes]]:
    """The bytes of an answer as they come.

    httpx stacks generators and closes none of those inside, which trio complains about when one is left early. So they are
    run to their end: the connection is closed first, what was read from it already is dropped, and the next read fails.
    """
    chunks = response.aiter_bytes()
    try:
        yield chunks
    finally:
        await response.aclose()
        with suppress(httpx.RequestError, httpx.StreamError):
            async for _ in chunks:
                pass


async def _read(response: httpx.Response, limit_bytes: int) -> bytes:
    body = bytearray()
    async with _pieces(response) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > limit_bytes:
                raise TalkError(f"the answer is longer than {limit_bytes} bytes: is it a hubbub server?")
    return bytes(body)
