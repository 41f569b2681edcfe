"""Admission: what is open by address, what is in flight, and that a refusal is an HTTP answer before any work."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from typing import Any

import attrs
import pytest
import trio
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from trio.testing import MockClock

from hubbub.engine.core.errors import LimitExceeded, Overloaded, RateLimited
from hubbub.transport.address import ProxySettings
from hubbub.transport.admission import Admission, Tally, TooManyOpen, Visit
from hubbub.transport.centrifugal_verbs import ACTIONS, METHOD_ACTIONS, METHODS, VERBS
from hubbub.transport.endpoints import ROUTES
from hubbub.transport.http_message import Request, Response
from hubbub.transport.http_route import Respond
from hubbub.transport.limit_settings import Action, LimitSettings, Profile
from hubbub.transport.live import GUESTS_WELCOME, Live, LiveSettings
from hubbub.transport.routes import Matched
from hubbub.transport.sse import EventStream, StreamSettings

from .centrifugal_client import SUBSCRIBE, Client, connected
from .fakes import FakeConnection
from .house import House, head_of, house
from .world import serving

BEHIND_A_PROXY = ProxySettings(trusted=("127.0.0.0/8",))
ADA, BOB = "X-Forwarded-For: 203.0.113.7", "X-Forwarded-For: 198.51.100.1"
ROOM = "/api/v1/conversations/{id}"
REST_OF = {
    "post": ("POST", ROOM + "/messages"),
    "history": ("GET", ROOM + "/messages"),
    "conversation": ("GET", ROOM),
    "typing": ("POST", ROOM + "/typing"),
    "members": ("GET", ROOM + "/members"),
    "bans": ("GET", ROOM + "/bans"),
    "member_put": ("PUT", ROOM + "/members/{user}"),
    "member_remove": ("DELETE", ROOM + "/members/{user}"),
    "join": ("POST", ROOM + "/join"),
    "leave": ("POST", ROOM + "/leave"),
    "mute": ("PUT", ROOM + "/members/{user}/mute"),
    "ban": ("PUT", ROOM + "/bans/{user}"),
    "unban": ("DELETE", ROOM + "/bans/{user}"),
    "hide": ("POST", ROOM + "/hide"),
    "blocks": ("GET", "/api/v1/blocks"),
    "block": ("PUT", "/api/v1/blocks/{user}"),
    "unblock": ("DELETE", "/api/v1/blocks/{user}"),
}
ONE = Profile(rate=1, period_s=10, burst=1)


def settings(**limits: Any) -> LiveSettings:
    """Guests welcome, a proxy on this machine, and these limits."""
    return attrs.evolve(GUESTS_WELCOME, proxies=BEHIND_A_PROXY, limits=LimitSettings(**limits))


def configure(there: House, **limits: Any) -> Admission:
    there.api.live.replace(settings(**limits))
    return there.api.admission


def admission(**limits: Any) -> Admission:
    return Admission(Live(settings(**limits)), lambda: 0)


def body(answer: Response) -> Any:
    return json.loads(answer.body)


# -- what is open -----------------------------------------------------------------------------------------------------


class TallyMachine(RuleBasedStateMachine):
    """Takes and gives back at random, against a plain count."""

    BOUND = 3

    def __init__(self) -> None:
        super().__init__()
        self.tally = Tally()
        self.open: list[str] = []

    @rule(address=st.sampled_from("abc"), bounded=st.booleans())
    def take(self, address: str, bounded: bool) -> None:
        """It is refused where there is a bound and that is reached, and nowhere else."""
        full = bounded and self.open.count(address) >= self.BOUND
        assert self.tally.take(address, self.BOUND if bounded else None) is not full
        if not full:
            self.open.append(address)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        """One of those that are open is closed."""
        address = data.draw(st.sampled_from(self.open))
        self.open.remove(address)
        self.tally.give_back(address)

    @invariant()
    def counts(self) -> None:
        """Every address has what it has open, and who has nothing is not remembered."""
        assert {each: self.tally.count(each) for each in "abc" if self.tally.count(each)} == Counter(self.open)
        assert len(self.tally) == len(set(self.open))


TestTally = TallyMachine.TestCase


def test_whoever_has_no_address_is_not_counted() -> None:
    """And gives nothing back."""
    tally = Tally()
    assert tally.take(None, 0)
    tally.give_back(None)
    assert len(tally) == 0


def test_what_an_ipv6_site_has_open_is_bounded() -> None:
    """So many times what one of its networks may have; what is closed makes room, and nothing is remembered of it."""
    tally = Tally()
    networks = [f"2001:db8:1:{number:x}::/64" for number in range(4)]
    assert [tally.take(each, 1, 3) for each in networks] == [True, True, True, False]
    assert tally.take("2001:db8:2::/64", 1, 3)
    tally.give_back(networks[0])
    assert [tally.take(networks[3], 1, 3), tally.take(networks[0], 1, 3)] == [True, False]
    for each in (*networks[1:], "2001:db8:2::/64"):
        tally.give_back(each)
    assert (len(tally), tally._sites, tally.refused) == (0, {}, 2)


def enter(there: Admission, *headers: str) -> Visit:
    return there.enter("127.0.0.1", head_of("GET", "/connection/websocket", *headers))


def test_connections_of_one_client_are_bounded_and_of_others_not_affected() -> None:
    """As many as are left may come again."""
    there = admission(connections_per_address=2)
    first, _ = enter(there, ADA), enter(there, ADA)
    with pytest.raises(TooManyOpen) as refused:
        enter(there, ADA)
    assert isinstance(refused.value, LimitExceeded)
    assert refused.value.retry_after_s
    enter(there, BOB)
    first.leave()
    first.leave()
    enter(there, ADA)
    with pytest.raises(TooManyOpen):
        enter(there, ADA)


def test_strangers_are_bounded_until_they_have_said_who_they_are() -> None:
    """Who has authenticated, or has left, makes room."""
    there = admission(strangers_per_address=1)
    first, second, third = enter(there, ADA), enter(there, ADA), enter(there, ADA)
    first.estrange()
    with pytest.raises(TooManyOpen):
        second.estrange()
    first.acquaint()
    second.estrange()
    second.leave()
    third.estrange()
    enter(there, BOB).estrange()


def test_connections_cannot_be_opened_too_fast() -> None:
    """By address; a refused one leaves nothing open."""
    there = admission(connect=ONE)
    enter(there, ADA).leave()
    with pytest.raises(RateLimited):
        enter(there, ADA)
    assert there.streams.count("203.0.113.7") == 0
    enter(there, BOB)


def test_settings_that_change_hold_for_the_next_one() -> None:
    """Bounds, rates and proxies."""
    live = Live(settings(connections_per_address=1))
    there = Admission(live, lambda: 0)
    enter(there, ADA)
    live.replace(settings(connections_per_address=2))
    enter(there, ADA)
    live.replace(GUESTS_WELCOME)
    assert enter(there, ADA).address is None


# -- requests ---------------------------------------------------------------------------------------------------------


async def test_answers_tell_what_is_left_allowed_or_refused(autojump_clock: MockClock) -> None:
    """RateLimit on both, Retry-After and a stable code on the refused one, which comes in time when it waits as told."""
    async with house() as there:
        configure(there, read=Profile(rate=1, period_s=7, burst=2))
        first, second, third = [await there.call("GET", "/api/v1/auth/me") for _ in range(3)]
        assert (first.status, first.quota) == (200, (2, 1, 7))
        assert (second.status, second.quota) == (200, (2, 0, 14))
        assert (third.status, third.quota) == (429, (2, 0, 14))
        assert (body(third)["code"], body(third)["retry"]) == ("rate_limited", "after")
        [retry_after] = [value for name, value in third.headers if name == "retry-after"]
        assert retry_after == "7"
        await trio.sleep(int(retry_after))
        assert (await there.call("GET", "/api/v1/auth/me")).status == 200


async def test_answers_of_endpoints_that_fail_tell_it_too(autojump_clock: MockClock) -> None:
    """A post that is refused for its content was counted."""
    async with house() as there:
        answer = await there.call("POST", "/api/v1/conversations/lobby/messages", {"text": ""})
        assert answer.status == 422
        assert answer.quota == (40, 39, 1)


async def test_eleven_posts_at_once(autojump_clock: MockClock) -> None:
    """With 5/s and a burst of 10 the 11th is 429 with Retry-After; another user, and another room, are not affected."""
    async with house() as there:
        configure(there, post=Profile(rate=5, burst=10))
        await there.engine.create("other")
        path = "/api/v1/conversations/lobby/messages"
        statuses = [(await there.call("POST", path, {"text": "hi"})).status for _ in range(11)]
        assert statuses == [201] * 10 + [429]
        assert (await there.call("POST", "/api/v1/conversations/other/messages", {"text": "hi"})).status == 201
        there.token = (await there.api.accounts.tokens.issue_guest("Bob")).token
        assert (await there.call("POST", path, {"text": "hi"})).status == 201


async def test_guests_are_limited_by_the_address_that_the_proxy_names(autojump_clock: MockClock) -> None:
    """A spoofed X-Forwarded-For changes nothing, and another client is not affected."""
    async with house() as there:
        configure(there, guest=ONE)

        async def become(peer: str, *headers: str) -> int:
            head = head_of("POST", "/api/v1/auth/guest", *headers)
            return (await there.dispatch(head, b'{"name":"Ada"}', peer=peer)).status

        assert await become("127.0.0.1", ADA) == 201
        assert await become("127.0.0.1", "X-Forwarded-For: 1.1.1.1, 203.0.113.7") == 429
        assert await become("127.0.0.1", BOB) == 201
        assert await become("192.0.2.1", ADA) == 201
        assert await become("192.0.2.1", BOB) == 429


async def test_an_address_that_floods_is_refused_before_its_tokens_are_looked_up(autojump_clock: MockClock) -> None:
    """Whatever it asks; health still answers."""
    async with house() as there:
        configure(there, request=ONE)
        bad = [f"Authorization: Bearer hbg_{number}" for number in range(2)]
        heads = [head_of("GET", "/api/v1/auth/me", ADA, each) for each in bad]
        assert [(await there.dispatch(head, peer="127.0.0.1")).status for head in heads] == [401, 429]
        assert (await there.dispatch(head_of("GET", "/health", ADA), peer="127.0.0.1")).status == 200


async def test_requests_in_flight_are_bounded(autojump_clock: MockClock) -> None:
    """Past the bound 503 with Retry-After; admins and health are answered; what ends makes room."""
    async with house() as there:
        found = configure(there, requests_in_flight=2)
        owed: list[Respond] = []
        [me] = [route for route in ROUTES.routes if (route.method, route.path) == ("GET", "/api/v1/auth/me")]
        slow = attrs.evolve(me, endpoint=lambda api, call, respond: owed.append(respond))
        head = head_of("GET", "/api/v1/auth/me", f"Authorization: Bearer {there.token}")
        answers: list[Response] = []
        for _ in range(3):
            there.api.dispatch(Matched(slow, {}), Request(head, b""), answers.append)
        assert found.in_flight == 2
        [refused] = answers
        assert (refused.status, body(refused)["code"]) == (503, "overloaded")
        assert "retry-after" in dict(refused.headers)
        assert (await there.dispatch(head_of("GET", "/health"))).status == 200
        assert (await there.operate("GET", "/api/v1/admin/tree")).status == 200
        owed.pop()(Response(204))
        assert found.in_flight == 1
        assert (await there.call("GET", "/api/v1/auth/me")).status == 200
        assert found.in_flight == 1


async def test_what_is_refused_or_fails_is_not_in_flight(autojump_clock: MockClock) -> None:
    """Every way out gives back."""
    async with house() as there:
        found = configure(there, post=ONE)
        path = "/api/v1/conversations/lobby/messages"
        for text in ("hi", "hi", ""):
            await there.call("POST", path, {"text": text})
        await there.call("GET", "/api/v1/conversations?limit=0")
        await there.call("GET", "/api/v1/admin/tree")
        await there.call("POST", "/api/v1/conversations", {"id": "mine"})
        assert found.in_flight == 0


def test_overload_is_told_by_its_own_error() -> None:
    """Not as a limit of the client's."""
    there = admission(requests_in_flight=1)
    there.in_flight = 1
    with pytest.raises(Overloaded):
        there.arrive(Action.READ, None)
    assert there.arrive(Action.ADMIN, None) is None
    assert there.refused_in_flight == 1


def test_every_route_and_command_is_counted_as_something() -> None:
    """Rate limiters are implemented and not mounted: here only health is free, and what costs a look at a secret is strict."""
    actions = {(route.method, route.path): route.action for route in ROUTES.routes}
    assert {path for (_, path), action in actions.items() if action is Action.FREE} == {"/health", "/health/ready"}
    assert actions["POST", "/api/v1/auth/guest"] is Action.GUEST
    assert actions["POST", "/api/v1/conversations/{id}/messages"] is Action.POST
    assert {action for (_, path), action in actions.items() if "/admin/" in path} == {Action.ADMIN}
    assert ACTIONS.keys() <= VERBS.keys()
    assert METHOD_ACTIONS.keys() <= METHODS.keys()
    assert ACTIONS["publish"] is Action.POST


def test_a_method_is_counted_as_its_rest_call_is() -> None:
    """Nobody gets around a limit by asking over a WebSocket."""
    actions = {(route.method, route.path): route.action for route in ROUTES.routes}
    assert REST_OF.keys() == METHODS.keys()
    for method, route in REST_OF.items():
        assert METHOD_ACTIONS.get(method, Action.WRITE) is actions[route], method


async def test_strangers_use_up_nothing_of_a_private_conversation(autojump_clock: MockClock) -> None:
    """Posts that are refused, by REST, by `publish` and by rpc, leave its limit to those who may post; theirs count."""
    async with house() as there:
        ada = attrs.evolve(there, token=(await there.api.accounts.tokens.issue_guest("Ada")).token)
        assert (await ada.call("POST", "/api/v1/conversations", {"id": "den"})).status == 201
        configure(there, conversation=Profile(rate=1, period_s=600, burst=3))
        path, text = "/api/v1/conversations/den/messages", {"text": "hi"}
        client = await connected(there)
        for number in range(3):
            assert (await there.call("POST", path, text)).status == 404
            said = await client.ask(
                {"id": 3 * number + 2, "publish": {"channel": "den", "data": text}},
                {"id": 3 * number + 3, "rpc": {"method": "post", "data": {"conversation": "den", **text}}},
                {"id": 3 * number + 4, "rpc": {"method": "post", "data": {"conversation": "den", "text": 7}}},
            )
            assert sorted(reply["error"]["code"] for reply in said) == [102, 102, 107]
        assert [(await ada.call("POST", path, text)).status for _ in range(4)] == [201, 201, 201, 429]


# -- WebSockets and event streams -------------------------------------------------------------------------------------


def refused(conn: FakeConnection) -> tuple[int, dict[str, str], Any]:
    """The HTTP answer that ended a connection."""
    assert conn.is_closed
    head, _, rest = conn.take().partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name: value for name, _, value in (line.partition(": ") for line in lines)}
    return int(first.split()[1]), headers, json.loads(rest)


@pytest.mark.parametrize("limits", [{"connect": ONE}, {"connections_per_address": 1}, {"strangers_per_address": 1}])
async def test_a_websocket_too_many_is_refused_in_http(limits: dict[str, Any], autojump_clock: MockClock) -> None:
    """429 with Retry-After before the upgrade; another client gets in."""
    async with house() as there:
        configure(there, **limits)
        assert Client(there, ADA).upgraded()
        client = Client(there, ADA)
        assert not client.upgraded()
        status, headers, problem = refused(client.conn)
        assert status == 429
        assert int(headers["retry-after"]) >= 1
        assert problem["retry"] == "after"
        assert Client(there, BOB).upgraded()


async def test_a_websocket_that_ends_makes_room(autojump_clock: MockClock) -> None:
    """Authenticated or not, whoever ended it."""
    async with house() as there:
        found = configure(there)
        stranger, guest = Client(there, ADA), Client(there, ADA)
        await guest.connect()
        assert (found.streams.count("203.0.113.7"), found.strangers.count("203.0.113.7")) == (2, 1)
        stranger.machine.closed()
        assert (found.streams.count("203.0.113.7"), found.strangers.count("203.0.113.7")) == (1, 0)
        guest.machine.closed()
        assert len(found.streams) == 0


async def test_a_credential_in_the_upgrade_makes_nobody_a_stranger(autojump_clock: MockClock) -> None:
    """It is checked before."""
    async with house() as there:
        found = configure(there)
        client = Client(there, ADA, f"Authorization: Bearer {there.token}")
        assert client.upgraded()
        assert len(found.strangers) == 0


async def test_a_command_too_many_is_error_111_with_a_hint(autojump_clock: MockClock) -> None:
    """The connection lives on, the other commands of the frame are answered, and later it is let through."""
    async with house() as there:
        client = await connected(there)
        configure(there, post=Profile(rate=1, period_s=5, burst=1))
        post = {"channel": "lobby", "data": {"text": "hi"}}
        rpc = {"method": "post", "data": {"conversation": "lobby", "text": "hi"}}
        replies = await client.ask({"id": 2, "publish": post}, {"id": 3, "rpc": rpc}, {"id": 4, "ping": {}})
        by_id = {reply["id"]: reply for reply in replies}
        assert by_id[2]["publish"] == {}
        assert by_id[3]["error"] == {
            "code": 111,
            "message": "too often for the limit 'post', try again in 5 s",
            "temporary": True,
        }
        assert by_id[4]["ping"] == {}
        await trio.sleep(5)
        [reply] = await client.ask({"id": 5, "rpc": rpc})
        assert reply["rpc"]["data"]["text"] == "hi"


async def test_commands_of_one_connection_are_limited(autojump_clock: MockClock) -> None:
    """Cheap ones, too; another connection of the same client has its own limit."""
    async with house() as there:
        configure(there, command=ONE)
        client, other = await connected(there), await connected(there)
        replies = await client.ask({"id": 2, "ping": {}}, {"id": 3, "ping": {}})
        assert [reply.get("error", {}).get("code") for reply in replies] == [None, 111]
        [reply] = await other.ask({"id": 2, "ping": {}})
        assert "error" not in reply


async def test_subscriptions_are_limited_on_every_transport(autojump_clock: MockClock) -> None:
    """A caller that has used its subscriptions up over WebSocket has none left for event streams."""
    async with house() as there:
        configure(there, subscribe=ONE)
        client = await connected(there)
        [reply] = await client.ask(SUBSCRIBE)
        assert "error" not in reply
        conn = FakeConnection()
        EventStream(
            conn, head_of("GET", "/e", f"Authorization: Bearer {there.token}"), there.api, "lobby", StreamSettings()
        )
        status, headers, _ = refused(conn)
        assert status == 429
        assert headers["ratelimit-remaining"] == "0"


async def test_an_event_stream_too_many_is_refused(autojump_clock: MockClock) -> None:
    """Before its token is looked at; one that ends makes room."""
    async with house() as there:
        found = configure(there, connections_per_address=1)
        token = f"Authorization: Bearer {there.token}"

        def open_stream(*headers: str) -> tuple[FakeConnection, EventStream]:
            conn = FakeConnection()
            return conn, EventStream(conn, head_of("GET", "/e", *headers), there.api, "lobby", StreamSettings())

        first, stream = open_stream(ADA, token)
        second, _ = open_stream(ADA, "Authorization: Bearer nonsense")
        assert not first.is_closed
        assert refused(second)[0] == 429
        stream.closed()
        assert len(found.streams) == 0
        third, _ = open_stream(ADA, token)
        assert not third.is_closed


# -- sockets ----------------------------------------------------------------------------------------------------------


async def test_sockets_of_one_address_are_bounded(patient_clock: MockClock) -> None:
    """The one too many is told 429; one that ends makes room, in whichever lane it was served."""
    elsewhere = ProxySettings(trusted=("192.0.2.1/32",))
    limits = LimitSettings(connections_per_address=2)
    found = Admission(Live(attrs.evolve(GUESTS_WELCOME, proxies=elsewhere, limits=limits)))
    async with serving(api={"admission": found}) as world, contextlib.AsyncExitStack() as clients:
        first, second, third = [
            await clients.enter_async_context(await trio.open_tcp_stream("127.0.0.1", world.port)) for _ in range(3)
        ]
        await world.settle()
        assert (await third.receive_some()).startswith(b"HTTP/1.1 429 ")
        await second.send_all(b"GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n")  # no endpoint: the cold lane's
        assert (await second.receive_some()).startswith(b"HTTP/1.1 404")
        assert world.lane.statistics().connections == 1
        assert found.sockets.count("127.0.0.1") == 2
        await first.aclose()
        await second.aclose()
        await trio.sleep(60)
        assert len(found.sockets) == 0
