"""The REST routes of members, mutes and bans. Each is an operation of `member_calls`; here a request becomes its fields."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from ..engine.core.principals import Scope
from . import member_calls as calls
from .answers import about, json_response
from .api import Api
from .call import Call
from .http_message import Response
from .http_route import Respond
from .limit_settings import Action
from .openapi import shapes_members as shapes
from .openapi.doc import Answer, Doc
from .routes import Route

BODY_BYTES: Final = 4096


def _carry_out(api: Api, call: Call, respond: Respond, operation: calls.Operation, fields: Mapping[str, Any]) -> None:
    ask = calls.Ask(api, call.principal, call.params["id"], fields, call.request_id)

    async def run() -> Response:
        found = await operation(ask)
        response = json_response(HTTPStatus.OK.value, found) if found else Response(HTTPStatus.NO_CONTENT.value)
        return about(response, calls.told(fields))

    api.later(run, respond)


def get_members(api: Api, call: Call, respond: Respond) -> None:
    """List the members, by user id. For whoever may read."""
    _carry_out(
        api, call, respond, calls.list_members, {"after": call.query.get("after"), "limit": call.number("limit")}
    )


def get_member(api: Api, call: Call, respond: Respond) -> None:
    """Describe one membership. For whoever may read."""
    _carry_out(api, call, respond, calls.show_member, {"user": call.params["user"]})


def set_member(api: Api, call: Call, respond: Respond) -> None:
    """Make somebody a member, or give a member another role. For owners and moderators, below their own role."""
    _carry_out(api, call, respond, calls.put_member, call.body() | {"user": call.params["user"]})


def delete_member(api: Api, call: Call, respond: Respond) -> None:
    """End a membership. One's own, or that of somebody below, by owners and moderators.

    In a private conversation the person's open streams end with the event.
    """
    _carry_out(api, call, respond, calls.remove_member, {"user": call.params["user"]})


def post_join(api: Api, call: Call, respond: Respond) -> None:
    """Become a member of a public conversation."""
    _carry_out(api, call, respond, calls.join, {})


def post_leave(api: Api, call: Call, respond: Respond) -> None:
    """End one's own membership. The last owner stays."""
    _carry_out(api, call, respond, calls.leave, {})


def post_hide(api: Api, call: Call, respond: Respond) -> None:
    """Leave a direct conversation out of one's own list, until something new happens in it. It is read and followed as before."""
    _carry_out(api, call, respond, calls.hide, {})


def set_mute(api: Api, call: Call, respond: Respond) -> None:
    """Keep somebody from speaking for a time. For owners and moderators."""
    _carry_out(api, call, respond, calls.mute, call.body() | {"user": call.params["user"]})


def delete_mute(api: Api, call: Call, respond: Respond) -> None:
    """End a mute. For owners and moderators."""
    _carry_out(api, call, respond, calls.unmute, {"user": call.params["user"]})


def get_bans(api: Api, call: Call, respond: Respond) -> None:
    """List the bans, by user id. For owners and moderators."""
    _carry_out(api, call, respond, calls.list_bans, {"after": call.query.get("after"), "limit": call.number("limit")})


def set_ban(api: Api, call: Call, respond: Respond) -> None:
    """Ban a user, member or not. For owners and moderators.

    The person's membership and open streams end with the event.
    """
    _carry_out(api, call, respond, calls.ban, {"user": call.params["user"]})


def delete_ban(api: Api, call: Call, respond: Respond) -> None:
    """End a ban. For owners and moderators; it gives no membership back."""
    _carry_out(api, call, respond, calls.unban, {"user": call.params["user"]})


_CONVERSATION: Final = "/api/v1/conversations/{id}"
_MEMBER: Final = _CONVERSATION + "/members/{user}"
_BAN: Final = _CONVERSATION + "/bans/{user}"
_TAG: Final = "Members"
_CHANGE: Final = ("conflict", "limit_exceeded")
"""What a change of the members may meet."""
_REMOVAL: Final = ("conflict", "unprocessable")
_ENDED: Final = "The time is over already: the mute is ended."

MEMBER_ROUTES: Final = (
    Route(
        method="GET",
        path=_CONVERSATION + "/members",
        endpoint=get_members,
        doc=Doc(tag=_TAG, query=shapes.MemberQuery, answer=shapes.MemberPage),
    ),
    Route(method="GET", path=_MEMBER, endpoint=get_member, doc=Doc(tag=_TAG, answer=shapes.Member)),
    Route(
        method="PUT",
        path=_MEMBER,
        endpoint=set_member,
        scope=Scope.MANAGE,
        max_body_bytes=BODY_BYTES,
        doc=Doc(tag=_TAG, body=shapes.NewRole, answer=shapes.Member, problems=_CHANGE),
    ),
    Route(
        method="DELETE",
        path=_MEMBER,
        endpoint=delete_member,
        scope=Scope.MANAGE,
        doc=Doc(tag=_TAG, status=204, problems=_REMOVAL),
    ),
    Route(
        method="POST",
        path=_CONVERSATION + "/join",
        endpoint=post_join,
        scope=Scope.MANAGE,
        action=Action.JOIN,
        max_body_bytes=BODY_BYTES,
        control=False,
        doc=Doc(tag=_TAG, answer=shapes.Member, problems=_CHANGE),
    ),
    Route(
        method="POST",
        path=_CONVERSATION + "/leave",
        endpoint=post_leave,
        scope=Scope.MANAGE,
        max_body_bytes=BODY_BYTES,
        control=False,
        doc=Doc(tag=_TAG, status=204, problems=_REMOVAL),
    ),
    Route(
        method="POST",
        path=_CONVERSATION + "/hide",
        endpoint=post_hide,
        scope=Scope.MANAGE,
        max_body_bytes=BODY_BYTES,
        control=False,
        doc=Doc(tag=_TAG, status=204, problems=("conflict", "outcome_unknown")),
    ),
    Route(
        method="PUT",
        path=_MEMBER + "/mute",
        endpoint=set_mute,
        scope=Scope.MANAGE,
        max_body_bytes=BODY_BYTES,
        doc=Doc(
            tag=_TAG,
            body=shapes.NewMute,
            answer=shapes.Member,
            also=(Answer(status=204, text=_ENDED),),
            problems=_CHANGE,
        ),
    ),
    Route(
        method="DELETE",
        path=_MEMBER + "/mute",
        endpoint=delete_mute,
        scope=Scope.MANAGE,
        doc=Doc(tag=_TAG, status=204, problems=_REMOVAL),
    ),
    Route(
        method="GET",
        path=_CONVERSATION + "/bans",
        endpoint=get_bans,
        scope=Scope.MANAGE,
        doc=Doc(tag=_TAG, query=shapes.MemberQuery, answer=shapes.BanPage),
    ),
    Route(
        method="PUT",
        path=_BAN,
        endpoint=set_ban,
        scope=Scope.MANAGE,
        max_body_bytes=BODY_BYTES,
        doc=Doc(tag=_TAG, answer=shapes.Member, problems=_CHANGE),
    ),
    Route(
        method="DELETE",
        path=_BAN,
        endpoint=delete_ban,
        scope=Scope.MANAGE,
        doc=Doc(tag=_TAG, status=204, problems=_REMOVAL),
    ),
)
