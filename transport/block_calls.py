"""Calls on one's own blocks. Each is one operation, behind a REST route here and an RPC method in `centrifugal_members`: same
fields, same answers. What a block keeps from happening stands in `engine.core.blocks`.

An id is blocked, whether somebody has it or not, as with bans. A user name is no id, and refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from ..engine import Block, EngineError, Principal
from ..engine.core import codec
from ..engine.core.permissions import Access, may_call
from ..engine.core.principals import Scope
from ..engine.core.session import page_limit
from .answers import json_response
from .api import Api
from .call import Call
from .http_message import Response
from .http_route import Respond
from .member_calls import page_start, unknown, user_id_of
from .member_routes import BODY_BYTES
from .openapi import shapes_members as shapes
from .openapi.doc import Doc
from .routes import Route

SCOPE: Final = Scope.MANAGE


def may_block(principal: Principal) -> EngineError | None:
    """Why a principal may not use these calls; for transports without routes."""
    return may_call(principal, Access.PRINCIPAL, SCOPE)


# -- operations -------------------------------------------------------------------------------------------------------


async def list_of(api: Api, principal: Principal, fields: Mapping[str, Any]) -> bytes:
    """Those whom one blocks, by id."""
    after, asked = page_start(codec.get_text(fields, "after")), codec.get_int(fields, "limit")
    limit = page_limit(asked, api.engine.settings.page_default_items, api.engine.settings.page_items)
    found = await api.engine.blocks.list_of(by=principal, after=after, limit=limit)
    following = codec.encode_json(found[-1].user.id if len(found) == limit else None)
    return b'{"blocks":[%b],"next":%b}' % (b",".join(_json(block) for block in found), following)


async def block(api: Api, principal: Principal, fields: Mapping[str, Any]) -> bytes:
    """Want nothing more from somebody."""
    user_id = user_id_of(fields)
    user = await api.people.find(user_id) or await unknown(api, principal, user_id)
    return _json(await api.engine.blocks.put(user, by=principal))


async def unblock(api: Api, principal: Principal, fields: Mapping[str, Any]) -> bytes:
    """End that."""
    await api.engine.blocks.remove(user_id_of(fields), by=principal)
    return b""


def _json(block: Block) -> bytes:
    since = codec.encode_json(codec.rfc3339(block.created_at_ms))
    return b'{"user":%b,"blocked_at":%b}' % (codec.author_json(block.user), since)


# -- REST -------------------------------------------------------------------------------------------------------------


def get_blocks(api: Api, call: Call, respond: Respond) -> None:
    """List whom one blocks, by user id. Nobody else sees this."""

    async def run() -> Response:
        fields = {"after": call.query.get("after"), "limit": call.number("limit")}
        return json_response(HTTPStatus.OK.value, await list_of(api, call.principal, fields))

    api.later(run, respond)


def set_block(api: Api, call: Call, respond: Respond) -> None:
    """Block a user.

    Neither begins a direct conversation with the other, speaks in the one that they have, or brings the other into a room. What
    was said stays. The other one is not told.
    """

    async def run() -> Response:
        return json_response(HTTPStatus.OK.value, await block(api, call.principal, {"user": call.params["user"]}))

    api.later(run, respond)


def delete_block(api: Api, call: Call, respond: Respond) -> None:
    """End a block; fine when there is none."""

    async def run() -> Response:
        await unblock(api, call.principal, {"user": call.params["user"]})
        return Response(HTTPStatus.NO_CONTENT.value)

    api.later(run, respond)


_BLOCKS: Final = "/api/v1/blocks"
_BLOCK: Final = _BLOCKS + "/{user}"
_TAG: Final = "Blocks"

BLOCK_ROUTES: Final = (
    Route(
        method="GET",
        path=_BLOCKS,
        endpoint=get_blocks,
        scope=SCOPE,
        doc=Doc(tag=_TAG, query=shapes.MemberQuery, answer=shapes.BlockPage),
    ),
    Route(
        method="PUT",
        path=_BLOCK,
        endpoint=set_block,
        scope=SCOPE,
        max_body_bytes=BODY_BYTES,
        control=False,
        doc=Doc(
            tag=_TAG,
            answer=shapes.Block,
            problems=("conflict", "limit_exceeded", "unprocessable", "outcome_unknown"),
        ),
    ),
    Route(
        method="DELETE",
        path=_BLOCK,
        endpoint=delete_block,
        scope=SCOPE,
        control=False,
        doc=Doc(tag=_TAG, status=204, problems=("unprocessable", "outcome_unknown")),
    ),
)
