"""The Centrifugal connection on a connection without a socket and a real engine in memory."""

from __future__ import annotations

from typing import NoReturn

import pytest
from trio.testing import MockClock

from hubbub.engine import Draft
from hubbub.engine.core.ids import ConversationId
from hubbub.engine.core.subscriber import Subscriber
from hubbub.transport.centrifugal_wire import Disconnect

from .centrifugal_client import PING, SUBSCRIBE, Client, connected, status
from .house import Closed, commands, documents, frame, house, quarantine

# -- opening ----------------------------------------------------------------------------------------------------------


async def test_a_bearer_that_is_looked_up_too_long_is_answered_in_http(autojump_clock: MockClock) -> None:
    """503, never a frame before the upgrade; the late answer of the look-up changes nothing."""
    async with house() as there:
        there.restart_auth()
        there.close_gate()
        client = Client(there, f"Authorization: Bearer {there.token}")
        assert client.conn.deadline_s == 10.0
        client.machine.timeout()
        assert status(client) == b"503"
        await there.open_gate()
        assert client.conn.take() == b""


async def test_a_shutdown_before_the_upgrade_is_answered_in_http(autojump_clock: MockClock) -> None:
    """The drain may meet a connection whose credential is being looked up."""
    async with house() as there:
        there.restart_auth()
        there.close_gate()
        client = Client(there, f"Authorization: Bearer {there.token}")
        client.machine.disconnect(Disconnect.SHUTDOWN)
        assert status(client) == b"503"
        client.machine.closed()
        await there.open_gate()


async def test_frames_sent_before_the_upgrade_is_answered_are_kept(autojump_clock: MockClock) -> None:
    """A client that does not wait for the 101 is read no further, and served afterwards."""
    async with house() as there:
        there.restart_auth()
        there.close_gate()
        client = Client(there, f"Authorization: Bearer {there.token}")
        client.send(commands({"id": 1, "connect": {}}), commands(PING))
        assert client.conn.is_paused
        await there.open_gate()
        client.pump()
        assert [reply["id"] for reply in client.said()] == [1, 3]


async def test_an_old_cookie_is_no_reason_to_refuse(autojump_clock: MockClock) -> None:
    """It counts as none, and the connect command may bring a token."""
    async with house() as there:
        client = Client(there, "Cookie: hubbub_session=old")
        await client.settle()
        assert client.upgraded()
        await client.connect()


async def test_a_cookie_that_cannot_be_looked_up_is_answered_503(autojump_clock: MockClock) -> None:
    """Else a browser would be told that its good cookie is invalid, and never come back."""
    async with house() as there:
        there.restart_auth()
        there.close_gate()
        waiting = [Client(there, f"Cookie: hubbub_session=hbg_some-{n}") for n in range(32)]
        client = Client(there, f"Cookie: hubbub_session={there.token}")
        assert status(client) == b"503"
        for each in waiting:
            each.machine.closed()
        await there.open_gate()


async def test_a_connect_that_cannot_be_looked_up_may_come_again(autojump_clock: MockClock) -> None:
    """4001, which lets a client reconnect; 3500 would end it for good."""
    async with house() as there:
        there.restart_auth()
        there.close_gate()
        clients = [Client(there) for _ in range(33)]
        for client in clients:
            client.send(commands({"id": 1, "connect": {"token": there.token}}))
        assert clients[-1].said() == [Closed(4001)]
        await there.open_gate()
        assert "connect" in clients[0].said()[0]


async def test_a_token_that_is_found_after_the_handshake_time_is_too_late(autojump_clock: MockClock) -> None:
    """The Close is the last that is said."""
    async with house() as there:
        there.restart_auth()
        there.close_gate()
        client = Client(there)
        client.send(commands({"id": 1, "connect": {"token": there.token}}, SUBSCRIBE))
        client.machine.timeout()
        assert client.said() == [Closed(3502)]
        client.machine.closed()
        await there.open_gate()
        client.pump()
        assert client.conn.take() == b""
        assert there.subscribers == 0


# -- pace -------------------------------------------------------------------------------------------------------------


async def test_a_turn_handles_so_many_commands_and_reads_no_more_meanwhile(autojump_clock: MockClock) -> None:
    """What is left waits for the next turn, and what the peer sends waits with the system."""
    async with house() as there:
        client = await connected(there, commands_per_turn=4)
        client.machine.received(commands(*({"id": n, "ping": {}} for n in range(2, 12))))
        assert len(client.said()) == 3  # the frame itself is a step
        assert client.conn.is_paused
        assert client.conn.wants_again
        client.pump()
        assert [reply["id"] for reply in client.said()] == [5, 6, 7, 8, 9, 10, 11]
        assert not client.conn.is_paused


async def test_the_replies_to_a_connect_and_the_subscribe_beside_it_leave_in_one_frame(
    autojump_clock: MockClock,
) -> None:
    """The first waits for the second, and both are there before anything that the room pushes."""
    async with house() as there:
        client = Client(there)
        client.machine.received(commands({"id": 1, "connect": {"token": there.token}}, SUBSCRIBE))
        assert client.said() == []
        assert client.conn.wants_again
        await there.engine.conversation("lobby").post(Draft("hello", author="ada"))
        data = client.conn.take()
        first, second, *_ = documents(data)
        assert ("connect" in first, "subscribe" in second) == (True, True)
        joined = data.partition(b"\n")[2]
        assert data[:2] == b"\x81\x7e"
        assert joined.startswith(b'{"id":2,')
        client.pump()
        assert client.said() == []


async def test_the_reply_to_a_connect_does_not_wait_long_for_a_room(autojump_clock: MockClock) -> None:
    """A bounded number of turns; the room's answer then leaves by itself."""
    async with house() as there:
        client = Client(there)
        client.send(commands({"id": 1, "connect": {"token": there.token}}, SUBSCRIBE))
        [reply] = client.said()
        assert reply["id"] == 1
        await client.settle()
        [reply] = client.said()
        assert reply["id"] == 2


async def test_a_reply_that_waits_for_others_is_given_to_who_stops_sending(autojump_clock: MockClock) -> None:
    """Every command is answered, also when its peer ends while the room is still asked."""
    async with house() as there:
        client = Client(there)
        client.machine.received(commands({"id": 1, "connect": {"token": there.token}}, SUBSCRIBE))
        client.machine.eof()
        [reply] = client.said()
        assert reply["id"] == 1


async def test_nothing_is_handled_for_who_does_not_read(autojump_clock: MockClock) -> None:
    """Neither commands nor pings, until the output has gone."""
    async with house() as there:
        client = await connected(there)
        client.conn.is_blocked = True
        client.send(commands(PING), frame(b"x", 0x89))
        assert client.conn.is_paused
        assert client.conn.take() == b""
        client.machine.timeout()
        assert client.conn.take() == b""
        client.conn.is_blocked = False
        client.machine.writable()
        client.pump()
        assert client.said() == [{"id": 3, "ping": {}}]


async def test_replies_of_one_turn_leave_in_one_frame(autojump_clock: MockClock) -> None:
    """Also those that a disconnect follows."""
    async with house() as there:
        client = await connected(there)
        client.send(commands(PING, {"id": 4, "ping": {}}, {"id": 5, "rpc": {"method": "x"}}) + frame(b"x"))
        assert [reply.get("id") for reply in client.said()[:-1]] == [3, 4, 5]


async def test_pings_and_their_answers(autojump_clock: MockClock) -> None:
    """A ping after the interval, 3012 when it is not answered in time; a pong nobody asked for is fine."""
    async with house() as there:
        client = await connected(there, ping_s=25.0, pong_s=10.0)
        assert client.conn.deadline_s == 25.0
        client.send(frame(b"{}"))
        client.machine.timeout()
        assert client.said() == [{}]
        assert client.conn.deadline_s == 10.0
        client.send(frame(b"{}"))
        assert client.conn.deadline_s == 25.0
        client.machine.timeout()
        client.machine.timeout()
        assert client.said() == [{}, Closed(3012)]


@pytest.mark.parametrize("way", ["command", "bearer", "cookie"])
async def test_an_ended_token_ends_its_connection(way: str, autojump_clock: MockClock) -> None:
    """At the next moment of a ping, with the code that lets a client come back with another token; until then it goes on."""
    async with house() as there:
        header = {
            "bearer": [f"Authorization: Bearer {there.token}"],
            "cookie": [f"Cookie: hubbub_session={there.token}"],
        }
        client = Client(there, *header.get(way, []))
        await client.settle()
        await client.ask({"id": 1, "connect": {"token": there.token if way == "command" else ""}}, SUBSCRIBE)
        client.machine.timeout()
        client.send(frame(b"{}"))
        assert client.said() == [{}]
        there.end_token()
        client.machine.timeout()
        assert client.said() == [Closed(3005)]
        assert there.subscribers == 0


async def test_a_token_that_ended_is_noticed_at_a_full_socket(autojump_clock: MockClock) -> None:
    """A peer that takes nothing gains no time by it."""
    async with house() as there:
        client = await connected(there)
        client.conn.is_blocked = True
        there.end_token()
        client.machine.timeout()
        client.conn.is_blocked = False
        assert client.said() == [Closed(3005)]


async def test_no_more_is_read_while_replies_are_owed(autojump_clock: MockClock) -> None:
    """Commands past the bound wait on the connection, and go on as replies are given: each gets exactly one."""
    async with house() as there:
        client = await connected(there, unanswered_commands=4)
        wanted = range(2, 22)
        client.send(commands(*({"id": n, "presence_stats": {"channel": "lobby"}} for n in wanted)), commands(PING))
        assert client.said() == []
        assert client.conn.is_paused
        client.machine.timeout()  # a pong may stand among what is not read: no reason to end
        seen: list[int] = []
        for _ in range(12):
            await client.settle()
            seen += [reply["id"] for reply in client.said()]
        assert sorted(seen) == sorted([*wanted, 3])
        assert not client.conn.is_paused


# -- rooms ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["closed", "eof", "stalled", "close frame", "violation", "bad request"])
async def test_every_end_leaves_the_rooms(ending: str, autojump_clock: MockClock) -> None:
    """At once, not when the socket has gone."""
    async with house() as there:
        client = await connected(there)
        await client.ask(SUBSCRIBE)
        assert there.subscribers == 1
        match ending:
            case "closed":
                client.machine.closed()
            case "eof":
                client.machine.eof()
            case "stalled":
                client.machine.stalled()
            case "close frame":
                client.send(frame(b"", 0x88))
            case "violation":
                client.send(frame(b"", 0x82))
            case _:
                client.send(frame(b"[]"))
        assert there.subscribers == 0


async def test_leaving_before_the_answer(autojump_clock: MockClock) -> None:
    """The subscribe is answered with an error when an unsubscribe overtakes it, and a closed peer is not joined."""
    async with house() as there:
        client = await connected(there)
        replies = await client.ask(SUBSCRIBE, {"id": 3, "unsubscribe": {"channel": "lobby"}})
        assert {reply["id"]: "error" in reply for reply in replies} == {2: True, 3: False}
        client.send(commands(SUBSCRIBE))
        client.machine.closed()
        await client.settle()
        assert there.subscribers == 0


async def test_a_busy_socket_goes_on_with_every_room(autojump_clock: MockClock) -> None:
    """Two rooms were refused while it was busy; both are made good when it takes bytes again."""
    async with house() as there:
        client = await connected(there)
        rooms = ["lobby", *[(await there.engine.create(f"room{number}")).id for number in range(2)]]
        for number, name in enumerate(rooms, 2):
            await client.ask({"id": number, "subscribe": {"channel": name}})
        client.conn.is_blocked = True
        for name in rooms:
            await there.engine.conversation(name).post(Draft("x", author="bot"))
        await client.settle()
        assert client.said() == []
        client.conn.is_blocked = False
        client.machine.writable()
        await client.settle()
        assert sorted(said["push"]["channel"] for said in client.said()) == sorted(rooms)


@pytest.mark.parametrize(
    ("offset", "epoch", "recovered"),
    [(1, None, True), (2, None, True), (99, None, False), (1, "another", False)],
    ids=["missed one", "at the head", "ahead", "another epoch"],
)
async def test_a_resume_says_whether_it_recovered(
    offset: int, epoch: str | None, recovered: bool, autojump_clock: MockClock
) -> None:
    """A cursor that cannot be served is told so, with the position to go on from."""
    async with house() as there:
        room = there.engine.conversation("lobby")
        for text in ("1", "2"):
            await room.post(Draft(text, author="bot"))
        client = await connected(there)
        known = (await room.describe()).epoch if epoch is None else epoch
        asked = {"channel": "lobby", "recover": True, "offset": offset, "epoch": known}
        [reply] = await client.ask({"id": 2, "subscribe": asked})
        joined = reply["subscribe"]
        assert (joined["was_recovering"], joined["recovered"], joined["offset"]) == (True, recovered, 2)
        missed = list(range(offset + 1, 3)) if recovered else []
        assert [publication["offset"] for publication in joined.get("publications", [])] == missed


async def test_a_quarantined_room_keeps_its_sockets(autojump_clock: MockClock) -> None:
    """Publishing gets a temporary error; subscribing, history and the connection go on, and after the release posts arrive."""
    async with house() as there:
        client = await connected(there)
        await client.ask(SUBSCRIBE)
        await quarantine(there.engine, "lobby")
        await client.settle()
        assert client.said() == []
        publish = {"id": 4, "publish": {"channel": "lobby", "data": {"text": "x"}}}
        [refused] = await client.ask(publish)
        assert (refused["error"]["code"], refused["error"]["temporary"]) == (503, True)
        other = await connected(there)
        [joined] = await other.ask(SUBSCRIBE)
        assert "subscribe" in joined
        [page] = await other.ask({"id": 5, "history": {"channel": "lobby", "limit": 10}})
        assert page["history"]["offset"] == 0
        assert there.engine.release("lobby")
        await client.settle()
        answers = await client.ask(publish)
        assert next(answer for answer in answers if answer.get("id") == 4).keys() >= {"publish"}
        await other.settle()
        assert [said["push"]["pub"]["offset"] for said in other.said() if "pub" in said.get("push", {})] == [1]


@pytest.mark.parametrize(
    ("why", "number"),
    [
        ("slow", 2500),
        ("closed", 2500),
        ("quarantined", 2500),
        ("internal", 2500),
        ("not_found", 2000),
        ("forbidden", 2000),
    ],
)
async def test_a_room_that_ends_a_subscription_says_so(why: str, number: int, autojump_clock: MockClock) -> None:
    """An unsubscribe push, by whose code the client knows whether to subscribe again; the connection stays."""
    async with house() as there:
        client = await connected(there)
        await client.ask(SUBSCRIBE)
        [subscriber] = client.machine.session.following.values()
        client.machine.cut_off(subscriber, why)
        [push] = client.said()
        assert push == {"push": {"channel": "lobby", "unsubscribe": {"code": number, "reason": why}}}
        assert there.subscribers == 0
        assert "subscribe" in (await client.ask({**SUBSCRIBE, "id": 9}))[0]


class Unwalked(dict[ConversationId, Subscriber]):
    """What a connection follows, where nobody goes over all of it."""

    def items(self) -> NoReturn:
        raise AssertionError("somebody goes over everything that is followed")

    keys = values = __iter__ = items


async def test_the_end_of_a_subscription_does_not_look_at_the_others(autojump_clock: MockClock) -> None:
    """A connection that follows a thousand rooms pays for each that ends what it would pay for its only one."""
    async with house() as there:
        client = await connected(there)
        await client.ask(SUBSCRIBE)
        session = client.machine.session
        [subscriber] = session.following.values()
        session.following = Unwalked(session.following)
        client.machine.cut_off(subscriber, "slow")
        client.machine.cut_off(subscriber, "slow")
        assert len(client.said()) == 1
        assert len(session.following) == 0
        session.following = {}
