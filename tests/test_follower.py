"""Tests of hubbub/follower.py against a scripted server on real sockets: each message once and in order, whatever happens."""

import io
import random
from collections import deque
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
import trio.testing

from hubbub.client import open_client
from hubbub.credential_file import CredentialFile
from hubbub.credentials import GivenToken, Guest
from hubbub.follower import Follower, Pace
from hubbub.refusals import Refused, TalkError
from hubbub.terminal import Terminal

from .scripted_server import HEAD, ROOM, ScriptedServer, answer, block, problem

FAST = Pace(first_s=0.02, most_s=0.05)


@attrs.define
class Screen(Terminal):
    """Keeps the texts that are shown."""

    texts: list[str] = attrs.Factory(list)

    def show(self, message):
        self.texts.append(message.text)

    def warnings(self) -> str:
        return self.err.getvalue()


def screen(*, chatty: bool = False) -> Screen:
    return Screen(out=io.StringIO(), err=io.StringIO(), chatty=chatty)


async def follow(
    server: ScriptedServer, shown: Screen, *, after=None, count=None, identity=None, room=ROOM, again=False
) -> None:
    async with open_client(server.url) as client:
        identity = GivenToken("good") if identity is None else identity(client)
        follower = Follower(
            client, identity, shown, conversation=room, after=after, count=count, again=again, pace=FAST
        )
        with trio.fail_after(20):
            await follower.run()


@asynccontextmanager
async def following(server: ScriptedServer, shown: Screen, **options):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: follow(server, shown, **options))
        yield nursery
        nursery.cancel_scope.cancel()


async def until(condition) -> None:
    with trio.fail_after(10):
        while not condition():  # noqa: ASYNC110  what is waited for has no event
            await trio.sleep(0.002)


@pytest.mark.parametrize("seed", range(8))
async def test_each_message_is_shown_once_and_in_order_through_cuts_repeats_and_restarts(seed):
    """The streams break anywhere, begin too early, and the server restarts on its port: what is shown is what was said."""
    server, shown, dice = ScriptedServer(seed=seed, cuts=0.2, repeats=0.7), screen(), random.Random(seed)
    expected = []
    async with trio.open_nursery() as nursery:
        async with server.serving():
            expected.append(server.say("0")["text"])
            nursery.start_soon(lambda: follow(server, shown, after=0, count=60))
            await until(lambda: shown.texts)
        for batch in range(1, 6):
            async with server.serving():
                while len(expected) < batch * 12:
                    if dice.random() < 0.2:
                        server.rename()
                    expected.append(server.say(f"{len(expected)}")["text"])
                    await trio.sleep(dice.choice((0, 0, 0.003)))
                if dice.random() < 0.5:
                    await until(lambda: shown.texts == expected)
                else:
                    server.break_streams()
        async with server.serving():
            await until(lambda: shown.texts == expected)
    assert shown.texts == expected
    assert server.streams > 5


async def test_without_a_place_it_begins_with_what_comes_now():
    """Old messages are not shown, and the place it began at survives a cut before the first message."""
    server, shown = ScriptedServer(), screen()
    server.say("old")
    async with server.serving(), following(server, shown, count=2):
        await until(lambda: server.streams == 1)
        await trio.sleep(0.02)
        server.break_streams()
        server.say("while away")
        await until(lambda: shown.texts)
        server.say("new")
        await until(lambda: len(shown.texts) == 2)
    assert shown.texts == ["while away", "new"]


async def test_it_resumes_with_the_last_offset_and_the_epoch():
    """A reconnection sends Last-Event-ID and epoch; the first connection knows no epoch."""
    server, shown = ScriptedServer(), screen()
    server.say("a")
    server.say("b")
    async with server.serving(), following(server, shown, after=1):
        await until(lambda: shown.texts == ["b"])
        server.break_streams()
        await until(lambda: server.streams == 2)
    first, second = server.heard
    assert (first.headers["last-event-id"], first.query) == ("1", {})
    assert (second.headers["last-event-id"], second.query) == ("2", {"epoch": "e1"})


async def test_after_a_restore_it_goes_on_with_what_comes_now():
    """A changed epoch is said in one line, and nothing that stands in the new log already is shown."""
    server, shown = ScriptedServer(), screen()
    for number in range(5):
        server.say(f"old {number}")
    async with server.serving(), following(server, shown, after=3):
        await until(lambda: shown.texts == ["old 3", "old 4"])
        server.recreate("e2")
        for number in range(3):
            server.say(f"kept {number}")
        await until(lambda: "replaced" in shown.warnings())
        server.say("live")
        await until(lambda: len(shown.texts) == 3)
    assert shown.texts[2:] == ["live"]
    [said] = [line for line in shown.warnings().splitlines() if "replaced" in line]
    assert "after offset 3; --all" in said
    assert "fetching" not in shown.warnings()


async def test_another_log_in_the_place_of_the_old_one_is_shown_from_its_start_where_that_is_wanted():
    """A changed epoch is said aloud, and the new log's messages are fetched, over several pages, before it goes on live."""
    server, shown = ScriptedServer(), screen()
    for number in range(5):
        server.say(f"old {number}")
    async with server.serving(), following(server, shown, after=3, again=True):
        await until(lambda: shown.texts == ["old 3", "old 4"])
        server.recreate("e2")
        expected = [server.say(f"new {number}")["text"] for number in range(8)]
        await until(lambda: len(shown.texts) == 10)
        server.say("live")
        await until(lambda: shown.texts[2:] == [*expected, "live"])
    assert "epoch changed" in shown.warnings()


async def test_a_fetch_that_breaks_half_way_goes_on_where_it_was():
    """Pages that came are not shown twice when the next one is lost."""
    server, shown = ScriptedServer(), screen()
    server.say("old")
    async with server.serving(), following(server, shown, after=0, again=True):
        await until(lambda: shown.texts == ["old"])
        server.faults["messages"] = deque([b"", "drop", problem(503, "busy", "after")])
        server.recreate("e2")
        expected = [server.say(f"new {number}")["text"] for number in range(7)]
        await until(lambda: len(shown.texts) >= 8)
        server.faults["messages"] = deque(["pass", "drop"])
        server.recreate("e3")
        expected += [server.say(f"newer {number}")["text"] for number in range(7)]
        await until(lambda: len(shown.texts) >= 15)
        await trio.sleep(0.05)
    assert shown.texts == ["old", *expected]


async def test_what_a_retention_rule_took_is_said_aloud_and_it_goes_on():
    """With messages gone for good it says so, and shows what comes next."""
    server, shown = ScriptedServer(trimmed=3), screen()
    for number in range(4):
        server.say(f"{number}")
    async with server.serving(), following(server, shown, after=1):
        await until(lambda: server.streams == 1)
        await until(lambda: "no longer kept" in shown.warnings())
        server.say("live")
        await until(lambda: shown.texts == ["live"])
    assert "trimmed" in shown.warnings()
    assert shown.warnings().count("fetching") == 1


async def test_a_place_beyond_the_end_is_said_aloud_and_it_goes_on_live():
    """A log that ends before the reader's place has nothing to fetch."""
    server, shown = ScriptedServer(), screen()
    server.say("old")
    async with server.serving(), following(server, shown, after=100):
        await until(lambda: "ends at offset 1" in shown.warnings())
        server.say("live")
        await until(lambda: shown.texts == ["live"])
    assert [request.path for request in server.heard] == [f"/conversations/{ROOM}/events"]


async def test_a_gap_in_the_stream_is_filled():
    """Offsets that a stream leaves out are fetched before what follows them is shown."""
    server, shown = ScriptedServer(skip={2, 3, 4, 5, 6}), screen()
    expected = [server.say(f"{number}")["text"] for number in range(7)]
    async with server.serving():
        await follow(server, shown, after=0, count=7)
    assert shown.texts == expected


async def test_it_stops_at_the_asked_number_also_within_one_piece():
    """Nothing after the last message that was asked for is shown."""
    server, shown = ScriptedServer(), screen()
    for number in range(5):
        server.say(f"{number}")
    async with server.serving():
        await follow(server, shown, after=0, count=2)
    assert shown.texts == ["0", "1"]


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_refusal_for_good_ends_it(status):
    """The error is the server's own word."""
    server = ScriptedServer(faults={"events": deque([problem(status, "go away", "never")])})
    async with server.serving():
        with pytest.raises(Refused, match="go away") as caught:
            await follow(server, screen())
    assert caught.value.status == status
    assert len(server.heard) == 1


@pytest.mark.parametrize(
    "trouble",
    [
        "drop",
        b"HTTP/1.1 503 X\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 502 X\r\ncontent-length: 0\r\n\r\n",
        problem(500, "internal error", "same"),
        problem(429, "too often", "after"),
        HEAD,
        HEAD + b"retry: 1\n\n" + block("stream.end", {"code": "shutdown"}, None),
        b"garbage\r\n\r\n",
    ],
)
async def test_what_passes_is_tried_again(trouble):
    """Breaks, full servers, ended streams: it connects again and shows what was said."""
    server, shown = ScriptedServer(faults={"events": deque([trouble, trouble])}), screen()
    server.say("hi")
    async with server.serving():
        await follow(server, shown, after=0, count=1)
    assert shown.texts == ["hi"]
    assert len(server.heard) == 3


async def test_a_server_that_names_a_time_is_given_it():
    """The wait is at least what a refusal asks for."""
    server, shown = (
        ScriptedServer(faults={"events": deque([problem(503, "busy", "after", "retry-after: 1")])}),
        screen(),
    )
    server.say("hi")
    async with server.serving():
        start = trio.current_time()
        await follow(server, shown, after=0, count=1)
    assert trio.current_time() - start >= 1


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        (answer(200, {"hello": "world"}), "event stream"),
        (HEAD + b"data: x\n\n", "not one of a hubbub server"),
        (
            HEAD + b'event: message.created\ndata: {"type":"message.created","offset":1,"message":{"id":1}}\n\n',
            "not one of a hubbub server",
        ),
        (HEAD + b"data: " + b"x" * 1_100_000, "longer than"),
        (b"HTTP/1.1 301 X\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n", "301"),
    ],
)
async def test_what_is_no_hubbub_server_ends_it(raw, what):
    """Trying again would not help, so it does not."""
    server = ScriptedServer(faults={"events": deque([raw])})
    async with server.serving():
        with pytest.raises(TalkError, match=what):
            await follow(server, screen())
    assert len(server.heard) == 1


async def test_a_kept_token_that_the_server_forgot_is_replaced_once(tmp_path):
    """The guest is made anew and kept; a fresh token that is refused too ends it."""
    server, shown, file = ScriptedServer(), screen(), CredentialFile(tmp_path / "credentials.json")
    server.say("hi")

    def guest(client):
        return Guest(client, "ada", file, shown.warn)

    async with server.serving():
        file.keep(server.url, "ada", "stale")
        await follow(server, shown, after=0, count=1, identity=guest)
        kept = file.find(server.url, "ada")
        assert kept in server.tokens - {"good"}
        asked = len(server.heard)
        await follow(server, shown, after=0, count=1, identity=guest)
        assert [request.token for request in server.heard[asked:]] == [kept]
        server.faults["events"] = deque([problem(401, "unknown token", "never")] * 2)
        with pytest.raises(Refused, match="unknown token"):
            await follow(server, shown, after=0, count=1, identity=guest)
    assert shown.texts == ["hi", "hi"]


async def test_a_server_without_guests_is_a_clear_error(tmp_path):
    """The message says how to give a token."""
    server = ScriptedServer(guests=False)
    async with server.serving():
        with pytest.raises(TalkError, match=r"admits no guests.*HUBBUB_TOKEN"):
            await follow(
                server,
                screen(),
                identity=lambda client: Guest(client, "ada", CredentialFile(tmp_path / "c.json"), print),
            )


async def test_an_outage_is_told_to_everybody_and_each_try_to_a_person():
    """A log gets one line when nobody answers and one when it follows; a person sees every try."""
    server = ScriptedServer()
    async with server.serving():
        server.say("hi")  # the port is ours, and nobody listens on it from here on
    for chatty in (False, True):
        shown = screen(chatty=chatty)
        async with following(server, shown, after=0):
            await until(lambda shown=shown: "trying again" in shown.warnings())
            await trio.sleep(0.1)
            async with server.serving():
                await until(lambda shown=shown: shown.texts == ["hi"])
                said = shown.warnings()
        assert "nobody answers there" in said
        assert (said.count("trying again") > 1) is chatty
        assert said.count("following lobby after offset 0") == 1


async def test_a_log_gets_two_lines_for_each_outage():
    """Lost and back, with the place it goes on from, however many tries it takes; nothing on a first connection that opens."""
    server, shown = ScriptedServer(), screen()
    async with trio.open_nursery() as nursery:
        async with server.serving():
            nursery.start_soon(lambda: follow(server, shown, after=0))
            server.say("0")
            await until(lambda: shown.texts == ["0"])
            assert shown.warnings() == ""
        for outage in range(1, 4):
            await until(lambda: shown.warnings().count("trying again") == outage)  # noqa: B023
            await trio.sleep(0.2)  # several tries at this pace
            async with server.serving():
                server.say(f"{outage}")
                await until(lambda: len(shown.texts) == outage + 1)  # noqa: B023
        nursery.cancel_scope.cancel()
    lines = shown.warnings().splitlines()
    assert ["trying again" in line for line in lines[:6]] == [True, False] * 3
    assert lines[1:6:2] == [f"hubbub: following lobby again after offset {offset}" for offset in (1, 2, 3)]
    assert len(lines) <= 7  # the last break may be told before it ends
