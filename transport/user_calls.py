"""The calls of administrators about other people's accounts, and invitations to sign up."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from ..engine import InvalidCommand, NotFound
from ..engine.core import codec
from ..engine.core.ids import display_name
from ..engine.core.permissions import Access
from ..engine.core.principals import Scope, ServerRole
from ..engine.core.session import page_limit
from ..engine.identity import rules
from ..engine.identity.records import Invitation, UserChange
from .account_calls import BODY_BYTES, application, own
from .answers import about, json_response
from .api import Api
from .call import Call
from .http_message import Response
from .http_route import Respond
from .identity.answers import NO_CONTENT, account_json
from .member_calls import page_start
from .openapi import shapes_identity as shapes
from .openapi.doc import Doc
from .routes import Endpoint, Route

_USERS: Final = "/api/v1/admin/users"
_INVITATIONS: Final = "/api/v1/admin/invitations"
_PAGE: Final = 100
_INVITATIONS_SHOWN: Final = 500
_GIVEN_ROLES: Final = (ServerRole.ADMIN, ServerRole.MEMBER)
OK: Final = HTTPStatus.OK.value
CREATED: Final = HTTPStatus.CREATED.value


def list_users(api: Api, call: Call, respond: Respond) -> None:
    """List accounts by id.

    Guests are left out unless they are asked for. `next` is the `after` of the next page.
    """
    limit = page_limit(call.number("limit"), _PAGE, _PAGE)
    after, guests = page_start(call.query.get("after")), call.query.get("guests", "false")
    if guests not in ("true", "false"):
        raise InvalidCommand("'guests' must be true or false")
    matching = call.query.get("matching")

    async def read() -> Response:
        found = await api.accounts.store.list_users(
            after=after, limit=limit, guests=guests == "true", matching=matching
        )
        body = {
            "users": [account_json(user) for user in found],
            "next": found[-1].id if len(found) == limit else None,
        }
        return json_response(OK, codec.encode_json(body))

    api.later(read, respond)


def show_user(api: Api, call: Call, respond: Respond) -> None:
    """Show an account."""
    user_id = call.params["id"]

    async def read() -> Response:
        user = await api.accounts.store.find_user(user_id)
        if user is None or user.deleted_at_ms is not None:
            raise NotFound("no such user")
        return json_response(OK, codec.encode_json(account_json(user)))

    api.later(read, respond)


def make_user(api: Api, call: Call, respond: Respond) -> None:
    """Make an account for somebody else."""
    fields, settings = call.body(), call.settings.identity
    asked, role = application(call, fields), _role(codec.get_text(fields, "role")) or ServerRole.MEMBER

    async def make() -> Response:
        user = await api.accounts.make_user(asked, role, settings)
        return about(json_response(CREATED, codec.encode_json(account_json(user))), f"{user.id} role={role.value}")

    api.later(make, respond)


def change_user(api: Api, call: Call, respond: Respond) -> None:
    """Change somebody's role, name or password, or disable the account.

    It counts at once, for what is open too. Another password ends every session.
    """
    fields, user_id, settings = call.body(), call.params["id"], call.settings.identity
    name, password = codec.get_text(fields, "name"), codec.get_text(fields, "password")
    change = UserChange(
        name=None if name is None else display_name(name),
        role=_role(codec.get_text(fields, "role")),
        disabled=codec.get_bool(fields, "disabled"),
    )
    if change == UserChange() and password is None:
        raise InvalidCommand("nothing is to be changed: 'role', 'disabled', 'name' or 'password'")

    async def save() -> Response:
        user = await api.accounts.change(user_id, change)
        if password is not None:
            user = await api.accounts.reset_password(user, password, settings)
        return about(json_response(OK, codec.encode_json(account_json(user))), _told(change, password is not None))

    api.later(save, respond)


def _told(change: UserChange, password: bool) -> str:
    """What was changed, for the audit log: the power that was given or taken in full, of the rest only which it was."""
    words = (
        None if change.role is None else f"role={change.role.value}",
        None if change.disabled is None else f"disabled={str(change.disabled).lower()}",
        None if change.name is None else "name",
        "password" if password else None,
    )
    return " ".join(filter(None, words))


def delete_user(api: Api, call: Call, respond: Respond) -> None:
    """Delete an account.

    Names, password, sessions and keys go; what was written stays.
    """
    user_id = call.params["id"]

    async def delete() -> Response:
        await api.accounts.delete(user_id)
        return NO_CONTENT

    api.later(delete, respond)


def end_tokens(api: Api, call: Call, respond: Respond) -> None:
    """End every session and every key of a user, with all that is open."""
    user_id = call.params["id"]

    async def end() -> Response:
        if await api.accounts.store.find_user(user_id) is None:
            raise NotFound("no such user")
        await api.accounts.tokens.end(user_id)
        return NO_CONTENT

    api.later(end, respond)


# -- invitations ------------------------------------------------------------------------------------------------------


def make_invitation(api: Api, call: Call, respond: Respond) -> None:
    """Invite somebody to sign up.

    The secret is in `invitation`, shown this once, and good for one account.
    """
    fields, settings = call.body() if call.request.body else {}, call.settings.identity
    role = _role(codec.get_text(fields, "role")) or ServerRole.MEMBER
    label, credential = rules.label(codec.get_text(fields, "label") or ""), own(call)

    async def make() -> Response:
        secret, made = await api.accounts.invite(credential, role, label, settings)
        shown = codec.encode_json({**_invitation_json(made), "invitation": secret})
        return about(json_response(CREATED, shown), f"{made.id} role={role.value}")

    api.later(make, respond)


def list_invitations(api: Api, call: Call, respond: Respond) -> None:
    """List the newest invitations, used and over ones too."""

    async def read() -> Response:
        found = await api.accounts.store.list_invitations(limit=_INVITATIONS_SHOWN)
        return json_response(OK, codec.encode_json({"invitations": [_invitation_json(one) for one in found]}))

    api.later(read, respond)


def end_invitation(api: Api, call: Call, respond: Respond) -> None:
    """Withdraw an invitation that was not used."""
    invitation_id = call.params["id"]

    async def end() -> Response:
        if not await api.accounts.store.end_invitation(invitation_id):
            raise NotFound("no such invitation, or it was used")
        return NO_CONTENT

    api.later(end, respond)


def _invitation_json(invitation: Invitation) -> dict[str, object]:
    return {
        "id": invitation.id,
        "role": invitation.role.value,
        "label": invitation.label,
        "created_by": invitation.created_by,
        "created_at": codec.rfc3339(invitation.created_at_ms),
        "expires_at": codec.rfc3339(invitation.expires_at_ms),
        "used_by": invitation.used_by,
    }


def _role(text: str | None) -> ServerRole | None:
    if text is None:
        return None
    for role in _GIVEN_ROLES:
        if role.value == text:
            return role
    raise InvalidCommand("'role' must be admin or member")


def _route(method: str, path: str, endpoint: Endpoint, doc: Doc) -> Route:
    return Route(
        method=method,
        path=path,
        endpoint=endpoint,
        access=Access.ADMIN,
        scope=Scope.ADMIN,
        max_body_bytes=BODY_BYTES if doc.body is not None else 0,
        doc=doc,
    )


_TAG: Final = "Users"
_USER: Final = _USERS + "/{id}"
_IDS: Final = shapes.USER_IDS
_LAST: Final = ("conflict", "unprocessable")

USER_ROUTES: Final = (
    _route(
        "GET", _USERS, list_users, Doc(tag=_TAG, query=shapes.UserQuery, answer=shapes.Accounts, problems=_LAST[1:])
    ),
    _route(
        "POST",
        _USERS,
        make_user,
        Doc(tag=_TAG, body=shapes.NewAccount, answer=shapes.Account, status=201, problems=_LAST),
    ),
    _route("GET", _USER, show_user, Doc(tag=_TAG, params=_IDS, answer=shapes.Account, problems=_LAST[1:])),
    _route(
        "PATCH",
        _USER,
        change_user,
        Doc(tag=_TAG, params=_IDS, body=shapes.AccountChange, answer=shapes.Account, problems=_LAST),
    ),
    _route("DELETE", _USER, delete_user, Doc(tag=_TAG, params=_IDS, status=204, problems=_LAST)),
    _route("DELETE", _USER + "/sessions", end_tokens, Doc(tag=_TAG, params=_IDS, status=204, problems=_LAST[1:])),
    _route("GET", _INVITATIONS, list_invitations, Doc(tag=_TAG, answer=shapes.Invitations)),
    _route(
        "POST",
        _INVITATIONS,
        make_invitation,
        Doc(tag=_TAG, body=shapes.NewInvitation, body_optional=True, answer=shapes.FreshInvitation, status=201),
    ),
    _route(
        "DELETE",
        _INVITATIONS + "/{id}",
        end_invitation,
        Doc(tag=_TAG, params=shapes.IDS, status=204, problems=_LAST[1:]),
    ),
)
