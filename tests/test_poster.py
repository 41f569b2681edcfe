"""Tests of hubbub/poster.py against a scripted server on real sockets: one message, whatever got lost."""

import io
import re
from collections import deque

import pytest
import trio

from hubbub.client import open_client
from hubbub.credential_file import CredentialFile
from hubbub.credentials import GivenToken, Guest
from hubbub.poster import Poster
from hubbub.refusals import Refused, TalkError
from hubbub.terminal import Terminal

from .scripted_server import ROOM, ScriptedServer, problem


async def post(
    server: ScriptedServer, text="hi", *, key="k-1", timeout_s=10.0, identity=None, room=ROOM, terminal=None
):
    terminal = terminal or Terminal(out=io.StringIO(), err=io.StringIO())
    async with open_client(server.url) as client:
        identity = GivenToken("good") if identity is None else identity(client)
        poster = Poster(client, identity, terminal, conversation=room, key=key, timeout_s=timeout_s)
        with trio.fail_after(20):
            return await poster.post(text)


@pytest.mark.parametrize(
    "trouble",
    [
        ["drop"],
        ["lose"],
        ["lose", "drop", "lose"],
        [problem(503, "busy", "after", "retry-after: 0")],
        [b"HTTP/1.1 429 X\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n", problem(503, "perhaps", "same")],
        [b"HTTP/1.1 201 X\r\ncontent-length: 500\r\n\r\n{", problem(500, "internal error", "same")],
    ],
)
async def test_it_tries_again_with_one_key_and_the_message_is_there_once(trouble):
    """Lost requests, lost answers and full servers: all tries share the key."""
    server = ScriptedServer(faults={"messages": deque(trouble)})
    async with server.serving():
        message = await post(server, "hi\x00é")
    assert [said["text"] for said in server.log if said] == ["hi\x00é"]
    assert (message.offset, message.id, message.text) == (1, "e1-1", "hi\x00é")
    assert [request.headers["idempotency-key"] for request in server.heard] == ["k-1"] * (len(trouble) + 1)


async def test_a_server_that_comes_up_later_is_waited_for():
    """Nobody answers at first."""
    server = ScriptedServer()
    async with server.serving():
        pass
    async with trio.open_nursery() as nursery:
        nursery.start_soon(post, server)
        await trio.sleep(0.3)
        async with server.serving():
            with trio.fail_after(10):
                while not server.log:  # noqa: ASYNC110  the server is a fake, not ours to instrument
                    await trio.sleep(0.01)
            await trio.sleep(0.05)
    assert len(server.log) == 1


@pytest.mark.parametrize(
    ("trouble", "fate"),
    [
        (problem(503, "store away", "after", "retry-after: 9"), "was not posted"),
        (problem(503, "perhaps stored", "same", "retry-after: 9"), "may have been posted.*--key k-1"),
        (b"HTTP/1.1 504 X\r\nretry-after: 9\r\ncontent-length: 0\r\n\r\n", "may have been posted.*--key k-1"),
    ],
)
async def test_when_time_runs_out_it_says_whether_the_message_may_be_there(trouble, fate):
    """An answer that settles it says so, and any doubt names the key that settles it."""
    server = ScriptedServer(faults={"messages": deque([trouble])})
    async with server.serving():
        with pytest.raises(TalkError, match=fate):
            await post(server, timeout_s=0.3)


async def test_who_is_limited_is_told_once_also_in_a_log():
    """Nothing is amiss, so nothing else would say why it takes so long; a person sees every wait."""
    limited = problem(429, "slow mode: wait before you post again", "after", "retry-after: 0")
    for chatty, lines in ((False, 1), (True, 2)):
        terminal = Terminal(out=io.StringIO(), err=io.StringIO(), chatty=chatty)
        server = ScriptedServer(faults={"messages": deque([limited, limited])})
        async with server.serving():
            await post(server, terminal=terminal)
        said = terminal.err.getvalue().splitlines()
        assert len(said) == lines
        assert re.fullmatch(
            r"hubbub: limited: trying again in 0\.\d s \(slow mode: wait before you post again\)", said[0]
        )


async def test_when_time_runs_out_it_says_how_long_the_server_asked_to_wait():
    """All of it, also where it is more than anybody waits."""
    server = ScriptedServer(faults={"messages": deque([problem(429, "slow mode", "after", "retry-after: 3600")])})
    async with server.serving():
        with pytest.raises(TalkError, match=r"asked to wait 3600\.0 s\): the message was not posted"):
            await post(server, timeout_s=0.3)


async def test_a_server_that_is_not_there_got_nothing():
    """With no connection at all the message was certainly not posted."""
    server = ScriptedServer()
    async with server.serving():
        pass
    with pytest.raises(TalkError, match=r"nobody answers there.*was not posted"):
        await post(server, timeout_s=0.3)


@pytest.mark.parametrize(
    ("status", "detail"), [(403, "read-only"), (413, "too long"), (422, "no NUL"), (429, "used up")]
)
async def test_a_refusal_for_good_is_not_tried_again(status, detail):
    """The error is the server's own word."""
    server = ScriptedServer(faults={"messages": deque([problem(status, detail, "never")])})
    async with server.serving():
        with pytest.raises(Refused, match=detail):
            await post(server)
    assert len(server.heard) == 1


async def test_a_forgotten_guest_is_replaced_unless_the_post_may_be_there_already(tmp_path):
    """Keys belong to an author, so another guest must not repeat what may have been stored."""
    server, file = ScriptedServer(), CredentialFile(tmp_path / "credentials.json")

    def guest(client):
        return Guest(client, "ada", file, pytest.fail)

    async with server.serving():
        file.keep(server.url, "ada", "stale")
        await post(server, identity=guest)
        kept = file.find(server.url, "ada")
        assert kept != "stale"
        server.faults["messages"] = deque(["lose", problem(401, "unknown token", "never")])
        with pytest.raises(Refused, match="unknown token"):
            await post(server, "again", key="k-2", identity=guest)
    assert [said["text"] for said in server.log] == ["hi", "again"]
    assert file.find(server.url, "ada") == kept


async def test_a_conversation_name_cannot_change_the_path():
    """Whatever a caller passes stays one segment of the path."""
    server = ScriptedServer()
    async with server.serving():
        with pytest.raises(Refused, match="no such conversation"):
            await post(server, room="a/b?c#d")
    assert server.heard[0].target == "/api/v1/conversations/a%2Fb%3Fc%23d/messages"
