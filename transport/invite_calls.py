"""Calls on invites. What an invite is and who may do what with it stands in `engine.core.invites`; the verbs are the engine's.

The token stands in the path: whoever logs paths must leave these out (`BEARERS`).
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from ..engine import Invite
from ..engine.core import codec
from ..engine.core.invites import role_to_give
from ..engine.core.principals import Scope
from ..engine.core.session import page_limit
from .answers import about, json_response
from .api import Api
from .call import Call
from .http_message import Response
from .http_route import Respond
from .openapi import shapes_members as shapes
from .openapi.doc import Doc
from .openapi.parameters import ServerId
from .routes import Route

BODY_BYTES: Final = 4096
BEARERS: Final = "/api/v1/invites/"
"""What follows this in a path is a secret."""

_OK: Final = HTTPStatus.OK.value


def make_invite(api: Api, call: Call, respond: Respond) -> None:
    """Make an invite. For owners and moderators, into a role below their own.

    It is good once, until it expires or is revoked, and as long as its maker could make it.
    """
    fields = call.body()
    role, ttl_s = role_to_give(codec.get_text(fields, "role")), codec.get_int(fields, "ttl_s")
    bound_to = codec.get_text(fields, "bound_to")

    async def make() -> Response:
        made = await api.engine.invites.make(
            call.params["id"], by=call.principal, role=role, ttl_s=ttl_s, bound_to=bound_to
        )
        row = _row(made.invite, api.engine.now_ms()) | {"token": made.token}
        return about(json_response(HTTPStatus.CREATED.value, codec.encode_json(row)), made.invite.id)

    api.later(make, respond)


def list_invites(api: Api, call: Call, respond: Respond) -> None:
    """List the open invites, and those that ended lately. For owners and moderators."""
    settings = api.engine.settings
    limit = page_limit(call.number("limit"), settings.page_default_items, settings.page_items)

    async def page() -> Response:
        found = await api.engine.invites.list_of(
            call.params["id"], by=call.principal, after=call.query.get("after"), limit=limit
        )
        now_ms = api.engine.now_ms()
        body = {
            "invites": [_row(invite, now_ms) for invite in found],
            "next": found[-1].id if len(found) == limit else None,
        }
        return json_response(_OK, codec.encode_json(body))

    api.later(page, respond)


def revoke_invite(api: Api, call: Call, respond: Respond) -> None:
    """Take an invite back. For owners and moderators, until somebody has joined by it."""

    async def revoke() -> Response:
        await api.engine.invites.revoke(call.params["id"], call.params["invite"], by=call.principal)
        return Response(HTTPStatus.NO_CONTENT.value)

    api.later(revoke, respond)


def show_invite(api: Api, call: Call, respond: Respond) -> None:
    """Tell what an invite is for. For whoever has its token, and is not a member yet."""

    async def show() -> Response:
        offer = await api.engine.invites.look(call.params["token"], by=call.principal, names=api.people.names)
        body = {
            "title": offer.record.title,
            "role": offer.invite.role.value,
            "invited_by": offer.invite.made_by.name,
            "expires_at": codec.rfc3339(offer.invite.expires_at_ms),
        }
        return json_response(_OK, codec.encode_json(body))

    api.later(show, respond)


def accept_invite(api: Api, call: Call, respond: Respond) -> None:
    """Become a member by an invite.

    After 503 `outcome_unknown` the same account sends the same call again, which completes it.
    """

    async def accept() -> Response:
        invite, member = await api.engine.invites.accept(
            call.params["token"], by=call.principal, names=api.people.names, request_id=call.request_id
        )
        body = b'{"conversation":%b,"member":%b}' % (codec.encode_json(invite.conversation), codec.member_json(member))
        return json_response(_OK, body)

    api.later(accept, respond)


def _row(invite: Invite, now_ms: int) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": invite.id,
        "role": invite.role.value,
        "state": invite.state(now_ms),
        "made_by": {"id": invite.made_by.id, "name": invite.made_by.name, "kind": invite.made_by.kind},
        "created_at": codec.rfc3339(invite.created_at_ms),
        "expires_at": codec.rfc3339(invite.expires_at_ms),
    }
    if invite.bound_to is not None:
        row["bound_to"] = invite.bound_to
    if invite.accepted_by is not None:
        row |= {"accepted_by": invite.accepted_by, "accepted_at": codec.rfc3339(invite.accepted_at_ms)}
    return row


_INVITES: Final = "/api/v1/conversations/{id}/invites"

_TAG: Final = "Invites"
_TOKEN: Final = {"token": shapes.InviteToken}
_OFFERED: Final = ("no_longer_valid", "conflict", "quarantined", "outcome_unknown")
"""What the bearer of a token may meet."""

INVITE_ROUTES: Final = (
    Route(
        method="POST",
        path=_INVITES,
        endpoint=make_invite,
        scope=Scope.MANAGE,
        max_body_bytes=BODY_BYTES,
        doc=Doc(
            tag=_TAG,
            body=shapes.NewInvite,
            answer=shapes.MadeInvite,
            status=201,
            text="The token is shown this once.",
            problems=("limit_exceeded",),
        ),
    ),
    Route(
        method="GET",
        path=_INVITES,
        endpoint=list_invites,
        scope=Scope.MANAGE,
        doc=Doc(tag=_TAG, query=shapes.InviteQuery, answer=shapes.InvitePage),
    ),
    Route(
        method="DELETE",
        path=_INVITES + "/{invite}",
        endpoint=revoke_invite,
        scope=Scope.MANAGE,
        doc=Doc(tag=_TAG, status=204, params={"invite": ServerId}, problems=("conflict",)),
    ),
    Route(
        method="GET",
        path=BEARERS + "{token}",
        endpoint=show_invite,
        doc=Doc(tag=_TAG, answer=shapes.Offer, params=_TOKEN, problems=_OFFERED),
    ),
    Route(
        method="POST",
        path=BEARERS + "{token}/accept",
        endpoint=accept_invite,
        scope=Scope.MANAGE,
        max_body_bytes=BODY_BYTES,
        control=False,  # and its path holds a secret
        doc=Doc(tag=_TAG, answer=shapes.Accepted, params=_TOKEN, problems=(*_OFFERED, "limit_exceeded")),
    ),
)
