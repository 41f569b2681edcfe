"""The event stream on a connection without a socket and a real engine in memory."""

from __future__ import annotations

import gc
import json

import pytest
from trio.testing import MockClock, wait_all_tasks_blocked

from hubbub.engine import Draft
from hubbub.transport.sse import EventStream, StreamSettings

from .fakes import FakeConnection
from .house import House, head_of, house


class Reader:
    """A peer of one stream."""

    def __init__(self, there: House, query: str = "", *headers: str, name: str = "lobby") -> None:
        self.conn = FakeConnection()
        head = head_of("GET", f"/events{query}", f"Authorization: Bearer {there.token}", *headers)
        self.machine = EventStream(self.conn, head, there.api, name, StreamSettings())
        self.conn.machine = self.machine

    async def lines(self) -> list[str]:
        """What has been written once everything has settled."""
        await wait_all_tasks_blocked()
        return self.conn.take().decode().splitlines()


def status(lines: list[str]) -> int:
    return int(lines[0].split()[1])


async def post(there: House, text: str) -> None:
    await there.engine.conversation("lobby").post(Draft(text, author="bot"))


async def test_it_opens_live_and_shows_life(autojump_clock: MockClock) -> None:
    """Head, `stream.open` with the head's id, events with theirs, a comment at each heartbeat."""
    async with house() as there:
        await post(there, "before")
        reader = Reader(there)
        lines = await reader.lines()
        assert (status(lines), lines[-5:-2]) == (200, ["retry: 2000", "id: 1", "event: stream.open"])
        assert json.loads(lines[-2].removeprefix("data: "))["offset"] == 1
        await post(there, "after")
        assert (await reader.lines())[:2] == ["id: 2", "event: message.created"]
        assert reader.conn.deadline_s == 20.0
        reader.machine.timeout()
        assert (await reader.lines())[0].startswith(":")
        reader.machine.closed()
        assert there.subscribers == 0


async def test_a_stream_that_has_ended_needs_no_garbage_collector(autojump_clock: MockClock) -> None:
    """A server collects seldom, and a storm of readers that come back ends a stream for each of them."""
    async with house() as there:
        gc.collect()
        gc.disable()
        try:
            for ends_itself in (True, False):
                reader = Reader(there)
                await reader.lines()
                if ends_itself:
                    reader.machine.end("slow")
                reader.machine.closed()
                reader.conn.machine = FakeConnection().machine
                del reader
            await wait_all_tasks_blocked()
            assert not [one for one in gc.get_objects() if isinstance(one, EventStream)]
        finally:
            gc.enable()


@pytest.mark.parametrize("ending", ["closed", "eof", "stalled", "shutdown"])
async def test_an_end_while_the_token_is_looked_up_leaves_nothing(ending: str, autojump_clock: MockClock) -> None:
    """Nobody would ever end a subscription that begins after its connection has ended."""
    async with house() as there:
        there.restart_auth()
        there.close_gate()
        reader = Reader(there)
        match ending:
            case "closed":
                reader.machine.closed()
            case "eof":
                reader.machine.eof()
            case "stalled":
                reader.machine.stalled()
            case _:
                reader.machine.end("shutdown")
        said = await reader.lines()
        wanted = {"stalled": 503, "shutdown": 200}.get(ending)
        assert (status(said) if said else None) == wanted
        assert ending != "shutdown" or 'data: {"code":"shutdown"}' in said
        await there.open_gate()
        assert await reader.lines() == []
        assert there.subscribers == 0


async def test_an_ended_token_ends_its_stream(autojump_clock: MockClock) -> None:
    """At the next heartbeat, with a code that says why; the reader comes back with another token."""
    async with house() as there:
        reader = Reader(there)
        await reader.lines()
        there.end_token()
        reader.machine.timeout()
        assert (await reader.lines())[:2] == ["event: stream.end", 'data: {"code":"expired"}']
        assert reader.conn.is_closed
        assert there.subscribers == 0


async def test_a_conversation_that_does_not_answer_is_given_up(autojump_clock: MockClock) -> None:
    """503 after the time to join; a late answer changes nothing."""
    async with house() as there:
        there.restart_auth()
        there.close_gate()
        reader = Reader(there)
        assert reader.conn.deadline_s == 30.0
        reader.machine.timeout()
        assert status(await reader.lines()) == 503
        await there.open_gate()
        assert there.subscribers == 0


@pytest.mark.parametrize(
    ("query", "header", "name", "expected"),
    [
        ("", "x", "lobby", 400),
        ("?after=1e3", None, "lobby", 400),
        ("?after=nonsense", "1", "lobby", 200),
        ("?after=", None, "lobby", 200),
        ("?" + "&".join(f"a{n}=" for n in range(51)), None, "lobby", 400),
        ("", None, "a b", 400),
        ("", None, "nowhere", 404),
    ],
)
async def test_refusals_are_http(
    query: str, header: str | None, name: str, expected: int, autojump_clock: MockClock
) -> None:
    """Until the stream has begun, what is wrong is an ordinary answer."""
    async with house() as there:
        reader = Reader(there, query, *([] if header is None else [f"Last-Event-ID: {header}"]), name=name)
        assert status(await reader.lines()) == expected
        assert reader.conn.is_closed is (expected != 200)
        reader.machine.closed()
        assert there.subscribers == 0


async def test_a_slow_reader_goes_on_where_it_stopped(autojump_clock: MockClock) -> None:
    """Refused pushes are made good when the socket takes bytes again, in order and once."""
    async with house() as there:
        reader = Reader(there)
        await reader.lines()
        reader.conn.is_blocked = True
        for number in range(1, 6):
            await post(there, f"{number}")
        assert await reader.lines() == []
        reader.conn.is_blocked = False
        reader.machine.writable()
        assert [line for line in await reader.lines() if line.startswith("id")] == [f"id: {n}" for n in range(1, 6)]
        reader.machine.writable()
        assert await reader.lines() == []
        reader.machine.closed()


async def test_a_reader_that_is_refused_twice_in_a_row_goes_on(autojump_clock: MockClock) -> None:
    """Room for one write only, then again for one: what was refused while going on is made good, too."""
    async with house() as there:
        reader = Reader(there)
        await reader.lines()
        reader.conn.is_blocked = True
        text = "x" * 60_000  # a write takes a few of them
        for _ in range(12):
            await post(there, text)
        seen = []
        for _ in range(20):
            reader.conn.room_for = 1
            reader.conn.is_blocked = False
            reader.machine.writable()
            seen += [int(line.removeprefix("id: ")) for line in await reader.lines() if line.startswith("id: ")]
        assert seen == list(range(1, 13))
        reader.machine.closed()


@pytest.mark.parametrize(
    ("query", "reason"), [("?after=99", "ahead"), ("?after=1&epoch=another", "epoch_changed")], ids=["ahead", "epoch"]
)
async def test_a_cursor_that_cannot_be_served_is_said_so(query: str, reason: str, autojump_clock: MockClock) -> None:
    """`stream.reset` with the reason and where it goes on, before anything else; then it is live."""
    async with house() as there:
        for text in ("1", "2"):
            await post(there, text)
        reader = Reader(there, query)
        lines = await reader.lines()
        assert status(lines) == 200
        at = lines.index("event: stream.reset")
        told = json.loads(lines[at + 1].removeprefix("data: "))
        assert (told["reason"], told["offset"]) == (reason, 2)
        await post(there, "3")
        assert (await reader.lines())[:2] == ["id: 3", "event: message.created"]
        reader.machine.closed()


async def test_who_takes_nothing_is_told_why_and_let_go(autojump_clock: MockClock) -> None:
    """`stream.end` with the code, then the connection closes; what is said afterwards goes nowhere."""
    async with house() as there:
        reader = Reader(there)
        await reader.lines()
        reader.machine.stalled()
        assert (await reader.lines())[:2] == ["event: stream.end", 'data: {"code":"slow"}']
        assert reader.conn.is_closed
        assert there.subscribers == 0
        reader.machine.closed()


async def test_input_on_a_stream_is_ignored(autojump_clock: MockClock) -> None:
    """It is not kept either."""
    async with house() as there:
        reader = Reader(there)
        await reader.lines()
        reader.machine.received(b"x" * 65_536)
        reader.machine.again()
        assert await reader.lines() == []
        reader.machine.closed()
