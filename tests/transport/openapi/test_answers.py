"""Real answers of every route, held against what the document says of them, in which nothing unsaid may stand.

A new route needs one line in `CALLS` for each of its answers that is no error; the refusals that any route has are provoked for
all of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import attrs
import jsonschema
import pytest

from hubbub.engine import Principal, Role, Visibility
from hubbub.engine.core.ids import ConversationId
from hubbub.engine.core.permissions import Access
from hubbub.engine.core.principals import Scope
from hubbub.engine.identity.records import TokenKind
from hubbub.testing.store_contract.invites import invite
from hubbub.transport.endpoints import ROUTES
from hubbub.transport.http_message import Response
from hubbub.transport.identity.settings import SignUp
from hubbub.transport.openapi.document import document
from hubbub.transport.routes import Matched, Route
from hubbub.transport.security_txt import SecurityTxtSettings

from ..configuration import Written
from ..house import OPERATOR_TOKEN, PASSWORD, House, head_of, house, quarantine
from ..oidc_rig import furnish

DEN = "/api/v1/conversations/den"
MADE = invite(conversation=ConversationId("den"), role=Role.VIEWER, expires_at_ms=2**42)
OFFER = invite(conversation=ConversationId("club"), digest=sha256(b"token").digest(), made_as=None, expires_at_ms=2**42)
MESSAGE = {"text": "hi", "meta": {"a": 1}, "reply_to": "01890000-0000-7000-8000-000000000000"}


@attrs.frozen
class Ask:
    """One call and the status that it ends with; `admin` calls with the operator's token, `account` with an account's session.

    The house has a room `den` of the caller's, with a message in it, and the room `ill`, which is quarantined. A `body` may be
    made from the house. In a path KEY, SESSION, USER, NAME (of a user), INVITATION and IDENTITY stand for one that is there, in
    a body SETUP for the token of the link."""

    method: str
    path: str
    status: int = 200
    body: Any = None
    headers: tuple[str, ...] = ()
    admin: bool = False
    account: bool = False


@attrs.frozen
class Listener:
    """A stream over HTTP that takes every command."""

    principal: Principal
    by_request: bool = False

    def offer(self, commands: bytes) -> None:
        """Do nothing."""


def a_command(there: House) -> dict[str, str]:
    """For a stream of the caller's that is open."""
    found: list[Any] = []
    there.api.auth.check(there.token, found.append)  # remembered, so answered at once
    return {"session": there.api.emulated.open(Listener(found[0].principal)), "data": "{}"}


AUTH = "/api/v1/auth"
ADMIN = "/api/v1/admin"
CALLBACK = AUTH + "/oidc/example/callback"
WHO = {"username": "grace", "password": PASSWORD}

CALLS = [
    Ask("GET", "/health"),
    Ask("GET", "/health/ready"),
    Ask("GET", "/api/v1/version"),
    Ask("GET", "/openapi.json"),
    Ask("GET", "/openapi.json", 304, headers=("If-None-Match: *",)),
    Ask("POST", "/api/v1/setup", 201, {**WHO, "username": "root", "token": "SETUP"}),
    Ask("POST", "/api/v1/setup", 409, {**WHO, "token": "SETUP"}),
    Ask("POST", AUTH + "/guest", 201, {"name": "Ada"}),
    Ask("POST", AUTH + "/signup", 201, {**WHO, "name": "Grace"}),
    Ask("POST", AUTH + "/signup", 409, WHO),
    Ask("POST", AUTH + "/signup", 404, {**WHO, "username": "x", "invitation": "hbi_wrong"}),
    Ask("POST", AUTH + "/login", 200, WHO),
    Ask("POST", AUTH + "/login", 401, {**WHO, "password": "wrong horse"}),
    Ask("GET", AUTH + "/session"),
    Ask("GET", AUTH + "/session", headers=("Authorization: Bearer wrong",)),
    Ask("GET", AUTH + "/me"),
    Ask("GET", AUTH + "/me", account=True),
    Ask("PATCH", AUTH + "/me", 200, {"name": "Countess"}, account=True),
    Ask("PATCH", AUTH + "/me", 200, {"password": PASSWORD, "present_password": PASSWORD}, account=True),
    Ask("GET", AUTH + "/sessions", account=True),
    Ask("DELETE", AUTH + "/sessions/SESSION", 204, account=True),
    Ask("DELETE", AUTH + "/sessions", 204, account=True),
    Ask("POST", AUTH + "/keys", 201, {"label": "ci", "scopes": ["read"], "expires_in_s": 60}, account=True),
    Ask("GET", AUTH + "/keys", account=True),
    Ask("GET", AUTH + "/keys/KEY", account=True),
    Ask("POST", AUTH + "/keys/KEY/rotate", 200, {"overlap_s": 1}, account=True),
    Ask("DELETE", AUTH + "/keys/KEY", 204, account=True),
    Ask("POST", AUTH + "/refresh", account=True),
    Ask("POST", AUTH + "/logout", 204, account=True),
    Ask("DELETE", AUTH + "/me", 204, {"password": PASSWORD}, account=True),
    Ask("GET", AUTH + "/oidc"),
    Ask("GET", AUTH + "/oidc/example/login?return_to=/", 302),
    Ask("GET", AUTH + "/oidc/example/login?link=true", 302, account=True),
    Ask("GET", AUTH + "/oidc/example/login?link=true", 401, headers=("Authorization: Bearer wrong",)),
    Ask("GET", CALLBACK, 303),
    Ask("GET", CALLBACK + "?state=unknown", 403),
    Ask("GET", AUTH + "/identities", account=True),
    Ask("DELETE", AUTH + "/identities/IDENTITY", 204, account=True),
    Ask("GET", "/api/v1/users/NAME", account=True),
    Ask("GET", "/api/v1/users/nobody.here", 404, account=True),
    Ask("GET", ADMIN + "/users?limit=1&guests=true&matching=e", admin=True),
    Ask("POST", ADMIN + "/users", 201, {**WHO, "username": "carl", "role": "admin"}, admin=True),
    Ask("GET", ADMIN + "/users/USER", admin=True),
    Ask("PATCH", ADMIN + "/users/USER", 200, {"disabled": True, "role": "admin"}, admin=True),
    Ask("PATCH", ADMIN + "/users/USER", 200, {"disabled": False, "password": "another horse"}, admin=True),
    Ask("DELETE", ADMIN + "/users/USER/sessions", 204, admin=True),
    Ask("DELETE", ADMIN + "/users/USER", 204, admin=True),
    Ask("POST", ADMIN + "/invitations", 201, {"role": "member", "label": "for Bob"}, admin=True),
    Ask("GET", ADMIN + "/invitations", admin=True),
    Ask("DELETE", ADMIN + "/invitations/INVITATION", 204, admin=True),
    Ask("GET", "/api/v1/conversations"),
    Ask("GET", "/api/v1/conversations?limit=1&after=a"),
    Ask("POST", "/api/v1/conversations", 201, {}),
    Ask("POST", "/api/v1/conversations", 201, {"id": "x", "title": "X", "visibility": "public", "kind": "announcement"}),
    Ask("POST", "/api/v1/conversations", 409, {"id": "den"}),
    Ask("GET", DEN),
    Ask("PATCH", DEN, 200, {"title": "The den", "slow_s": 0}, ("If-Match: *",)),
    Ask("PATCH", DEN, 412, {"title": "The den"}, ('If-Match: "other"',)),
    Ask("GET", DEN + "/messages?after=0&limit=2"),
    Ask("POST", DEN + "/messages", 201, MESSAGE, ("Idempotency-Key: k",)),
    Ask("POST", DEN + "/messages", 422, {"text": ""}),
    Ask("GET", DEN + "/presence"),
    Ask("POST", DEN + "/typing", 204),
    Ask("GET", DEN + "/members?limit=5&after=a"),
    Ask("GET", DEN + "/members"),
    Ask("GET", DEN + "/members/bob"),
    Ask("PUT", DEN + "/members/bob", 200, {"role": "viewer"}),
    Ask("PUT", DEN + "/members/bob", 400, {"role": "king"}),
    Ask("PUT", DEN + "/members/bob/mute", 200, {"seconds": 60}),
    Ask("PUT", DEN + "/members/bob/mute", 204, {"seconds": 0}),
    Ask("DELETE", DEN + "/members/bob/mute", 204),
    Ask("DELETE", DEN + "/members/bob", 204),
    Ask("PUT", DEN + "/bans/bob", 200),
    Ask("PUT", DEN + "/members/bob", 409, {"role": "viewer"}),
    Ask("GET", DEN + "/bans?limit=5"),
    Ask("DELETE", DEN + "/bans/bob", 204),
    Ask("POST", "/api/v1/conversations/lobby/join"),
    Ask("POST", "/api/v1/conversations/lobby/leave", 204),
    Ask("POST", DEN + "/leave", 409),
    Ask("POST", DEN + "/hide", 409),  # its 204: test_member_calls
    Ask("POST", DEN + "/invites", 201, {"role": "viewer", "ttl_s": 60, "bound_to": "bob"}),
    Ask("POST", DEN + "/invites", 422, {"ttl_s": 1}),
    Ask("GET", DEN + "/invites?limit=5"),
    Ask("DELETE", f"{DEN}/invites/{MADE.id}", 204),
    Ask("GET", "/api/v1/invites/token"),
    Ask("POST", "/api/v1/invites/token/accept"),
    Ask("GET", "/api/v1/invites/token", 410),
    Ask("PUT", "/api/v1/blocks/bob"),
    Ask("GET", "/api/v1/blocks?limit=5&after=a"),
    Ask("DELETE", "/api/v1/blocks/bob", 204),
    Ask("POST", "/emulation", 204, a_command),
    Ask("GET", "/metrics", admin=True),
    Ask("GET", "/api/v1/admin/tree", admin=True),
    Ask("GET", "/api/v1/admin/rooms?limit=2", admin=True),
    Ask("GET", "/api/v1/admin/figures", admin=True),
    Ask("GET", "/api/v1/admin/quarantined", admin=True),
    Ask("GET", "/api/v1/admin/audit?limit=2", admin=True),
    Ask("DELETE", "/api/v1/admin/quarantined/ill", 204, admin=True),
    Ask("GET", "/api/v1/admin/config", admin=True),
    Ask("PUT", "/api/v1/admin/config", body={"access": {"guests": True}}, admin=True),
    Ask("GET", "/.well-known/security.txt"),
    Ask("GET", "/api/v1/admin/limits", admin=True),
    Ask("PUT", "/api/v1/admin/limits/read", 200, {"rate": 90, "period_s": 1, "burst": 90}, admin=True),
    Ask("PUT", "/api/v1/admin/limits/read", 400, {"rate": 0, "period_s": 1, "burst": 90}, admin=True),
    Ask("DELETE", "/api/v1/admin/limits/read", admin=True),
    Ask("POST", AUTH + "/upgrade", 201, {**WHO, "username": "eve"}),  # the last: its token is another one
]  # fmt: skip


def closed(schema: Any) -> Any:
    """A schema under which a property that it does not name is an error."""
    if isinstance(schema, dict):
        found = {name: closed(each) for name, each in schema.items()}
        if "properties" in found and isinstance(found["properties"], dict) and found.get("type") == "object":
            found.setdefault("additionalProperties", False)
        return found
    return [closed(each) for each in schema] if isinstance(schema, list) else schema


DOCUMENT = closed(json.loads(json.dumps(document(ROUTES.routes))))


def validate(route: Route, answer: Response) -> None:
    """Hold an answer against the document."""
    told = DOCUMENT["paths"][route.path][route.method.lower()]["responses"]
    assert str(answer.status) in told, f"{route.method} {route.path}: {answer.status} {answer.body!r} is not documented"
    response = told[str(answer.status)]
    if "$ref" in response:
        response = DOCUMENT["components"]["responses"][response["$ref"].rpartition("/")[2]]
    headers = dict(answer.headers)
    allowed = {name.lower() for name in response["headers"]}
    everywhere = {"content-type", "cache-control", "allow"}
    assert headers.keys() - allowed <= everywhere, f"{route.method} {route.path} sends headers that nobody told of"
    if "content" not in response:
        assert answer.body == b""
        return
    media_type = headers["content-type"].partition(";")[0]
    assert media_type in response["content"]
    if media_type.endswith("json"):
        body = json.loads(answer.body)
        if media_type.startswith("application/problem"):
            body["request_id"] = "r1"  # put in where the answer is written
        schema = {**response["content"][media_type]["schema"], "components": DOCUMENT["components"]}
        jsonschema.Draft202012Validator(schema).validate(body)


@asynccontextmanager
async def furnished() -> AsyncIterator[House]:
    async with house(sign_up=SignUp.OPEN) as there:
        for body in ({"id": "den"}, {"id": "ill"}):
            assert (await there.call("POST", "/api/v1/conversations", body)).status == 201
        assert (await there.call("POST", DEN + "/messages", MESSAGE)).status == 201
        await there.engine.create("club", visibility=Visibility.PRIVATE)
        await there.engine.conversation("den").members.put("bob")
        for made in (MADE, OFFER):
            await there.store.invites.add(made, most=1)
        await quarantine(there.engine, "ill")
        there.api = attrs.evolve(there.api, configuration=Written())
        contact = SecurityTxtSettings(contact=("mailto:a@example.org",), expires=datetime(2030, 1, 1, tzinfo=UTC))
        there.api.live.replace(attrs.evolve(there.api.live.current, security_txt=contact))
        furnish(there)
        yield there


async def ask(there: House, each: Ask) -> tuple[Route, Response]:
    matched = there.api.match(each.method, each.path.partition("?")[0])
    assert isinstance(matched, Matched), f"there is no {each.method} {each.path}"
    if each.path == CALLBACK:
        return matched.route, await furnish(there).browser().log_in("somebody")
    path, body = await filled(there, each)
    if each.admin:
        head = head_of(each.method, path, f"Authorization: Bearer {OPERATOR_TOKEN}", *each.headers)
        return matched.route, await there.dispatch(head, b"" if body is None else json.dumps(body).encode())
    headers = each.headers
    if each.account:
        headers = (f"Authorization: Bearer {(await there.log_in()).token}", *headers)
    elif not any(header.startswith("Authorization") for header in headers):
        headers = (f"Authorization: Bearer {there.token}", *headers)
    head = head_of(each.method, path, *headers)
    return matched.route, await there.dispatch(head, b"" if body is None else json.dumps(body).encode())


async def filled(there: House, each: Ask) -> tuple[str, Any]:
    """Path and body of a call, with what stands there for something of this house."""
    body = {**each.body, "token": there.setup.token or "used"} if each.path == "/api/v1/setup" else each.body
    body = body(there) if callable(body) else body
    found = re.search("KEY|SESSION|USER|NAME|INVITATION|IDENTITY", each.path)
    if found is None:
        return each.path, body
    accounts, people = there.store.accounts, there.api.accounts
    match found[0]:
        case "KEY":
            ada = (await there.log_in()).credential
            await people.make_key(ada, "", frozenset({Scope.READ}), None, there.api.live.current.identity)
            name = (await accounts.list_tokens(ada.principal.id, TokenKind.KEY))[0].id
        case "SESSION":
            name = (await there.log_in()).credential.token_id
        case "USER":
            name = (await there.account("ida")).id
        case "NAME":
            name = (await there.account("ida")).username or ""
        case "IDENTITY":
            ada = (await there.log_in()).credential
            assert await furnish(there).browser((await there.log_in()).token).log_in("ada", "?link=true")
            name = (await accounts.identities.of(ada.principal.id))[0].id
        case _:
            name = (await accounts.list_invitations(limit=1))[0].id
    return each.path.replace(found[0], name), body


async def test_real_answers_are_as_the_document_says(autojump_clock) -> None:
    """Every route, every way in which it ends well: status, headers, type and schema."""
    seen: set[tuple[str, str, int]] = set()
    async with furnished() as there:
        for each in CALLS:
            route, answer = await ask(there, each)
            assert answer.status == each.status, (each, answer)
            validate(route, answer)
            seen.add((route.method, route.path, answer.status))
    assert {call[:2] for call in seen} == {(route.method, route.path) for route in ROUTES.routes if not route.stream}


async def test_readiness_while_it_drains(autojump_clock) -> None:
    """503 with a body of its own."""
    async with house() as there:
        there.engine.drain()
        route, answer = await ask(there, Ask("GET", "/health/ready"))
        assert answer.status == 503
        validate(route, answer)


def _targets(route: Route) -> set[str]:
    """Paths whose names exist nowhere, or could not."""
    return {re.sub(r"\{\w+\}", name, route.path) for name in ("nobody-home", "%20", "x" * 200, "%C3%A9")}


@pytest.mark.parametrize(
    "route", [route for route in ROUTES.routes if not route.stream], ids=lambda r: r.endpoint.__name__
)
async def test_refusals_are_as_the_document_says(autojump_clock, route: Route) -> None:
    """Nobody, a wrong token, the wrong role, names that do not exist, a bad query, a bad body: all documented."""
    async with furnished() as there:
        for target in _targets(route):
            try:
                plain = head_of(route.method, target)
            except Exception:  # noqa: BLE001  no such path can be sent
                continue
            wrong = head_of(route.method, target, "Authorization: Bearer wrong")
            query = head_of(route.method, target + "?limit=x&after=%00", f"Authorization: Bearer {there.token}")
            for head in (plain, wrong, query):
                matched = there.api.match(head.method, head.path)
                if isinstance(matched, Matched):
                    answer = await there.dispatch(head, b"{" if route.max_body_bytes else b"")
                    validate(matched.route, answer)
            if route.access is not Access.ANYONE and isinstance(there.api.match(plain.method, plain.path), Matched):
                assert (await there.dispatch(plain)).status == 401
