"""The audit log over REST, for admins: pages, the newest rows first."""

from __future__ import annotations

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
        body = {"rows": [_shown(row) for row in rows], "next": leads_on}
        return json_response(HTTPStatus.OK.value, codec.encode_json(body))

    api.later(read, respond)


def _shown(row: AuditRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "at": codec.rfc3339(row.at_ms),
        "actor": row.actor or None,
        "action": row.action,
        "target": row.target,
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
