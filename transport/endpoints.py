"""The REST endpoints under /api/v1, and health: functions of a decoded request, and their one table."""

from __future__ import annotations

import platform
from http import HTTPStatus

from ..engine import Ack, EngineError, Forbidden, InvalidCommand, MessagePage, Record, Roster
from ..engine.core import codec
from ..engine.core.ids import conversation_id, idempotency_key
from ..engine.core.permissions import Access
from ..engine.core.principals import Scope
from .admin import ADMIN_ROUTES
from .api import COOKIE, Api, Call, Route, Routes, answering, json_response
from .auth import GUEST_DAYS, Credential
from .http_message import Response
from .http_route import Respond
from .version import version

API_BODY_BYTES = 1024 * 1024

CREATED = HTTPStatus.CREATED.value
OK = HTTPStatus.OK.value


def user_json(credential: Credential) -> dict[str, str]:
    """A principal as auth calls show it."""
    author = credential.principal.author
    return {"id": author.id, "name": author.name, "kind": author.kind}


# -- health -----------------------------------------------------------------------------------------------------------


def health(api: Api, call: Call, respond: Respond) -> None:
    """The process lives and answers. Stays 200 while the database is away."""
    respond(json_response(OK, b'{"status":"ok"}'))


def ready(api: Api, call: Call, respond: Respond) -> None:
    """Posts can be committed: 200, or 503 with what is missing."""
    found = api.engine.health()
    body: dict[str, object] = {"status": "ready" if found.ready else "unavailable", "problems": found.problems}
    if found.away_s is not None:
        body["since"] = codec.rfc3339(api.engine.now_ms() - round(found.away_s * 1000))
    status = OK if found.ready else HTTPStatus.SERVICE_UNAVAILABLE.value
    respond(json_response(status, codec.encode_json(body)))


def show_version(api: Api, call: Call, respond: Respond) -> None:
    """Which program answers."""
    body = {
        "name": "hubbub",
        "version": version(),
        "python": platform.python_version(),
        "guests": call.settings.access.guests,
    }
    respond(json_response(OK, codec.encode_json(body)))


# -- identity ---------------------------------------------------------------------------------------------------------


def become_guest(api: Api, call: Call, respond: Respond) -> None:
    """``{"name"}`` -> 201 with a token, shown this once, and the same in an HttpOnly cookie for browsers."""
    if not call.settings.access.guests:
        raise Forbidden("guests are not admitted here")
    name = codec.require_text(call.body(), "name")

    async def issue() -> Response:
        issued = await api.auth.issue_guest(name)
        body = {
            "token": issued.token,
            "user": user_json(issued.credential),
            "expires_at": codec.rfc3339(issued.credential.expires_at_ms),
        }
        cookie = f"{COOKIE}={issued.token}; Path=/; Max-Age={GUEST_DAYS * 86_400}; HttpOnly; SameSite=Strict"
        return json_response(CREATED, codec.encode_json(body), ("set-cookie", cookie))

    api.later(issue, respond)


def me(api: Api, call: Call, respond: Respond) -> None:
    """Who the credential stands for."""
    credential = call.credential
    assert credential is not None
    body = {"user": user_json(credential), "expires_at": codec.rfc3339(credential.expires_at_ms)}
    respond(json_response(OK, codec.encode_json(body)))


# -- conversations ----------------------------------------------------------------------------------------------------


def list_conversations(api: Api, call: Call, respond: Respond) -> None:
    """Public ones and one's own, by id; `after` is the last id seen, `next` the one to ask for."""
    after, limit = call.query.get("after"), call.number("limit")
    limit = api.engine.settings.page_default_items if limit is None else limit
    if not 1 <= limit <= api.engine.settings.page_items:
        raise InvalidCommand(f"'limit' must be from 1 to {api.engine.settings.page_items}")
    if after is not None:
        conversation_id(after)

    async def page() -> Response:
        records = await api.engine.conversations(call.principal, after=after, limit=limit)
        following = codec.encode_json(records[-1].id if len(records) == limit else None)
        rows = b",".join(codec.record_json(record) for record in records)
        return json_response(OK, b'{"conversations":[%b],"next":%b}' % (rows, following))

    api.later(page, respond)


def create_conversation(api: Api, call: Call, respond: Respond) -> None:
    """``{"id"?, "title"?, "visibility"?}`` -> 201; 409 where it exists. The caller owns it."""
    fields = call.body()

    async def create() -> Response:
        record = await api.engine.create_record(fields, call.principal)
        location = ("location", f"/api/v1/conversations/{record.id}")
        return json_response(CREATED, codec.record_json(record), location)

    api.later(create, respond)


def show_conversation(api: Api, call: Call, respond: Respond) -> None:
    """The record with the current head."""
    name, command = api.session(call.principal).describe(call.params["id"], answering(respond, _record_response))
    api.engine.send(name, command)


def update_conversation(api: Api, call: Call, respond: Respond) -> None:
    """``{"title"?, "visibility"?, "archived"?}`` by the owner -> 200 with the new record."""
    reply = answering(respond, _record_response)
    name, command = api.session(call.principal).update(call.params["id"], call.body(), api.engine.stamp(), reply)
    api.engine.send(name, command)


def _record_response(record: Record) -> Response:
    return json_response(OK, codec.record_json(record))


# -- messages ---------------------------------------------------------------------------------------------------------


def list_messages(api: Api, call: Call, respond: Respond) -> None:
    """A page of history, oldest first; `after`, `before` (offsets, exclusive) or `around` (an id or an offset), `limit`."""
    around, after, before = call.query.get("around"), call.number("after"), call.number("before")
    limit = call.number("limit")
    if around is not None and around.isdigit():
        raise InvalidCommand("'around' takes a message id; for an offset use 'before' and 'after'")
    name, command = api.session(call.principal).history(
        call.params["id"], after=after, before=before, around=around, limit=limit, reply=answering(respond, _page)
    )
    api.engine.send(name, command)


def _page(page: MessagePage) -> Response:
    return json_response(OK, codec.page_json(page))


def post_message(api: Api, call: Call, respond: Respond) -> None:
    """``{"text", "reply_to"?, "meta"?}`` and `Idempotency-Key` -> 201 once it is committed."""
    key = call.request.head.header("idempotency-key")
    if key is not None:
        idempotency_key(key)
    name, command = api.session(call.principal).post(
        call.params["id"], call.body(), api.engine.stamp(), answering(respond, _ack), key=key
    )
    api.engine.send(name, command)


def _ack(ack: Ack) -> Response:
    replayed = (("idempotency-replayed", "true"),) if ack.repeated else ()
    return json_response(CREATED, codec.message_json(ack.message), *replayed)


# -- who is there -----------------------------------------------------------------------------------------------------


def show_presence(api: Api, call: Call, respond: Respond) -> None:
    """Exact counts of clients and users that follow the conversation now."""

    def counts(roster: Roster) -> Response:
        return json_response(OK, codec.encode_json({"clients": roster.clients, "users": roster.users}))

    name, command = api.session(call.principal).presence_counts(call.params["id"], answering(respond, counts))
    api.engine.send(name, command)


def signal_typing(api: Api, call: Call, respond: Respond) -> None:
    """Tell the others that one is typing; 204."""

    def reply(answer: EngineError | None) -> None:
        answering(respond, lambda _: Response(HTTPStatus.NO_CONTENT.value))(answer)

    name, command = api.session(call.principal).typing(call.params["id"], api.engine.now_ms(), reply)
    api.engine.send(name, command)


def _stream(api: Api, call: Call, respond: Respond) -> None:
    """Never called: both lanes give the connection of a stream route to an event stream before it comes to this."""
    raise AssertionError("an event stream is no response")


_CONVERSATION = "/api/v1/conversations/{id}"

ROUTES = Routes(
    (
        Route(method="GET", path="/health", endpoint=health, access=Access.ANYONE),
        Route(method="GET", path="/health/ready", endpoint=ready, access=Access.ANYONE),
        Route(method="GET", path="/api/v1/version", endpoint=show_version, access=Access.ANYONE),
        Route(
            method="POST", path="/api/v1/auth/guest", endpoint=become_guest, access=Access.ANYONE, max_body_bytes=4096
        ),
        Route(method="GET", path="/api/v1/auth/me", endpoint=me),
        Route(method="GET", path="/api/v1/conversations", endpoint=list_conversations),
        Route(
            method="POST",
            path="/api/v1/conversations",
            endpoint=create_conversation,
            scope=Scope.MANAGE,
            max_body_bytes=API_BODY_BYTES,
        ),
        Route(method="GET", path=_CONVERSATION, endpoint=show_conversation),
        Route(
            method="PATCH",
            path=_CONVERSATION,
            endpoint=update_conversation,
            scope=Scope.MANAGE,
            max_body_bytes=API_BODY_BYTES,
        ),
        Route(method="GET", path=_CONVERSATION + "/messages", endpoint=list_messages),
        Route(
            method="POST",
            path=_CONVERSATION + "/messages",
            endpoint=post_message,
            scope=Scope.WRITE,
            max_body_bytes=API_BODY_BYTES,
        ),
        Route(method="GET", path=_CONVERSATION + "/presence", endpoint=show_presence),
        Route(
            method="POST",
            path=_CONVERSATION + "/typing",
            endpoint=signal_typing,
            scope=Scope.WRITE,
            max_body_bytes=4096,
        ),
        Route(method="GET", path=_CONVERSATION + "/events", endpoint=_stream, stream=True),
        *ADMIN_ROUTES,
    )
)
