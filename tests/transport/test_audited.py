"""Which calls leave rows in the audit log, decided once for all of them, and what the rows say."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
from trio.testing import MockClock

from hubbub.engine import Role, StoreUnavailable
from hubbub.engine.audit import AuditRow
from hubbub.engine.core.errors import WIRE
from hubbub.engine.core.ids import uuid7
from hubbub.engine.core.permissions import Access
from hubbub.engine.core.principals import ServerRole
from hubbub.transport.audit_calls import user_of
from hubbub.transport.auditor import OTHERS_ROWS
from hubbub.transport.centrifugal_verbs import METHODS
from hubbub.transport.endpoints import ROUTES
from hubbub.transport.identity.settings import SignUp
from hubbub.transport.member_routes import MEMBER_ROUTES

from .house import PASSWORD, House, head_of, house
from .oidc_rig import rig
from .test_member_calls import client
from .town import Town, body, person, town

TALK: Final = {
    "POST /api/v1/auth/login",
    "POST /api/v1/auth/guest",
    "POST /api/v1/auth/refresh",
    "POST /api/v1/auth/logout",
    "POST /api/v1/conversations",
    "POST /api/v1/conversations/{id}/messages",
    "POST /api/v1/conversations/{id}/typing",
    "POST /api/v1/conversations/{id}/join",
    "POST /api/v1/conversations/{id}/leave",
    "POST /api/v1/invites/{token}/accept",
    "POST /api/v1/conversations/{id}/hide",
    "PUT /api/v1/blocks/{user}",
    "DELETE /api/v1/blocks/{user}",
    "POST /emulation",
}
"""Ordinary talk, coming and going, and whom one wants nothing of, which is nobody else's business: no row."""
TALK_METHODS: Final = {
    *("post", "history", "conversation", "typing", "members", "bans", "join", "leave"),
    *("hide", "blocks", "block", "unblock"),
}
READS_THAT_CHANGE: Final = {"GET /api/v1/auth/oidc/{provider}/callback"}


def name_of(row: AuditRow) -> tuple[str, str, int]:
    return row.action, row.target, row.status


async def rows(there: House) -> list[AuditRow]:
    """The audit log, oldest first."""
    return (await there.store.audit.page(before=None, limit=500))[::-1]


@pytest.fixture
async def there(autojump_clock: MockClock) -> AsyncIterator[Town]:
    """The private room `den`: Ada owns it, Max moderates, Bob is a member."""
    async with town() as found:
        await found.room("den", max=Role.MODERATOR, bob=Role.MEMBER)
        yield found


# -- which ------------------------------------------------------------------------------------------------------------


def test_every_call_is_control_or_talk() -> None:
    """Whoever adds a route that may change something decides: it leaves rows, unless it is put on the list of talk."""
    changing = {f"{route.method} {route.path}": route for route in ROUTES.routes if route.method != "GET"}
    assert set(changing) >= TALK
    assert {name for name, route in changing.items() if not route.control} == TALK
    reading = {f"{route.method} {route.path}" for route in ROUTES.routes if route.method == "GET" and route.control}
    assert reading == READS_THAT_CHANGE
    for route in ROUTES.routes:
        if route.control:
            assert "{token}" not in route.path, "the target of a row would be a secret"
        elif route.access is Access.ADMIN:
            assert route.method == "GET"


async def test_every_method_is_control_or_talk(there: Town) -> None:
    """Each method of connections is called, and leaves a row or does not; those that do have routes that do."""
    max_ = await client(there, "max")
    for method in METHODS:
        before = len(await rows(there.house))
        await max_._reply(method, {"user": "bob", "role": "viewer", "seconds": 5, "text": "hi"})
        left = [row.action for row in (await rows(there.house))[before:]]
        assert left == ([] if method in TALK_METHODS else [f"rpc {method}"]), method
    routes = {route.endpoint.__name__ for route in MEMBER_ROUTES if route.control}
    assert routes == {"set_member", "delete_member", "set_mute", "delete_mute", "set_ban", "delete_ban"}


# -- keys, sessions, accounts -----------------------------------------------------------------------------------------


async def test_keys_leave_rows(autojump_clock: MockClock) -> None:
    """Made, rotated and revoked: by whom, which one; refused tries, too; never the secret."""
    async with house() as there:
        ada = await there.log_in()
        bearer = f"Authorization: Bearer {ada.token}"

        async def call(method: str, path: str, sent: Any = None) -> Any:
            answer = await there.dispatch(
                head_of(method, path, bearer), b"" if sent is None else json.dumps(sent).encode()
            )
            return json.loads(answer.body) if answer.body else None

        keys = "/api/v1/auth/keys"
        made = await call("POST", keys, {"label": "report"})
        rotated = await call("POST", f"{keys}/{made['id']}/rotate")
        await call("GET", keys)
        await call("POST", keys, {"label": 7})
        await call("DELETE", f"{keys}/{made['id']}")
        found = await rows(there)
        assert [name_of(row) for row in found] == [
            (f"POST {keys}", f"{made['id']} scopes=read,write", 201),
            (f"POST {keys}/{{id}}/rotate", made["id"], 200),
            (f"POST {keys}", "", 400),
            (f"DELETE {keys}/{{id}}", made["id"], 204),
        ]
        assert {row.actor for row in found} == {ada.credential.principal.id}
        assert not [secret for secret in (made["key"], rotated["key"], ada.token) if secret in str(found)]


async def test_accounts_and_sessions_leave_rows(autojump_clock: MockClock) -> None:
    """From the sign-up to the end, with the id of the account, although nobody was logged in when it was made."""
    async with house(sign_up=SignUp.OPEN) as there:
        asked = json.dumps({"username": "ada", "password": PASSWORD}).encode()
        auth = "/api/v1/auth"
        made = json.loads((await there.dispatch(head_of("POST", auth + "/signup"), asked)).body)
        await there.dispatch(head_of("POST", auth + "/signup"), asked)
        user_id, bearer = made["user"]["id"], f"Authorization: Bearer {made['token']}"
        for method, path, sent in (
            ("PATCH", "/me", {"name": "Ada L."}),
            ("PATCH", "/me", {"password": "another horse", "present_password": "wrong"}),
            ("DELETE", "/sessions", None),
            ("DELETE", "/sessions/0192f3c4-0000-7000-8000-000000000000", None),
            ("POST", "/refresh", None),
            ("DELETE", "/me", {"password": PASSWORD}),
        ):
            await there.dispatch(
                head_of(method, auth + path, bearer), b"" if sent is None else json.dumps(sent).encode()
            )
        found = await rows(there)
        assert [(row.actor, *name_of(row)) for row in found] == [
            (user_id, f"POST {auth}/signup", user_id, 201),
            ("", f"POST {auth}/signup", "", 409),
            (user_id, f"PATCH {auth}/me", f"{user_id} name", 200),
            (user_id, f"PATCH {auth}/me", "", 403),
            (user_id, f"DELETE {auth}/sessions", user_id, 204),
            (user_id, f"DELETE {auth}/sessions/{{id}}", "0192f3c4-0000-7000-8000-000000000000", 404),
            (user_id, f"DELETE {auth}/me", user_id, 204),
        ]
        assert not [secret for secret in (PASSWORD, "another horse", made["token"]) if secret in str(found)]


async def test_what_is_made_is_named(autojump_clock: MockClock) -> None:
    """An account and an invitation that an administrator makes have no id in the path; the row has it."""
    async with house() as there:
        sent = {"username": "kim", "password": PASSWORD}
        kim = json.loads((await there.operate("POST", "/api/v1/admin/users", sent)).body)
        invitation = json.loads((await there.operate("POST", "/api/v1/admin/invitations", {})).body)
        found = await rows(there)
        assert [row.target for row in found] == [f"{kim['id']} role=member", f"{invitation['id']} role=member"]
        assert invitation["invitation"] not in str(found)


async def test_what_was_changed_of_an_account_is_told(autojump_clock: MockClock) -> None:
    """Power over the server in full; of a name and a password that they are others."""
    async with house() as there:
        kim = (await there.account("kim")).id
        for sent in ({"role": "admin", "disabled": False}, {"name": "Kimberley", "password": "another horse"}):
            assert (await there.operate("PATCH", f"/api/v1/admin/users/{kim}", sent)).status == 200
        found = await rows(there)
        assert [row.target for row in found] == [f"{kim} role=admin disabled=false", f"{kim} name password"]
        shown = body(await there.operate("GET", "/api/v1/admin/audit"))["rows"]
        assert {row["target_name"] for row in shown} == {"kim"}


async def test_the_way_back_from_a_provider_leaves_a_row(autojump_clock: MockClock) -> None:
    """Whose account it was, or whose it was to be; with a code where it came to nothing."""
    async with rig() as there:
        browser = there.browser()
        await browser.log_in("u1", preferred_username="ada")
        await browser.log_in("u2", "?link=true")
        await there.browser((await there.house.log_in("bob")).token).log_in("u1", "?link=true")
        await there.browser().get("/api/v1/auth/oidc/example/callback")
        first, linked, taken, stray = await rows(there.house)
        ada, bob = [
            user.id for name in ("ada", "bob") if (user := await there.house.store.accounts.find_username(name))
        ]
        assert [(row.actor, row.target, row.status, bool(row.code)) for row in (first, linked, taken, stray)] == [
            (ada, f"example {ada}", 303, False),
            (ada, f"example {ada}", 303, False),
            (bob, f"example {bob}", 303, True),
            ("", "example", 403, True),
        ]


# -- conversations ----------------------------------------------------------------------------------------------------


async def test_what_a_limit_turns_away_leaves_no_row(there: Town) -> None:
    """Else a guest would write as many rows, and commits, as it can send requests; what was let through leaves one each."""
    path = "/api/v1/conversations/den/bans/eve"
    statuses = [(await there.call("bob", "PUT", path, {})).status for _ in range(130)]
    let_through = statuses.count(403)
    assert 0 < let_through < statuses.count(403) + statuses.count(429) == len(statuses)
    assert len(await rows(there.house)) == let_through


async def test_an_admin_who_is_no_member_leaves_rows(there: Town) -> None:
    """What it changes by its power over the server stands in the server's log, and so does what owners and moderators do."""
    den = "/api/v1/conversations/den"
    await there.call("root", "PUT", den + "/members/eve", {"role": "moderator"})
    await there.call("root", "PUT", den + "/members/bob/mute", {"seconds": 60})
    await there.call("root", "PUT", den + "/bans/eve", {})
    await there.call("root", "PATCH", den, {"visibility": "public"})
    invite = body(await there.call("max", "POST", den + "/invites", {}))
    await there.call("max", "DELETE", f"{den}/invites/{invite['id']}")
    await there.call("bob", "DELETE", den + "/members/ada")
    await there.call("bob", "POST", den + "/leave", {})
    found = await rows(there.house)
    route = "/api/v1/conversations/{id}"
    assert [(row.actor, *name_of(row)) for row in found] == [
        ("root", f"PUT {route}/members/{{user}}", "den eve role=moderator", 200),
        ("root", f"PUT {route}/members/{{user}}/mute", "den bob seconds=60", 200),
        ("root", f"PUT {route}/bans/{{user}}", "den eve", 200),
        ("root", f"PATCH {route}", "den visibility", 200),
        ("max", f"POST {route}/invites", f"den {invite['id']}", 201),
        ("max", f"DELETE {route}/invites/{{invite}}", f"den {invite['id']}", 204),
        ("bob", f"DELETE {route}/members/{{user}}", "den ada", 403),
    ]
    assert invite["token"] not in str(found)


async def test_commands_leave_the_rows_of_their_routes(there: Town) -> None:
    """Who, whom, where, and what came of it; one that names nobody, too. The reply comes when the row is there."""
    root = await client(there, "root")
    assert (await root.rpc("ban", user="bob"))["banned"] is True
    [row] = await rows(there.house)
    assert (name_of(row), bool(row.request_id)) == (("rpc ban", "den bob", 200), True)
    await root.rpc("mute", user="eve", seconds=60)
    await root.rpc("member_put", user="eve", role="viewer", seconds="many")
    muted, put = (await rows(there.house))[1:]
    assert name_of(muted) == ("rpc mute", "den eve seconds=60", 200)
    assert name_of(put) == ("rpc member_put", "den eve role=viewer", 200)
    bob = await client(there, "bob")
    await bob.error("member_remove", user="ada")
    await bob.error("unban", conversation=None, user="bob")
    found = await rows(there.house)
    assert [(row.actor, *name_of(row), row.code) for row in found[3:]] == [
        ("bob", "rpc member_remove", "den ada", 404, "not_found"),
        ("bob", "rpc unban", "bob", 400, "invalid_request"),
    ]


# -- room -------------------------------------------------------------------------------------------------------------


async def test_others_leave_room_for_administrators(there: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the store is away and many change members, those are refused first; an administrator still can act."""
    auditor = there.house.api.watch.auditor
    assert auditor is not None
    max_ = await client(there, "max")

    async def away(_: object) -> None:
        raise StoreUnavailable

    with monkeypatch.context() as patched:
        patched.setattr(there.house.store.audit, "add", away)
        for _ in range(OTHERS_ROWS):
            auditor.promise(runs_server=False)
        assert (await there.call("max", "PUT", "/api/v1/conversations/den/bans/bob", {})).status == 503
        assert await max_.error("ban", user="bob") == WIRE["overloaded"].reply_code
        assert (await there.call("max", "POST", "/api/v1/conversations/den/messages", {"text": "hi"})).status == 201
        assert (await there.call("root", "PUT", "/api/v1/conversations/den/bans/bob", {})).status == 200


# -- names ------------------------------------------------------------------------------------------------------------


async def test_rows_are_shown_with_names(autojump_clock: MockClock) -> None:
    """Of accounts their user names, of guests what they call themselves and that they are guests, of deleted ones none."""
    async with house() as there:
        root, kim, lee = [
            (await there.account(name, role)).id
            for name, role in (("root", ServerRole.ADMIN), ("kim", ServerRole.MEMBER), ("lee", ServerRole.MEMBER))
        ]
        bearer = f"Authorization: Bearer {(await there.log_in('root')).token}"
        users = "/api/v1/admin/users/"
        await there.dispatch(head_of("PATCH", users + kim, bearer), b'{"disabled":true}')
        await there.dispatch(head_of("DELETE", users + lee, bearer))
        await there.call("PATCH", "/api/v1/auth/me", {"name": "root"})
        await there.operate("DELETE", users + "nobody")
        await there.dispatch(head_of("PUT", f"/api/v1/conversations/lobby/bans/{kim}", bearer), b"{}")
        await there.dispatch(head_of("POST", f"/api/v1/conversations/{kim}/invites", bearer), b"{}")
        found = json.loads((await there.dispatch(head_of("GET", "/api/v1/admin/audit", bearer))).body)["rows"]
        named = [(row["actor_name"], row["target_name"]) for row in found[::-1]]
        guest = "root (guest)"
        assert named == [("root", "kim"), ("root", None), (guest, guest), (None, None), ("root", "kim"), ("root", None)]
        assert found[-1]["actor"] == root


@pytest.mark.parametrize(
    ("action", "target", "user"),
    [
        ("PATCH /api/v1/admin/users/{id}", "u", "u"),
        ("DELETE /api/v1/admin/users/{id}/sessions", "u", "u"),
        ("PATCH /api/v1/admin/users/{id}", "u role=admin", "u"),
        ("POST /api/v1/auth/signup", "u", "u"),
        ("PUT /api/v1/conversations/{id}/bans/{user}", "room u v", "u v"),
        ("PUT /api/v1/conversations/{id}/members/{user}/mute", "room u", "u"),
        ("rpc ban", "room u", "u"),
        ("GET /api/v1/auth/oidc/{provider}/callback", "google u", "u"),
        ("POST /api/v1/conversations/{id}/invites", "u i", ""),
        ("DELETE /api/v1/auth/sessions/{id}", "u", ""),
        ("DELETE /api/v1/auth/keys/{id}", "u", ""),
        ("config.reload", "u", ""),
    ],
)
def test_whom_a_row_is_about(action: str, target: str, user: str) -> None:
    """Only what its action says is a user's id is taken for one."""
    row = AuditRow(id=uuid7(1, 1), at_ms=1, actor="", action=action, target=target, status=200)
    assert user_of(row) == user


async def test_people_of_an_embedding_program_are_shown_by_their_ids(there: Town) -> None:
    """They have no accounts here that could be looked up."""
    there.has(person("Zoe"))
    await there.call("zoe", "PUT", "/api/v1/conversations/den/bans/bob", {})
    [row] = body(await there.house.operate("GET", "/api/v1/admin/audit"))["rows"]
    assert (row["actor"], row["actor_name"], row["target"], row["target_name"]) == ("zoe", None, "den bob", None)
