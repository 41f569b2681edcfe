"""The Centrifugal protocol over HTTP: streams without a socket, their commands by requests, a real engine in memory."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import attrs
import pytest
from trio.testing import MockClock, wait_all_tasks_blocked

from hubbub.engine import Draft
from hubbub.transport.centrifugal_http import MAX_WAITING, HttpConnection, event_source, http_stream
from hubbub.transport.centrifugal_settings import SocketSettings
from hubbub.transport.centrifugal_wire import Disconnect
from hubbub.transport.credentials import COOKIE
from hubbub.transport.http_message import Request, Response
from hubbub.transport.limit_settings import LimitSettings, Profile
from hubbub.transport.manners import HttpManners

from .fakes import FakeConnection
from .house import House, head_of, house

KINDS = ("sse", "http_stream")
SUBSCRIBE = {"id": 2, "subscribe": {"channel": "lobby"}}
OURS = "Origin: http://test"
THEIRS = "Origin: https://evil.example"


def lines(*each: dict[str, Any]) -> str:
    """Commands as the SDK joins them."""
    return "\n".join(json.dumps(command) for command in each)


class Stream:
    """A client of one of the two transports."""

    def __init__(self, there: House, kind: str, opening: str, *headers: str, **bounds: Any) -> None:
        self.there, self.kind = there, kind
        self.conn = FakeConnection()
        settings = SocketSettings(**bounds)
        if kind == "sse":
            head = head_of("GET", f"/connection/sse?cf_connect={quote(opening)}", *headers)
            self.machine = event_source(self.conn, head, there.api, settings)
        else:
            head = head_of("POST", "/connection/http_stream", f"Content-Length: {len(opening.encode())}", *headers)
            self.machine = http_stream(self.conn, Request(head, opening.encode()), there.api, settings)
        self.conn.machine = self.machine
        self.names: dict[str, str] = {}

    async def settle(self) -> None:
        for _ in range(3):
            self.conn.turns()
            await wait_all_tasks_blocked()

    def said(self) -> list[Any]:
        """The documents that came, after the head of the answer."""
        data = self.conn.take()
        if data.startswith(b"HTTP/1.1 200 "):
            data = data.partition(b"\r\n\r\n")[2]
        if self.kind == "http_stream":
            return [json.loads(line) for line in data.splitlines()]
        found = []
        for block in data.split(b"\n\n")[:-1]:
            for line in block.split(b"\n"):
                assert line.startswith(b"data: "), line
                found.append(json.loads(line[6:]))
        return found

    @property
    def status(self) -> int:
        return int(self.conn.written.split(b" ", 2)[1])

    async def connect(self) -> None:
        await self.settle()
        [reply] = self.said()
        self.names = {name: reply["connect"][name] for name in ("session", "node")}

    async def post(self, data: str, *headers: str, **changes: Any) -> Response:
        """A request to /emulation."""
        answers = self.post_soon(data, *headers, **changes)
        await self.settle()
        [answer] = answers
        return answer

    def post_soon(self, data: str, *headers: str, **changes: Any) -> list[Response]:
        """As `post`; the answer may come later."""
        body = json.dumps({**self.names, "data": data, **changes}).encode()
        head = head_of("POST", "/emulation", f"Content-Length: {len(body)}", *headers)
        matched = self.there.api.match("POST", "/emulation")
        answers: list[Response] = []
        self.there.api.dispatch(matched, Request(head, body), answers.append)  # type: ignore[arg-type]
        return answers

    async def ask(self, *each: dict[str, Any]) -> list[Any]:
        assert (await self.post(lines(*each))).status == 204
        return self.said()


def hello(there: House) -> str:
    return lines({"id": 1, "connect": {"token": there.token}})


async def connected(there: House, kind: str, **bounds: Any) -> Stream:
    stream = Stream(there, kind, hello(there), **bounds)
    await stream.connect()
    return stream


def code_of(answer: Response) -> tuple[int, str]:
    return answer.status, json.loads(answer.body)["code"]


# -- what it does -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
async def test_a_client_connects_subscribes_posts_and_recovers(autojump_clock: MockClock, kind: str) -> None:
    """As over WebSocket: the replies, the pushes, and the missed publications after a second connection."""
    async with house() as there:
        stream = await connected(there, kind)
        [reply] = await stream.ask(SUBSCRIBE)
        assert (reply["id"], reply["subscribe"]["offset"]) == (2, 0)
        found = await stream.ask({"id": 3, "publish": {"channel": "lobby", "data": {"text": "hi"}}})
        assert {"id": 3, "publish": {}} in found
        [push] = [each["push"] for each in found if "push" in each]
        assert (push["pub"]["offset"], push["pub"]["data"]["message"]["text"]) == (1, "hi")
        stream.machine.eof()
        assert len(there.api.emulated) == there.subscribers == 0

        later = await connected(there, kind)
        position = {"recover": True, "offset": 0, "epoch": reply["subscribe"]["epoch"]}
        [again] = await later.ask({"id": 2, "subscribe": {"channel": "lobby", **position}})
        assert again["subscribe"]["recovered"] is True
        assert [pub["offset"] for pub in again["subscribe"]["publications"]] == [1]


async def test_each_transport_is_counted_under_its_own_method(autojump_clock: MockClock) -> None:
    """A label is the route's, whatever was sent."""
    async with house() as there:
        for kind in KINDS:
            await connected(there, kind)
        met = {(method, template) for method, template, _ in there.api.watch.meters.routes()}
        assert met >= {("GET", "/connection/sse"), ("POST", "/connection/http_stream")}


async def test_an_event_block_keeps_documents_on_lines_of_their_own(autojump_clock: MockClock) -> None:
    """What is sent together is one event whose lines its reader joins again."""
    async with house() as there:
        stream = await connected(there, "sse")
        await stream.post(lines({"id": 2, "ping": {}}, {"id": 3, "ping": {}}))
        assert bytes(stream.conn.written) == b'data: {"id":2,"ping":{}}\ndata: {"id":3,"ping":{}}\n\n'


@pytest.mark.parametrize("kind", KINDS)
async def test_the_answer_is_a_stream_that_no_proxy_keeps_back(autojump_clock: MockClock, kind: str) -> None:
    """The head says what it is, that it is not for caches, and that nginx shall not buffer it."""
    async with house() as there:
        stream = Stream(there, kind, hello(there), "X-Request-Id: r1")
        head = bytes(stream.conn.written).partition(b"\r\n\r\n")[0].split(b"\r\n")
        wanted = {"sse": b"text/event-stream", "http_stream": b"application/x-ndjson"}[kind]
        assert {b"content-type: " + wanted, b"cache-control: no-store", b"x-accel-buffering: no"} < set(head)
        assert b"x-request-id: r1" in head


@pytest.mark.parametrize("kind", KINDS)
async def test_pings_are_answered_by_requests(autojump_clock: MockClock, kind: str) -> None:
    """A pong comes through /emulation and keeps the connection; without one it ends with 3012."""
    async with house() as there:
        stream = await connected(there, kind)
        stream.machine.timeout()
        assert stream.said() == [{}]
        assert stream.conn.deadline_s == 10.0
        assert (await stream.post("{}")).status == 204
        assert stream.conn.deadline_s == 25.0
        stream.machine.timeout()
        stream.machine.timeout()
        assert stream.said() == [{}, {"push": {"disconnect": {"code": 3012, "reason": "no pong"}}}]
        assert stream.conn.is_closed


@pytest.mark.parametrize("kind", KINDS)
async def test_the_end_is_said_in_a_last_push(autojump_clock: MockClock, kind: str) -> None:
    """A transport without close codes says code and reason in a document; the session is unknown from then on."""
    async with house() as there:
        stream = await connected(there, kind)
        stream.machine.disconnect(Disconnect.SHUTDOWN)
        assert stream.said() == [{"push": {"disconnect": {"code": 3001, "reason": "shutdown"}}}]
        assert stream.conn.is_closed
        assert code_of(await stream.post("{}")) == (404, "not_found")


@pytest.mark.parametrize("kind", KINDS)
async def test_pushes_of_a_room_wear_the_framing_of_their_reader(autojump_clock: MockClock, kind: str) -> None:
    """One room serves readers of both kinds, each in its own words."""
    async with house() as there:
        streams = {each: await connected(there, each) for each in KINDS}
        for stream in streams.values():
            await stream.ask(SUBSCRIBE)
        await there.engine.conversation("lobby").post(Draft("to both", author="ada"))
        await wait_all_tasks_blocked()
        [push] = streams[kind].said()
        assert push["push"]["pub"]["data"]["message"]["text"] == "to both"


# -- who may ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("opening", ["", "{}", "nonsense", '{"id":1,"ping":{}}', '{"connect":{}}', "[" * 5_000])
async def test_a_request_without_a_connect_command_is_refused(
    autojump_clock: MockClock, kind: str, opening: str
) -> None:
    """400, before anything is opened."""
    async with house() as there:
        stream = Stream(there, kind, opening)
        assert stream.status == 400
        assert stream.conn.is_closed


@pytest.mark.parametrize("kind", KINDS)
async def test_a_bad_bearer_is_refused_in_http_and_a_bad_token_by_its_code(
    autojump_clock: MockClock, kind: str
) -> None:
    """What the request brings is answered by a status; what the connect command brings by 3500, which the SDKs do not retry."""
    async with house() as there:
        refused = Stream(there, kind, hello(there), "Authorization: Bearer hbg_nobody")
        await refused.settle()
        assert refused.status == 401
        ended = Stream(there, kind, lines({"id": 1, "connect": {"token": "hbg_nobody"}}))
        await ended.settle()
        assert ended.said() == [{"push": {"disconnect": {"code": 3500, "reason": "invalid token"}}}]
        nobody = Stream(there, kind, lines({"id": 1, "connect": {}}))
        await nobody.settle()
        assert nobody.said() == [{"push": {"disconnect": {"code": 3500, "reason": "invalid token"}}}]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_page_of_another_origin_is_refused(autojump_clock: MockClock, kind: str) -> None:
    """403 for the stream and for its commands."""
    async with house() as there:
        assert Stream(there, kind, hello(there), THEIRS).status == 403
        stream = await connected(there, kind)
        assert code_of(await stream.post("{}", THEIRS)) == (403, "forbidden")
        assert (await stream.post("{}", OURS)).status == 204


@pytest.mark.parametrize("kind", KINDS)
async def test_a_page_of_a_named_origin_comes_with_a_token_and_without_a_cookie(
    autojump_clock: MockClock, kind: str
) -> None:
    """Naming an origin lets its pages connect; their cookie counts only where credentials are allowed, too."""
    cookie = (THEIRS, "Cookie: " + COOKIE + "=%s")
    async with house() as there:
        for credentials, said in ((False, "push"), (True, "id")):
            settings = HttpManners(cors_origins=("https://evil.example",), cors_credentials=credentials)
            there.api.manners.replace(settings)
            by_token = Stream(there, kind, hello(there), THEIRS)
            assert b"access-control-allow-origin: https://evil.example\r\n" in by_token.conn.written
            await by_token.connect()
            assert (await by_token.post("{}", THEIRS)).status == 204
            by_cookie = Stream(
                there, kind, lines({"id": 1, "connect": {}}), *(each.replace("%s", there.token) for each in cookie)
            )
            await by_cookie.settle()
            [first] = by_cookie.said()
            assert said in first
        there.api.manners.replace(HttpManners())


async def test_a_link_says_nothing_in_the_name_of_its_reader(autojump_clock: MockClock) -> None:
    """A browser follows a link, or loads an image, with the session cookie and without an Origin: such a GET only connects."""
    posts = {"id": 2, "publish": {"channel": "lobby", "data": {"text": "I was never asked"}}}
    async with house() as there:
        cookie = f"Cookie: {COOKIE}={there.token}"
        link = Stream(there, "sse", lines({"id": 1, "connect": {}}, posts), cookie)
        await link.settle()
        assert link.status == 400
        assert (await there.engine.conversation("lobby").describe()).offset == 0
        form = Stream(there, "http_stream", lines({"id": 1, "connect": {}}, posts), cookie)
        await form.settle()
        assert form.said() == [{"push": {"disconnect": {"code": 3500, "reason": "invalid token"}}}]
        page = Stream(there, "http_stream", lines({"id": 1, "connect": {}}, posts), cookie, OURS)
        await page.settle()
        assert {"id": 2, "publish": {}} in page.said()


async def test_another_principal_cannot_speak_for_a_session(autojump_clock: MockClock) -> None:
    """Whoever learned the id and brings a token of its own is refused; so is a token that is none."""
    async with house() as there:
        stream = await connected(there, "http_stream")
        mallory = (await there.api.accounts.tokens.issue_guest("Mallory")).token
        assert code_of(await stream.post("{}", f"Authorization: Bearer {mallory}")) == (403, "forbidden")
        assert code_of(await stream.post("{}", "Authorization: Bearer hbg_x")) == (401, "unauthenticated")
        assert (await stream.post("{}", f"Authorization: Bearer {there.token}")).status == 204
        # The cookie of some other user on this host says nothing about a session that a token opened.
        assert (await stream.post("{}", f"Cookie: {COOKIE}={mallory}")).status == 204


@pytest.mark.parametrize("header", ["Authorization: Bearer ", "Cookie: " + COOKIE + "="])
async def test_a_session_of_a_request_credential_needs_it_again(autojump_clock: MockClock, header: str) -> None:
    """Where a cookie or a bearer opened the connection, the id alone opens nothing."""
    async with house() as there:
        stream = Stream(there, "sse", lines({"id": 1, "connect": {}}), header + there.token)
        await stream.connect()
        mallory = (await there.api.accounts.tokens.issue_guest("Mallory")).token
        assert code_of(await stream.post("{}")) == (401, "unauthenticated")
        assert code_of(await stream.post("{}", header + mallory)) == (403, "forbidden")
        assert (await stream.post("{}", header + there.token)).status == 204


async def test_session_ids_are_long_random_and_said_to_their_client_alone(autojump_clock: MockClock) -> None:
    """Two sessions share nothing but the node; an id that is not one, or of another node, is 404."""
    async with house() as there:
        one, two = await connected(there, "sse"), await connected(there, "sse")
        assert one.names["node"] == two.names["node"]
        assert one.names["session"] != two.names["session"]
        assert len(one.names["session"]) == 43
        for changes in ({"session": ""}, {"session": one.names["session"][:-1]}, {"node": "another"}):
            assert code_of(await one.post("{}", **changes)) == (404, "not_found")
        assert (await one.post("{}", node="")).status == 204


async def test_a_session_that_ends_while_its_caller_is_looked_up_is_gone(autojump_clock: MockClock) -> None:
    """The answer is 404, and nothing is carried out."""
    async with house() as there:
        stream = await connected(there, "http_stream")
        there.restart_auth()
        there.close_gate()
        answers = stream.post_soon("{}", f"Authorization: Bearer {there.token}")
        await wait_all_tasks_blocked()
        assert answers == []
        stream.machine.closed()
        await there.open_gate()
        assert [answer.status for answer in answers] == [404]


async def test_an_expired_token_ends_the_stream(autojump_clock: MockClock) -> None:
    """3005, as over WebSocket."""
    async with house() as there:
        stream = await connected(there, "sse")
        there.end_token()
        stream.machine.timeout()
        assert stream.said() == [{"push": {"disconnect": {"code": 3005, "reason": "connection expired"}}}]


# -- bounds -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b'{"session":1,"data":""}', b'{"session":"a","data":{}}', b"\xff", b"[" * 5_000]
)
async def test_a_body_that_is_no_order_is_refused(autojump_clock: MockClock, body: bytes) -> None:
    """400."""
    async with house() as there:
        answer = await there.dispatch(head_of("POST", "/emulation", f"Content-Length: {len(body)}"), body)
        assert code_of(answer) == (400, "invalid_request")


async def test_commands_longer_than_a_frame_are_refused(autojump_clock: MockClock) -> None:
    """413; the session goes on."""
    async with house() as there:
        stream = await connected(there, "sse", max_frame_bytes=1_000)
        assert code_of(await stream.post("x" * 1_001)) == (413, "too_large")
        assert (await stream.post("{}")).status == 204


async def test_commands_wait_while_the_client_does_not_read(autojump_clock: MockClock) -> None:
    """So many wait, more are refused with 429; all that waited are carried out in their order."""
    async with house() as there:
        stream = await connected(there, "http_stream")
        stream.conn.is_blocked = True
        for number in range(2, MAX_WAITING + 2):
            assert [each.status for each in stream.post_soon(lines({"id": number, "ping": {}}))] == [204]
        refused = await stream.post("{}")
        assert (code_of(refused), dict(refused.headers)["retry-after"]) == ((429, "rate_limited"), "1")
        assert stream.said() == []
        stream.conn.is_blocked = False
        stream.machine.writable()
        await stream.settle()
        assert [reply["id"] for reply in stream.said()] == list(range(2, MAX_WAITING + 2))


async def test_long_commands_that_wait_are_bounded_in_bytes(autojump_clock: MockClock) -> None:
    """A few long ones are as many as a thousand short ones."""
    async with house() as there:
        stream = await connected(there, "http_stream")
        stream.conn.is_blocked = True
        long = lines({"id": 2, "send": {"data": "x" * 100_000}})
        assert [(await stream.post(long)).status for _ in range(3)] == [204, 204, 429]


async def test_a_stream_that_stalls_ends_its_session(autojump_clock: MockClock) -> None:
    """What waited is forgotten; the client connects anew."""
    async with house() as there:
        stream = await connected(there, "http_stream")
        stream.conn.is_blocked = True
        await stream.post(lines({"id": 2, "ping": {}}))
        stream.machine.stalled()
        assert len(there.api.emulated) == 0
        assert code_of(await stream.post("{}")) == (404, "not_found")


async def test_a_flood_in_one_request_is_handled_in_turns(autojump_clock: MockClock) -> None:
    """A request may hold thousands of commands; a turn handles a bounded number of them."""
    async with house() as there:
        stream = await connected(there, "http_stream", commands_per_turn=10)
        stream.post_soon(lines(*({"id": number, "ping": {}} for number in range(2, 102))))
        assert stream.conn.turns() >= 10
        assert [reply["id"] for reply in stream.said()] == list(range(2, 102))


async def test_a_stream_looked_up_too_long_is_answered_in_http(autojump_clock: MockClock) -> None:
    """503 before the answer has begun; the late credential changes nothing."""
    async with house() as there:
        there.restart_auth()
        there.close_gate()
        stream = Stream(there, "sse", hello(there), f"Authorization: Bearer {there.token}")
        stream.machine.timeout()
        assert stream.status == 503
        await there.open_gate()
        assert isinstance(stream.machine, HttpConnection)
        assert len(there.api.emulated) == 0


async def test_commands_are_counted_as_what_they_ask_for(autojump_clock: MockClock) -> None:
    """A post by /emulation is limited as any post: error 111 in the stream, while the request itself is fine."""
    limits = LimitSettings(post=Profile(rate=1, period_s=3600, burst=1))
    async with house() as there:
        there.api.live.replace(attrs.evolve(there.api.live.current, limits=limits))
        stream = await connected(there, "http_stream")
        posts = [{"id": n, "publish": {"channel": "lobby", "data": {"text": "hi"}}} for n in (2, 3)]
        found = {reply["id"]: reply for reply in await stream.ask(*posts)}
        assert found[2]["publish"] == {}
        assert (found[3]["error"]["code"], found[3]["error"]["temporary"]) == (111, True)
