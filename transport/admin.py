"""The endpoints of admins and of the operator's token: `/metrics` and `/api/v1/admin/...`.

Like all endpoints they serve both lanes. They read snapshots and wait for nothing, so they answer while Postgres is away. Answers
are bounded: the tree and the rooms show at most a hundred conversations.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from ..actors import Node
from ..engine import NotFound, RoomStatistics
from ..engine.core import codec
from ..engine.core.permissions import Access
from ..engine.core.principals import Scope
from ..engine.core.session import page_limit
from ..engine.log import get_logger
from .answers import json_response
from .api import Api
from .call import Call
from .http_message import Response
from .http_route import Respond
from .openapi import shapes_admin
from .openapi.doc import Doc
from .routes import Route

_log = get_logger("hubbub.transport.admin")

_STORAGE: Final = "storage"  # the engine's name for that part
ROOMS: Final = 100
"""Most rooms of one answer."""


def metrics(api: Api, call: Call, respond: Respond) -> None:
    """The server's figures for Prometheus."""
    from .metrics import CONTENT_TYPE, page  # the encoder is loaded by servers that are asked, not by `hubbub --help`

    assert api.operator is not None, "a server has one"
    headers = (("content-type", CONTENT_TYPE), ("cache-control", "no-store"))
    respond(Response(HTTPStatus.OK.value, headers, page(api.engine, api.operator, api.watch, call.settings.generation)))


def show_tree(api: Api, call: Call, respond: Respond) -> None:
    """Show the supervision tree as it is now, and why nothing can be stored where that is so."""
    tree, health = _node(api.engine.tree()), api.engine.health()
    for part in tree["children"]:
        if part["name"] == _STORAGE and health.problems:
            part["reason"] = "; ".join(health.problems)
    _answer(respond, {"tree": tree})


def list_rooms(api: Api, call: Call, respond: Respond) -> None:
    """List the loudest rooms in memory.

    They are those in which the most was delivered in the last ten seconds, then those with the most subscribers.
    """
    limit = page_limit(call.number("limit"), ROOMS, ROOMS)
    found = api.engine.statistics(rooms=limit)
    body = {
        "rooms": [_room(room) for room in found.rooms],
        "conversations": found.conversations,
        "subscribers": found.subscribers,
        "tail_bytes": found.tail_bytes,
    }
    _answer(respond, body)


def list_quarantined(api: Api, call: Call, respond: Respond) -> None:
    """List conversations that crashed too often and take no posts until they are released."""
    found = [
        {
            "conversation": each.conversation,
            "reason": each.reason,
            "since": codec.rfc3339(each.since_ms),
            "crashes": each.crashes,
            "readable": each.readable,
        }
        for each in api.engine.quarantined()
    ]
    _answer(respond, {"quarantined": found})


def release(api: Api, call: Call, respond: Respond) -> None:
    """End a quarantine."""
    name = call.params["id"]
    if not api.engine.release(name):
        raise NotFound("no such conversation is quarantined")
    _log.info("operator.released", conversation=name)
    respond(Response(HTTPStatus.NO_CONTENT.value))


def _answer(respond: Respond, body: dict[str, Any]) -> None:
    respond(json_response(HTTPStatus.OK.value, codec.encode_json(body)))


def _node(node: Node) -> dict[str, Any]:
    body: dict[str, Any] = {"name": node.name, "kind": node.kind, "state": node.state, "restarts": node.restarts}
    if node.depth is not None:
        body |= {"depth": node.depth, "capacity": node.capacity}
    body["children"] = [_node(child) for child in node.children]
    if node.reason:
        body["reason"] = node.reason
    if node.omitted:
        body["omitted"] = node.omitted
    return body


def _room(room: RoomStatistics) -> dict[str, Any]:
    return {
        "conversation": room.id,
        "offset": room.head,
        "subscribers": room.subscribers,
        "mailbox": room.mailbox_items,
        "waiting": room.waiting,
        "lag": room.lag_items,
        "slow": room.behind,
        "recent": room.recent_items,
        "tail_events": room.tail_items,
        "tail_bytes": room.tail_bytes,
    }


_QUARANTINED: Final = "/api/v1/admin/quarantined"

ADMIN_ROUTES: Final = (
    Route(
        method="GET",
        path="/metrics",
        endpoint=metrics,
        access=Access.ADMIN,
        scope=Scope.ADMIN,
        doc=Doc(tag="Server", media_type="text/plain"),
    ),
    Route(
        method="GET",
        path="/api/v1/admin/tree",
        endpoint=show_tree,
        access=Access.ADMIN,
        scope=Scope.ADMIN,
        doc=Doc(tag="Administration", answer=shapes_admin.Tree),
    ),
    Route(
        method="GET",
        path="/api/v1/admin/rooms",
        endpoint=list_rooms,
        access=Access.ADMIN,
        scope=Scope.ADMIN,
        doc=Doc(tag="Administration", query=shapes_admin.RoomsQuery, answer=shapes_admin.Rooms),
    ),
    Route(
        method="GET",
        path=_QUARANTINED,
        endpoint=list_quarantined,
        access=Access.ADMIN,
        scope=Scope.ADMIN,
        doc=Doc(tag="Administration", answer=shapes_admin.Quarantines),
    ),
    Route(
        method="DELETE",
        path=_QUARANTINED + "/{id}",
        endpoint=release,
        access=Access.ADMIN,
        scope=Scope.ADMIN,
        doc=Doc(tag="Administration", status=204),
    ),
)
