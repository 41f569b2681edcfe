"""What is open under a credential ends with it: WebSockets and event streams, at once, with a code that says what to do."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from hubbub.engine.core.principals import ServerRole
from hubbub.engine.identity.records import UserChange
from hubbub.transport.identity.tokens import Issued

from ..centrifugal_client import Client
from ..house import Closed, House, commands, house
from ..test_sse import Reader


def watched(there: House) -> int:
    """How many connections wait to be told."""
    return len(there.api.auth._watchers)


async def opened(there: House, issued: Issued) -> tuple[Client, Client, Reader]:
    """A WebSocket by the connect command, one by a header, and a stream, all of one session."""
    there.token = issued.token
    by_command = Client(there)
    await by_command.connect()
    by_header = Client(there, f"Authorization: Bearer {issued.token}")
    assert (await by_header.ask({"id": 1, "connect": {}}))[0]["connect"]
    stream = Reader(there)
    assert "event: stream.open" in await stream.lines()
    assert watched(there) == 3
    return by_command, by_header, stream


@pytest.mark.parametrize("how", ["revoked", "disabled", "deleted", "evicted"])
async def test_a_revoked_session_ends_what_it_has_open(how: str, autojump_clock: MockClock) -> None:
    """WebSockets with 3500, after which no SDK comes back, and the stream with `revoked`; the rooms are left."""
    async with house() as there:
        issued = await there.log_in()
        by_command, by_header, stream = await opened(there, issued)
        user_id = issued.credential.principal.id
        match how:
            case "revoked":
                await there.api.accounts.tokens.end(user_id, only=issued.credential.token_id)
            case "disabled":
                await there.api.accounts.change(user_id, UserChange(disabled=True))
            case "deleted":
                await there.api.accounts.delete(user_id)
            case _:
                for _ in range(5):
                    there.wall.ahead_ms += 1
                    await there.log_in()
        assert by_command.said() == by_header.said() == [Closed(3500)]
        assert (await stream.lines())[-3:] == ["event: stream.end", 'data: {"code":"revoked"}', ""]
        assert stream.conn.is_closed
        assert (watched(there), there.subscribers) == (0, 0)


async def test_a_refreshed_connection_ends_with_its_new_token(autojump_clock: MockClock) -> None:
    """It lives by that from then on, whatever becomes of the one that it began with; and no refresh outlives its connection."""
    async with house() as there:
        first = await there.log_in()
        second = await there.log_in()
        there.token = first.token
        client, gone = Client(there), Client(there)
        await client.connect()
        await gone.connect()
        [reply] = await client.ask({"id": 2, "refresh": {"token": second.token}})
        assert "refresh" in reply
        tokens, user_id = there.api.accounts.tokens, first.credential.principal.id
        there.api.auth.forget(user_id)
        gone.send(commands({"id": 2, "refresh": {"token": second.token}}))
        gone.machine.closed()
        await gone.settle()
        assert watched(there) == 1
        await tokens.end(user_id, only=first.credential.token_id)
        assert client.said() == []
        await tokens.end(user_id, only=second.credential.token_id)
        assert client.said() == [Closed(3500)]
        assert watched(there) == 0


async def test_a_demoted_administrator_is_a_member_at_once(autojump_clock: MockClock) -> None:
    """What is open ends with a code after which an SDK comes back, as who it is now; the next request is a member's."""
    async with house() as there:
        await there.account("root", ServerRole.ADMIN)
        issued = await there.log_in("ada", ServerRole.ADMIN)
        by_command, by_header, stream = await opened(there, issued)
        assert (await there.call("GET", "/api/v1/admin/users")).status == 200
        answer = await there.operate(
            "PATCH", f"/api/v1/admin/users/{issued.credential.principal.id}", {"role": "member"}
        )
        assert answer.status == 200
        assert (await there.call("GET", "/api/v1/admin/users")).status == 403
        assert by_command.said() == by_header.said() == [Closed(4002)]
        assert (await stream.lines())[-2] == 'data: {"code":"account_changed"}'
        again = Client(there)
        await again.connect()
        assert again.machine.session.require().role is ServerRole.MEMBER


async def test_nothing_is_watched_that_is_closed(autojump_clock: MockClock) -> None:
    """However a connection ends, nobody is told of it later, and nothing of it is kept."""
    async with house() as there:
        issued = await there.log_in()
        by_command, by_header, stream = await opened(there, issued)
        by_command.machine.eof()
        by_header.machine.closed()
        stream.machine.closed()
        assert watched(there) == 0


async def test_a_credential_that_ends_while_a_stream_opens(autojump_clock: MockClock) -> None:
    """Nothing was said yet, so it is said in HTTP."""
    async with house() as there:
        issued = await there.log_in()
        there.token = issued.token
        stream = Reader(there, name="den")
        await there.api.accounts.tokens.end(issued.credential.principal.id)
        lines = await stream.lines()
        assert int(lines[0].split()[1]) in (401, 404)
        assert (watched(there), there.subscribers) == (0, 0)


async def test_an_expired_token_in_the_connect_command(autojump_clock: MockClock) -> None:
    """Error 109, on which the SDKs fetch another token; the connection takes that one. An unknown token is 3500."""
    async with house() as there:
        old = await there.log_in()
        there.wall.ahead_ms += 14 * 86_400_000 + 3_600_000  # idle for too long; a day later it is forgotten
        fresh = await there.log_in()
        client = Client(there)
        [reply] = await client.ask({"id": 1, "connect": {"token": old.token}})
        assert (reply["id"], reply["error"]["code"]) == (1, 109)
        [reply] = await client.ask({"id": 2, "connect": {"token": fresh.token}})
        assert reply["connect"]
        unknown = Client(there)
        assert await unknown.ask({"id": 1, "connect": {"token": "hbs_unknown"}}) == [Closed(3500)]
