"""The audit log over REST, for admins: pages, the newest rows first, with the names that people go by today.

Rows hold ids. Names are looked up when they are read, those of a page in one query, so that a deleted account has none left.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from ..engine import InvalidCommand, Unprocessable
from ..engine.audit import AuditRow
from ..engine.core import codec
from ..engine.core.ids import message_id
from ..engine.core.permissions import Access
from ..engine.core.principals import Scope
from ..engine.core.session import page_limit
from .answers import json_response
from .api import Api
from .call import Call
from .http_message import Response
from .http_route import Respond
from .openapi import shapes_admin
from .openapi.doc import Doc
from .routes import Route

DEFAULT_ROWS: Final = 50
MAX_ROWS: Final = 500
_MAX_ACTOR_CHARS: Final = 128
_ABOUT_MEMBERS: Final = re.compile(
    r".*/conversations/\{id\}/.*\{user\}|rpc "
)  # after the conversation's id, which has no blank
_ABOUT_USERS: Final = re.compile(r".*/admin/users|.*/auth/(me|sessions|signup|upgrade)$|.*/setup$")
_BY_PROVIDERS: Final = re.compile(r".*/auth/oidc/\{provider\}/")


def list_audit(api: Api, call: Call, respond: Respond) -> None:
    """Read the audit log, the newest rows first."""
    limit = page_limit(call.number("limit"), DEFAULT_ROWS, MAX_ROWS)
    before, actor = call.query.get("before"), call.query.get("actor")
    if before is not None:
        message_id(before)  # the same form: a lower-case UUID
    if actor is not None and len(actor) > _MAX_ACTOR_CHARS:
        raise InvalidCommand(f"'actor' is a principal's id of at most {_MAX_ACTOR_CHARS} characters")
    if actor is not None and not actor.isprintable():
        raise Unprocessable("'actor' holds characters that no principal's id has")

    async def read() -> Response:
        rows = await api.engine.store.audit.page(before=before, limit=limit, actor=actor)
        leads_on = rows[-1].id if len(rows) == limit else None
        ids = {row.actor for row in rows} | {user_of(row) for row in rows}
        names = await api.accounts.store.names(ids - {""})
        body = {"rows": [_shown(row, names) for row in rows], "next": leads_on}
        return json_response(HTTPStatus.OK.value, codec.encode_json(body))

    api.later(read, respond)


def user_of(row: AuditRow) -> str:
    """The id of the user whom a row is about; "" where it is about something else. Only what the action says names a user is one:
    anybody may give a conversation an id that looks like a user's."""
    if _ABOUT_MEMBERS.match(row.action) or _BY_PROVIDERS.match(row.action):
        return row.target.partition(" ")[2]
    return row.target.partition(" ")[0] if _ABOUT_USERS.match(row.action) else ""


def _shown(row: AuditRow, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "id": row.id,
        "at": codec.rfc3339(row.at_ms),
        "actor": row.actor or None,
        "actor_name": names.get(row.actor),
        "action": row.action,
        "target": row.target,
        "target_name": names.get(user_of(row)),
        "status": row.status,
        "code": row.code or None,
        "address": row.address or None,
        "request_id": row.request_id or None,
    }


AUDIT_ROUTES: Final = (
    Route(
        method="GET",
        path="/api/v1/admin/audit",
        endpoint=list_audit,
        access=Access.ADMIN,
        scope=Scope.ADMIN,
        doc=Doc(
            tag="Administration", query=shapes_admin.AuditQuery, answer=shapes_admin.Audit, problems=("unprocessable",)
        ),
    ),
)
