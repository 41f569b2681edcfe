"""Token flows of the Centrifugal protocol: connect, refresh, subscription tokens, what tokens subscribe to, and their ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from hubbub.engine import Draft, Visibility
from hubbub.transport.jwt_settings import JwtSettings

from .centrifugal_client import Client
from .house import Closed, House, commands, house, quarantine
from .tokens import SECRET, hs256

JWT = JwtSettings(hmac_secrets=(SECRET,), refresh_grace_s=20.0)
GRACE_S, LEEWAY_S = 20, 10


def token(there: House, user: str = "ada", lifetime_s: float = 600, **claims: Any) -> str:
    """A token that is good for a while from now."""
    now_s = there.wall() / 1000
    return hs256({"sub": user, "iat": now_s, "exp": now_s + lifetime_s, **claims})


@asynccontextmanager
async def embedded() -> AsyncIterator[House]:
    """A house whose embedder signs tokens; the conversations `secret` and `other` are private."""
    async with house(jwt=JWT) as there:
        for name in ("secret", "other"):
            await there.engine.create(name, visibility=Visibility.PRIVATE)
            await post(there, name, "one")
        yield there


async def post(there: House, name: str, text: str) -> None:
    await there.engine.conversation(name).post(Draft(text=text, author="embedder"))


async def connect(there: House, signed: str, **more: Any) -> tuple[Client, dict[str, Any]]:
    """A client that has connected with a token, and what it was told."""
    client = Client(there)
    [reply] = await client.ask({"id": 1, "connect": {"token": signed, **more}})
    found: dict[str, Any] = reply["connect"]
    return client, found


def later(there: House, client: Client, seconds: float) -> list[Any]:
    """Let time go by on the wall and have the connection's timer fire; what it said."""
    there.wall.ahead_ms += round(seconds * 1000)
    client.machine.timeout()
    return client.said()


def texts(said: list[Any]) -> list[tuple[str, str]]:
    """Channel and text of the messages among pushes."""
    pushes = [document["push"] for document in said if "pub" in document.get("push", {})]
    return [(push["channel"], push["pub"]["data"]["message"]["text"]) for push in pushes]


# -- connecting -------------------------------------------------------------------------------------------------------


async def test_the_reply_says_when_the_token_ends(autojump_clock: MockClock) -> None:
    """`expires` and `ttl`, by which the stock SDKs fetch another one in time; a session token has neither."""
    async with embedded() as there:
        _, reply = await connect(there, token(there))
        assert (reply["expires"], reply["ttl"]) in {(True, 599), (True, 600)}
        _, plain = await connect(there, there.token)
        assert "expires" not in plain
        assert "subs" not in plain


async def test_an_expired_token_may_be_replaced(autojump_clock: MockClock) -> None:
    """Error 109 in a reply, and the connection takes another token."""
    async with embedded() as there:
        client = Client(there)
        old = token(there, lifetime_s=-LEEWAY_S - 1)
        [reply] = await client.ask({"id": 1, "connect": {"token": old}})
        assert reply == {"id": 1, "error": {"code": 109, "message": "the token has expired"}}
        [reply] = await client.ask({"id": 2, "connect": {"token": token(there)}})
        assert "connect" in reply


@pytest.mark.parametrize("claims", [{"channel": "secret"}, {"aud": "mail"}, {"sub": "a b"}, {"nbf": 9e9}])
async def test_a_token_that_is_not_good(claims: dict[str, Any], autojump_clock: MockClock) -> None:
    """3500, with which a client does not come again."""
    async with embedded() as there:
        client = Client(there)
        assert await client.ask({"id": 1, "connect": {"token": token(there, **claims)}}) == [Closed(3500)]


async def test_a_token_in_the_upgrade(autojump_clock: MockClock) -> None:
    """As a bearer: refused in HTTP, or good for the connect command that brings none."""
    async with embedded() as there:
        bad = Client(there, f"Authorization: Bearer {token(there, lifetime_s=-60)}")
        await bad.settle()
        assert b" 401 " in bad.conn.take()
        good = Client(there, f"Authorization: Bearer {token(there, channels=['secret'])}")
        await good.settle()
        [reply] = await good.ask({"id": 1, "connect": {}})
        assert list(reply["connect"]["subs"]) == ["secret"]


@pytest.mark.parametrize("offset", [-1, 2**63])
async def test_a_position_that_cannot_be(offset: int, autojump_clock: MockClock) -> None:
    """3501 for the connect that says it, whether its token is looked up or known."""
    async with embedded() as there:
        signed = token(there, channels=["secret"])
        asked = {"token": signed, "subs": {"secret": {"recover": True, "offset": offset}}}
        for _ in range(2):
            assert await Client(there).ask({"id": 1, "connect": asked}) == [Closed(3501)]
            await connect(there, signed)


async def test_a_token_that_names_more_than_a_connection_may_follow(autojump_clock: MockClock) -> None:
    """What is over the bound is left out of the reply, like all that cannot be joined."""
    async with embedded() as there:
        there.engine.session_settings = attrs.evolve(there.engine.session_settings, subscriptions=1)
        _, reply = await connect(there, token(there, channels=["secret", "other"]))
        assert list(reply["subs"]) == ["secret"]
        assert there.subscribers == 1


# -- the end of a connection ------------------------------------------------------------------------------------------


async def test_a_connection_ends_when_its_token_is_not_replaced(autojump_clock: MockClock) -> None:
    """3005 at the token's end and the grace; until then it is served."""
    async with embedded() as there:
        client, _ = await connect(there, token(there, lifetime_s=12))
        assert client.conn.deadline_s == 25.0, "the ping comes first"
        assert later(there, client, 25) == [{}]
        client.send(commands({}))
        assert client.conn.deadline_s == pytest.approx(7.0, abs=0.2), "then the end"
        assert later(there, client, 7.1) == [Closed(3005)]
        assert client.conn.is_closed


async def test_a_refreshed_connection_goes_on(autojump_clock: MockClock) -> None:
    """Another token of the same user; the reply says until when."""
    async with embedded() as there:
        client, connected = await connect(there, token(there, lifetime_s=5))
        there.wall.ahead_ms += 5_000
        [reply] = await client.ask({"id": 2, "refresh": {"token": token(there)}})
        assert reply["refresh"]["client"] == connected["client"]
        assert reply["refresh"]["expires"] is True
        assert reply["refresh"]["ttl"] in {599, 600}
        assert client.conn.deadline_s == 25.0
        assert later(there, client, 25) == [{}]


@pytest.mark.parametrize(
    ("user", "lifetime_s", "claims", "code"),
    [
        ("bob", 600, {}, 3500),
        ("ada", -60, {}, 3005),
        ("ada", 600, {"channel": "secret"}, 3500),
        ("ada", 600, {"aud": "x"}, 3500),
    ],
)
async def test_a_refresh_that_is_refused(
    user: str, lifetime_s: float, claims: dict[str, Any], code: int, autojump_clock: MockClock
) -> None:
    """Another user's token or a bad one ends the connection for good; an expired one lets it come again."""
    async with embedded() as there:
        client, _ = await connect(there, token(there))
        said = await client.ask({"id": 2, "refresh": {"token": token(there, user, lifetime_s, **claims)}})
        assert said == [Closed(code)]


async def test_an_empty_refresh_is_an_error(autojump_clock: MockClock) -> None:
    """Answered, and the connection stays."""
    async with embedded() as there:
        client, _ = await connect(there, token(there))
        [reply] = await client.ask({"id": 2, "refresh": {}})
        assert reply["error"]["code"] == 107


async def test_a_guest_stays_a_guest(autojump_clock: MockClock) -> None:
    """A refresh cannot turn a session into a token's user."""
    async with embedded() as there:
        client, _ = await connect(there, there.token)
        assert await client.ask({"id": 2, "refresh": {"token": token(there)}}) == [Closed(3500)]


async def test_the_pong_time_counts_on_past_a_token(autojump_clock: MockClock) -> None:
    """A subscription's end between ping and pong is no missing pong, and puts the pong off by nothing."""
    async with embedded() as there:
        client, _ = await connect(there, token(there))
        signed = token(there, lifetime_s=8, channel="secret")
        await client.ask({"id": 2, "subscribe": {"channel": "secret", "token": signed}})
        assert later(there, client, 25) == [{}]
        assert client.conn.deadline_s == pytest.approx(3.0, abs=0.2)
        [push] = later(there, client, 3.1)
        assert push["push"]["unsubscribe"]["code"] == 2501
        assert client.conn.deadline_s == pytest.approx(7.0, abs=0.2)
        assert later(there, client, 7) == [Closed(3012)]


# -- what a token subscribes to ---------------------------------------------------------------------------------------


async def test_channels_of_a_token_are_followed_from_the_start(autojump_clock: MockClock) -> None:
    """Their positions stand in the reply, what is posted then comes as pushes; `subs` may carry data."""
    async with embedded() as there:
        signed = token(there, channels=["secret"], subs={"other": {"data": {"theme": "dark"}}})
        client, reply = await connect(there, signed)
        assert set(reply["subs"]) == {"secret", "other"}
        assert reply["subs"]["other"]["data"] == {"theme": "dark"}
        assert all(sub["offset"] == 1 and sub["recoverable"] and sub["epoch"] for sub in reply["subs"].values())
        for name in ("secret", "other"):
            await post(there, name, "two")
        await client.settle()
        assert sorted(texts(client.said())) == [("other", "two"), ("secret", "two")]


async def test_they_are_recovered(autojump_clock: MockClock) -> None:
    """A client that comes back says where it left off, and the reply brings what it missed; nothing is doubled."""
    async with embedded() as there:
        signed = token(there, channels=["secret", "other"])
        client, reply = await connect(there, signed)
        client.machine.eof()
        for text in ("two", "three"):
            await post(there, "secret", text)
        left = {
            name: {"recover": True, "offset": sub["offset"], "epoch": sub["epoch"]}
            for name, sub in reply["subs"].items()
        }
        client, reply = await connect(there, signed, subs=left)
        sub = reply["subs"]["secret"]
        assert (sub["was_recovering"], sub["recovered"], sub["offset"]) == (True, True, 3)
        assert [pub["data"]["message"]["text"] for pub in sub["publications"]] == ["two", "three"]
        assert reply["subs"]["other"]["recovered"] is True
        await post(there, "secret", "four")
        await client.settle()
        assert texts(client.said()) == [("secret", "four")]


async def test_more_than_a_page_follows_as_pushes_behind_the_reply(autojump_clock: MockClock) -> None:
    """Nothing of a room is pushed before the client knows its subscription."""
    async with embedded() as there:
        for number in range(40):
            await post(there, "secret", f"{number} " + "x" * 4_000)
        start = {"secret": {"recover": True, "offset": 0}}
        client = Client(there)
        said = await client.ask({"id": 1, "connect": {"token": token(there, channels=["secret"]), "subs": start}})
        first = said.pop(0)["connect"]["subs"]["secret"]
        offsets = [pub["offset"] for pub in first["publications"]]
        assert offsets[-1] == first["offset"] < 41
        assert offsets + [push["push"]["pub"]["offset"] for push in said] == list(range(1, 42))


async def test_a_room_that_answers_first_holds_its_pushes_back(autojump_clock: MockClock) -> None:
    """While another room still has to be looked for, nothing of the first one is pushed; then all of it, once."""
    async with embedded() as there:
        for number in range(40):
            await post(there, "secret", f"{number} " + "x" * 4_000)
        start = {"secret": {"recover": True, "offset": 0}}
        signed = token(there, channels=["secret", "nowhere"])
        await connect(there, signed)  # so that the token is known, and the joins are sent at once
        client = Client(there)
        there.store.records = trio.Event()
        client.send(commands({"id": 1, "connect": {"token": signed, "subs": start}}))
        await client.settle()
        await post(there, "secret", "meanwhile")
        await client.settle()
        assert client.said() == []
        there.store.records.set()
        await client.settle()
        said = client.said()
        first = said.pop(0)["connect"]["subs"]["secret"]
        offsets = [pub["offset"] for pub in first["publications"]]
        assert offsets + [push["push"]["pub"]["offset"] for push in said] == list(range(1, 43))


async def test_a_connect_that_takes_too_long_may_come_again(autojump_clock: MockClock) -> None:
    """4001 when the rooms do not answer within the handshake's time; 3502 would end it for good."""
    async with embedded() as there:
        signed = token(there, channels=["secret", "nowhere"])
        await connect(there, signed)
        client = Client(there)
        there.store.records = trio.Event()
        client.send(commands({"id": 1, "connect": {"token": signed}}))
        await client.settle()
        client.machine.timeout()
        assert client.said() == [Closed(4001)]
        there.store.records.set()
        await client.settle()
        assert client.conn.take() == b""
        assert there.subscribers == 1, "that of the first"


async def test_channels_that_are_not_there_are_left_out(autojump_clock: MockClock) -> None:
    """The others are followed."""
    async with embedded() as there:
        _, reply = await connect(there, token(there, channels=["nowhere", "secret"]))
        assert list(reply["subs"]) == ["secret"]
        assert there.subscribers == 1
        _, reply = await connect(there, token(there, channels=["nowhere"]))
        assert reply["subs"] == {}


async def test_only_what_the_token_names(autojump_clock: MockClock) -> None:
    """A position for another channel follows nothing, and the token opens no other channel."""
    async with embedded() as there:
        left = {"other": {"recover": True, "offset": 0}}
        client, reply = await connect(there, token(there, channels=["secret"]), subs=left)
        assert list(reply["subs"]) == ["secret"]
        [reply] = await client.ask({"id": 2, "subscribe": {"channel": "other"}})
        assert reply["error"]["code"] == 102


async def test_a_granted_channel_can_be_read_and_not_posted_to(autojump_clock: MockClock) -> None:
    """The claim opens for reading, on REST too."""
    async with embedded() as there:
        signed = token(there, channels=["secret"])
        client, _ = await connect(there, signed)
        history, publish = await client.ask(
            {"id": 2, "history": {"channel": "secret", "limit": 10}},
            {"id": 3, "publish": {"channel": "secret", "data": {"text": "hi"}}},
        )
        assert len(history["history"]["publications"]) == 1
        assert publish["error"]["code"] == 103
        there.token = signed
        assert (await there.call("GET", "/api/v1/conversations/secret/messages")).status == 200
        assert (await there.call("GET", "/api/v1/conversations/other/messages")).status == 404
        assert (await there.call("POST", "/api/v1/conversations/secret/messages", {"text": "hi"})).status == 403


async def test_a_refresh_takes_away_what_the_new_token_does_not_name(autojump_clock: MockClock) -> None:
    """The subscription that the old one had placed ends for good, one of the client's own is asked anew."""
    async with embedded() as there:
        client, _ = await connect(there, token(there, channels=["secret", "other"]))
        [push, reply] = await client.ask({"id": 2, "refresh": {"token": token(there, channels=["other"])}})
        assert push["push"] == {
            "channel": "secret",
            "unsubscribe": {"code": 2000, "reason": "the token does not open it any more"},
        }
        assert "refresh" in reply
        await post(there, "secret", "two")
        await post(there, "other", "two")
        await client.settle()
        assert texts(client.said()) == [("other", "two")]
        [reply] = await client.ask({"id": 3, "subscribe": {"channel": "secret"}})
        assert reply["error"]["code"] == 102


async def test_a_room_that_cuts_a_placed_subscription(autojump_clock: MockClock) -> None:
    """3010: the client can take it up again only by connecting again, which it then does with its position."""
    async with embedded() as there:
        client, _ = await connect(there, token(there, channels=["secret"]))
        [subscriber] = client.machine.session.following.values()
        client.machine.cut_off(subscriber, "slow")
        assert client.said() == [Closed(3010)]


async def test_a_room_that_puts_a_reader_out(autojump_clock: MockClock) -> None:
    """The subscription ends for good, the connection stays."""
    async with embedded() as there:
        client, _ = await connect(there, token(there, channels=["secret"]))
        [subscriber] = client.machine.session.following.values()
        client.machine.cut_off(subscriber, "not_found")
        [push] = client.said()
        assert push["push"]["unsubscribe"]["code"] == 2000
        assert there.subscribers == 0


async def test_a_quarantined_channel_keeps_nobody_out(autojump_clock: MockClock) -> None:
    """It is left out of the reply, where it cannot be followed, and the connection stands."""
    async with embedded() as there:
        await quarantine(there.engine, "other")
        _, reply = await connect(there, token(there, channels=["other", "secret"]))
        assert "secret" in reply["subs"]


async def test_a_peer_that_goes_while_rooms_are_joined(autojump_clock: MockClock) -> None:
    """Nothing is left behind, whenever it goes."""
    async with embedded() as there:
        signed = token(there, channels=["secret", "other"])
        await connect(there, signed)  # so that the token is known, and the joins are sent at once
        client = Client(there)
        client.send(commands({"id": 1, "connect": {"token": signed}}))
        client.machine.closed()
        await client.settle()
        assert there.subscribers == 2, "those of the first"


# -- subscription tokens ----------------------------------------------------------------------------------------------


async def subscribe(there: House, client: Client, channel: str = "secret", **changes: Any) -> list[Any]:
    user, lifetime_s = changes.pop("user", "ada"), changes.pop("lifetime_s", 600)
    signed = token(there, user, lifetime_s, **{"channel": channel, **changes})
    return await client.ask({"id": 2, "subscribe": {"channel": channel, "token": signed}})


async def test_a_subscription_token_opens_a_private_channel(autojump_clock: MockClock) -> None:
    """The reply says when it ends; while it lasts the channel's history may be read, too."""
    async with embedded() as there:
        client, _ = await connect(there, token(there))
        [reply] = await subscribe(there, client)
        assert (reply["subscribe"]["expires"], reply["subscribe"]["ttl"]) in {(True, 599), (True, 600)}
        await post(there, "secret", "two")
        [push, history] = await client.ask({"id": 3, "history": {"channel": "secret", "limit": 10}})
        assert texts([push]) == [("secret", "two")]
        assert len(history["history"]["publications"]) == 2
        [reply] = await client.ask({"id": 4, "unsubscribe": {"channel": "secret"}})
        [reply] = await client.ask({"id": 5, "history": {"channel": "secret", "limit": 10}})
        assert reply["error"]["code"] == 102, "what it had opened is closed with it"


@pytest.mark.parametrize(
    "changes",
    [{"user": "bob"}, {"sub": None}, {"channel": "other"}, {"channel": None}, {"aud": "x"}, {"nbf": 9e9}],
    ids=str,
)
async def test_subscription_tokens_that_are_refused(changes: dict[str, Any], autojump_clock: MockClock) -> None:
    """Another user's, another channel's, a connection token: 103, and nothing is opened."""
    async with embedded() as there:
        client, _ = await connect(there, token(there))
        signed = token(there, changes.pop("user", "ada"), **{"channel": "secret", **changes})
        [reply] = await client.ask({"id": 2, "subscribe": {"channel": "secret", "token": signed}})
        assert reply["error"]["code"] == 103
        [reply] = await client.ask({"id": 3, "subscribe": {"channel": "secret"}})
        assert reply["error"]["code"] == 102
        assert there.subscribers == 0


async def test_an_expired_subscription_token(autojump_clock: MockClock) -> None:
    """109, whereupon the stock SDKs fetch another; replayed after its end it opens nothing."""
    async with embedded() as there:
        client, _ = await connect(there, token(there))
        [reply] = await subscribe(there, client, lifetime_s=-60)
        assert reply["error"]["code"] == 109
        assert there.subscribers == 0


async def test_a_guest_has_no_use_for_one(autojump_clock: MockClock) -> None:
    """A token's subject is never a local user, whatever it says."""
    async with embedded() as there:
        client, _ = await connect(there, there.token)
        for user in ("ada", client.machine.tenure.principal.id):
            [reply] = await subscribe(there, client, user=user)
            assert reply["error"]["code"] == 103


async def test_a_channel_that_is_not_there(autojump_clock: MockClock) -> None:
    """The room's own answer; nothing stays open."""
    async with embedded() as there:
        client, _ = await connect(there, token(there))
        [reply] = await subscribe(there, client, "nowhere")
        assert reply["error"]["code"] == 102
        assert not client.machine.tenure.has_pass("nowhere")


async def test_twice_the_same_channel(autojump_clock: MockClock) -> None:
    """105, and the first subscription lives on by its own token."""
    async with embedded() as there:
        client, _ = await connect(there, token(there))
        await subscribe(there, client, lifetime_s=2)
        [reply] = await subscribe(there, client, lifetime_s=300)
        assert reply["error"]["code"] == 105
        assert there.subscribers == 1
        [push] = later(there, client, 22.1)
        assert push["push"]["unsubscribe"]["code"] == 2501
        assert there.subscribers == 0


async def test_a_subscription_ends_with_its_token(autojump_clock: MockClock) -> None:
    """2501 past the grace, with which the stock SDKs subscribe again; the connection stays."""
    async with embedded() as there:
        client, _ = await connect(there, token(there))
        await subscribe(there, client, lifetime_s=2)
        assert client.conn.deadline_s == pytest.approx(22.0, abs=0.2)
        assert later(there, client, 22.1) == [
            {"push": {"channel": "secret", "unsubscribe": {"code": 2501, "reason": "subscription expired"}}}
        ]
        assert there.subscribers == 0
        assert client.conn.deadline_s == pytest.approx(3.0, abs=0.2), "the ping keeps its time"
        [reply] = await client.ask({"id": 3, "history": {"channel": "secret", "limit": 1}})
        assert reply["error"]["code"] == 102


async def test_a_refreshed_subscription_goes_on(autojump_clock: MockClock) -> None:
    """Another token for the same channel and user."""
    async with embedded() as there:
        client, _ = await connect(there, token(there))
        await subscribe(there, client, lifetime_s=2)
        signed = token(there, channel="secret", lifetime_s=300)
        [reply] = await client.ask({"id": 3, "sub_refresh": {"channel": "secret", "token": signed}})
        assert reply["sub_refresh"]["expires"] is True
        assert later(there, client, 25) == [{}]
        assert there.subscribers == 1


@pytest.mark.parametrize(("changes", "code"), [({"channel": "other"}, 103), ({"sub": "bob"}, 103)])
async def test_a_sub_refresh_that_is_refused(changes: dict[str, Any], code: int, autojump_clock: MockClock) -> None:
    """The subscription lives on by the token before, and no longer."""
    async with embedded() as there:
        client, _ = await connect(there, token(there))
        await subscribe(there, client, lifetime_s=2)
        signed = token(there, **{"channel": "secret", **changes})
        [reply] = await client.ask({"id": 3, "sub_refresh": {"channel": "secret", "token": signed}})
        assert reply["error"]["code"] == code
        [push] = later(there, client, 22.1)
        assert push["push"]["unsubscribe"]["code"] == 2501


async def test_a_sub_refresh_with_an_expired_token(autojump_clock: MockClock) -> None:
    """The push comes first, so that the SDK subscribes anew instead of giving the channel up."""
    async with embedded() as there:
        client, _ = await connect(there, token(there))
        await subscribe(there, client)
        signed = token(there, channel="secret", lifetime_s=-60)
        push, reply = await client.ask({"id": 3, "sub_refresh": {"channel": "secret", "token": signed}})
        assert push["push"]["unsubscribe"]["code"] == 2501
        assert reply["error"]["code"] == 109
        assert there.subscribers == 0


async def test_a_sub_refresh_of_what_no_token_opened(autojump_clock: MockClock) -> None:
    """A public channel needs none, and takes none."""
    async with embedded() as there:
        client, _ = await connect(there, token(there))
        await client.ask({"id": 2, "subscribe": {"channel": "lobby"}})
        signed = token(there, channel="lobby")
        [reply] = await client.ask({"id": 3, "sub_refresh": {"channel": "lobby", "token": signed}})
        assert reply["error"]["code"] == 103


async def test_checks_in_flight_are_bounded(autojump_clock: MockClock) -> None:
    """503 past the bound, temporary; every command has its one reply."""
    async with embedded() as there:
        client, _ = await connect(there, token(there))
        assert there.api.jwt is not None
        there.api.jwt.lookups = 32
        [reply] = await subscribe(there, client)
        assert (reply["error"]["code"], reply["error"]["temporary"]) == (503, True)
        there.api.jwt.lookups = 0
        [reply] = await subscribe(there, client)
        assert "subscribe" in reply
        assert there.api.jwt.lookups == 0


async def test_a_peer_that_goes_while_its_token_is_checked(autojump_clock: MockClock) -> None:
    """It is joined to nothing."""
    async with embedded() as there:
        client, _ = await connect(there, token(there))
        signed = token(there, channel="secret")
        client.send(commands({"id": 2, "subscribe": {"channel": "secret", "token": signed}}))
        client.machine.closed()
        await trio.testing.wait_all_tasks_blocked()
        assert there.subscribers == 0


# -- who is there -----------------------------------------------------------------------------------------------------


async def test_presence_shows_what_tokens_say(autojump_clock: MockClock) -> None:
    """`info` of the connection's token and of the subscription's; the kind is the server's own word."""
    async with embedded() as there:
        info = {"team": "blue", "kind": "bot"}
        client, reply = await connect(there, token(there, info=info))
        await subscribe(there, client, info={"seat": 7})
        [found] = await client.ask({"id": 3, "presence": {"channel": "secret"}})
        assert found["presence"]["presence"][reply["client"]] == {
            "client": reply["client"],
            "user": "jwt:ada",
            "conn_info": {"name": "ada", "kind": "user", "info": info},
            "chan_info": {"seat": 7},
        }
