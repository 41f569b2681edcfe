"""The calls of people about themselves: getting in, who they are, their sessions, their account."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Final

import attrs

from ..engine import EngineError, Forbidden, InvalidCommand, NotFound
from ..engine.core import codec
from ..engine.core.errors import ClientError
from ..engine.core.permissions import Access
from ..engine.core.principals import Scope
from ..engine.identity import rules
from ..engine.identity.records import TokenKind
from .answers import about, json_response, problem_of
from .api import Api
from .auth import Credential
from .call import Call
from .credentials import bearer_of, cookie_of
from .guesses import guessing_login, guessing_present
from .http_message import READ_METHODS, RequestHead, Response
from .http_route import Respond
from .identity.accounts import Application
from .identity.answers import CLEAR_COOKIE, NO_CONTENT, account_json, logged_in, session_json, whoami
from .identity.tokens import Issued
from .limit_settings import Action
from .lobby import open_lobby
from .openapi import shapes_identity as shapes
from .openapi.doc import Doc
from .routes import Endpoint, Route

BODY_BYTES: Final = 4096
_AUTH: Final = "/api/v1/auth"
OK: Final = HTTPStatus.OK.value
CREATED: Final = HTTPStatus.CREATED.value


# -- getting in -------------------------------------------------------------------------------------------------------


def set_up(api: Api, call: Call, respond: Respond) -> None:
    """Make the first administrator.

    Needs the token of the link that `serve` has printed; 409 ever after.
    """
    fields, settings = call.body(), call.settings.identity
    token = codec.require_text(fields, "token")
    asked = application(call, fields)

    async def make() -> Issued:
        issued = await api.accounts.make_first_admin(token, asked, settings)
        with suppress(EngineError):  # the account is made: the next start makes the lobby
            await open_lobby(api.engine)
        return issued

    _log_in_later(api, call, respond, CREATED, make)


def sign_up(api: Api, call: Call, respond: Respond) -> None:
    """Make an account and log in.

    Who may is the setting `access.sign_up`: anyone, the invited, or nobody.
    """
    asked, policy, settings = application(call, call.body()), call.settings.access.sign_up, call.settings.identity
    _log_in_later(api, call, respond, CREATED, lambda: api.accounts.sign_up(asked, policy, settings))


def log_in(api: Api, call: Call, respond: Respond) -> None:
    """Log in.

    Whatever is wrong, the answer is the same and takes as long. The token is shown this once; the same comes in an HttpOnly
    cookie for browsers. Of more sessions than a user may have, the oldest is over.
    """
    fields = call.body()
    username, password = codec.require_text(fields, "username"), codec.require_text(fields, "password")
    label, address = _program(call), api.admission.addresses.of(call.request.peer, call.request.head)

    async def check() -> Issued:
        with guessing_login(api.admission.limits, username, address):
            return await api.accounts.log_in(username, password, label)

    _log_in_later(api, call, respond, OK, check)


def become_guest(api: Api, call: Call, respond: Respond) -> None:
    """Become a guest.

    The token is shown this once; the same comes in an HttpOnly cookie for browsers.
    """
    if not call.settings.access.guests:
        raise Forbidden("guests are not admitted here")
    name, label = codec.require_text(call.body(), "name"), _program(call)
    _log_in_later(api, call, respond, CREATED, lambda: api.accounts.tokens.issue_guest(name, label))


def upgrade(api: Api, call: Call, respond: Respond) -> None:
    """Become an account as a guest.

    The id stays, and with it all that the guest owns. The session gets another token; the one before is good for 30 seconds.
    """
    credential, token = _own_token(call)
    asked, policy, settings = application(call, call.body()), call.settings.access.sign_up, call.settings.identity
    _log_in_later(api, call, respond, CREATED, lambda: api.accounts.upgrade(credential, token, asked, policy, settings))


def refresh(api: Api, call: Call, respond: Respond) -> None:
    """Give one's session another token.

    The one before is good for 30 seconds; shown later, it ends the session: somebody has copied it.
    """
    credential, token = _own_token(call)
    rotate = api.accounts.tokens.rotate_session
    _log_in_later(api, call, respond, OK, lambda: rotate(credential, token, expires_at_ms=credential.expires_at_ms))


def log_out(api: Api, call: Call, respond: Respond) -> None:
    """End the session that this is asked with."""
    credential, _ = _own_token(call)

    async def end() -> Response:
        await api.accounts.tokens.end(credential.principal.id, only=credential.token_id)
        return Response(HTTPStatus.NO_CONTENT.value, (CLEAR_COOKIE,))

    api.later(end, respond)


def _log_in_later(api: Api, call: Call, respond: Respond, status: int, issue: Callable[[], Awaitable[Issued]]) -> None:
    head = call.request.head

    async def work() -> Response:
        issued = await issue()
        user_id = issued.credential.principal.id
        return about(logged_in(status, issued, head, api.engine.now_ms(), secure=api.secure), user_id, by=user_id)

    api.later(work, respond)


def application(call: Call, fields: Mapping[str, Any]) -> Application:
    return Application(
        username=codec.require_text(fields, "username"),
        password=codec.require_text(fields, "password"),
        name=codec.get_text(fields, "name"),
        invitation=codec.get_text(fields, "invitation"),
        label=_program(call),
    )


def _program(call: Call) -> str:
    return rules.program_label(call.request.head.header("user-agent"))


def own(call: Call) -> Credential:
    """The credential that a call came with.

    Raises:
        Unauthenticated: none, on an open endpoint.
    """
    assert call.credential is not None, "the route asks for a principal"
    return call.credential


def _own_token(call: Call) -> tuple[Credential, str]:
    """The session that a call came with, and its token.

    Raises:
        Forbidden: it is no session of ours.
    """
    credential = own(call)
    if credential.kind is not TokenKind.SESSION:
        raise Forbidden("this is for sessions: keys are revoked and rotated under auth/keys")
    return credential, _token_of(call.request.head)


def _token_of(head: RequestHead) -> str:
    token = bearer_of(head)
    return token if token is not None else cookie_of(head) or ""


# -- who one is -------------------------------------------------------------------------------------------------------


def me(api: Api, call: Call, respond: Respond) -> None:
    """Who the credential stands for."""
    respond(json_response(OK, codec.encode_json(whoami(call.request.head, own(call)))))


def show_session(api: Api, call: Call, respond: Respond) -> None:
    """Who is here, if anybody.

    As `me`, but 200 for nobody too: a page asks it to find out whether somebody is logged in.
    """
    head = call.request.head

    def found(credential: Credential | EngineError) -> None:
        if isinstance(credential, ClientError):
            respond(json_response(OK, b'{"user":null}'))
        elif isinstance(credential, EngineError):
            respond(problem_of(credential))
        else:
            respond(json_response(OK, codec.encode_json(whoami(head, credential))))

    api.authenticate(head, found)


def change_me(api: Api, call: Call, respond: Respond) -> None:
    """Take another name or another password.

    Another password ends every other session; keys stay.
    """
    fields, credential, settings = call.body(), own(call), call.settings.identity
    name, password = codec.get_text(fields, "name"), codec.get_text(fields, "password")
    if (name is None) == (password is None):
        raise InvalidCommand("either 'name' or 'password' is to be changed")
    present = codec.require_text(fields, "present_password") if password is not None else ""

    async def change() -> Response:
        if password is not None:
            with guessing_present(api.admission.limits, credential.principal.id):
                user = await api.accounts.change_password(credential, present, password, settings)
        else:
            assert name is not None
            user = await api.accounts.rename(credential, name)
        changed = "name" if password is None else "password"
        return about(json_response(OK, codec.encode_json({"user": account_json(user)})), f"{user.id} {changed}")

    api.later(change, respond)


def close_account(api: Api, call: Call, respond: Respond) -> None:
    """Delete one's own account.

    What is known of its person goes, with every session and key; what was written stays.
    """
    credential, password = own(call), codec.require_text(call.body(), "password")

    async def close() -> Response:
        with guessing_present(api.admission.limits, credential.principal.id):
            await api.accounts.close_own(credential, password)
        return about(Response(HTTPStatus.NO_CONTENT.value, (CLEAR_COOKIE,)), credential.principal.id)

    api.later(close, respond)


# -- sessions ---------------------------------------------------------------------------------------------------------


def list_sessions(api: Api, call: Call, respond: Respond) -> None:
    """List one's own sessions."""
    credential = own(call)

    async def read() -> Response:
        found = await api.accounts.store.list_tokens(credential.principal.id, TokenKind.SESSION)
        return json_response(OK, codec.encode_json({"sessions": [session_json(one, credential) for one in found]}))

    api.later(read, respond)


def end_session(api: Api, call: Call, respond: Respond) -> None:
    """End one of one's own sessions, with all that is open under it."""
    user_id, session_id = call.principal.id, call.params["id"]

    async def end() -> Response:
        if not await api.accounts.tokens.end(user_id, kind=TokenKind.SESSION, only=session_id):
            raise NotFound("no such session")
        return NO_CONTENT

    api.later(end, respond)


def end_other_sessions(api: Api, call: Call, respond: Respond) -> None:
    """End all of one's own sessions but the one that asks."""
    credential = own(call)

    async def end() -> Response:
        await api.accounts.tokens.end(credential.principal.id, kind=TokenKind.SESSION, keep=credential.token_id)
        return about(NO_CONTENT, credential.principal.id)

    api.later(end, respond)


def _route(
    method: str,
    path: str,
    endpoint: Endpoint,
    doc: Doc,
    *,
    access: Access = Access.PRINCIPAL,
    scope: Scope = Scope.ACCOUNT,
    action: Action | None = None,
    control: bool = True,
) -> Route:
    route = Route(
        method=method,
        path=path,
        endpoint=endpoint,
        access=access,
        scope=scope,
        max_body_bytes=BODY_BYTES if doc.body is not None else 0,
        doc=doc,
        control=control and method not in READ_METHODS,
    )
    return route if action is None else attrs.evolve(route, action=action)


def _entrance(
    path: str, endpoint: Endpoint, action: Action, body: type, status: int, *problems: str, control: bool = True
) -> Route:
    """A call that gives a session to somebody who has none; `control`: with an account."""
    doc = Doc(
        tag=_TAG,
        body=body,
        answer=shapes.Issued,
        status=status,
        answer_headers=("Set-Cookie",),
        problems=("store_unavailable", "outcome_unknown", *problems),
    )
    return _route("POST", path, endpoint, doc, access=Access.ANYONE, action=action, control=control)


_TAG: Final = "Identity"
_TAKEN: Final = ("conflict", "not_found")

ACCOUNT_ROUTES: Final = (
    _entrance("/api/v1/setup", set_up, Action.LOGIN, shapes.SetUp, CREATED, "conflict"),
    _entrance(_AUTH + "/signup", sign_up, Action.SIGN_UP, shapes.SignUp, CREATED, *_TAKEN),
    _entrance(_AUTH + "/login", log_in, Action.LOGIN, shapes.Login, OK, "unauthenticated", control=False),
    _entrance(_AUTH + "/guest", become_guest, Action.GUEST, shapes.NewGuest, CREATED, control=False),
    _route(
        "POST",
        _AUTH + "/upgrade",
        upgrade,
        Doc(
            tag=_TAG,
            body=shapes.SignUp,
            answer=shapes.Issued,
            status=CREATED,
            answer_headers=("Set-Cookie",),
            problems=_TAKEN,
        ),
        action=Action.SIGN_UP,
    ),
    _route(
        "POST",
        _AUTH + "/refresh",
        refresh,
        Doc(tag=_TAG, answer=shapes.Issued, answer_headers=("Set-Cookie",)),
        scope=Scope.READ,
        control=False,
    ),
    _route(
        "POST",
        _AUTH + "/logout",
        log_out,
        Doc(tag=_TAG, status=204, answer_headers=("Set-Cookie",)),
        scope=Scope.READ,
        control=False,
    ),
    _route(
        "GET",
        _AUTH + "/session",
        show_session,
        Doc(tag=_TAG, answer=shapes.Present, problems=("store_unavailable",)),
        access=Access.ANYONE,
    ),
    _route("GET", _AUTH + "/me", me, Doc(tag=_TAG, answer=shapes.Me), scope=Scope.READ),
    _route(
        "PATCH",
        _AUTH + "/me",
        change_me,
        Doc(tag=_TAG, body=shapes.OwnChange, answer=shapes.OwnAccount, problems=("not_found",)),
    ),
    _route(
        "DELETE",
        _AUTH + "/me",
        close_account,
        Doc(
            tag=_TAG,
            body=shapes.Confirmation,
            status=204,
            answer_headers=("Set-Cookie",),
            problems=("conflict", "not_found"),
        ),
        access=Access.ACCOUNT,
    ),
    _route("GET", _AUTH + "/sessions", list_sessions, Doc(tag=_TAG, answer=shapes.Sessions)),
    _route("DELETE", _AUTH + "/sessions", end_other_sessions, Doc(tag=_TAG, status=204)),
    _route(
        "DELETE",
        _AUTH + "/sessions/{id}",
        end_session,
        Doc(tag=_TAG, status=204, params=shapes.IDS, problems=("unprocessable",)),
    ),
)
