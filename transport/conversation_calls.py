"""/api/v1/conversations: conversations, their messages, who is there. What a room answers is written when it answers."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from ..engine import (
    Ack,
    Author,
    Conflict,
    EngineError,
    InvalidCommand,
    MessagePage,
    NotFound,
    Record,
    Roster,
)
from ..engine.core import codec
from ..engine.core.compose import direct_id
from ..engine.core.ids import conversation_id, idempotency_key
from ..engine.core.principals import Scope
from ..engine.core.session import page_limit
from ..engine.core.version import version_of
from .answers import about, answering, json_response
from .api import Api
from .call import Call
from .entity_tag import quoted, required_versions
from .http_message import Response
from .http_route import Respond
from .limit_settings import Action
from .openapi import shapes
from .openapi.doc import Answer, Doc
from .routes import Route

API_BODY_BYTES: Final = 1024 * 1024

CREATED: Final = HTTPStatus.CREATED.value
OK: Final = HTTPStatus.OK.value

_CONVERSATION: Final = "/api/v1/conversations/{id}"


def list_conversations(api: Api, call: Call, respond: Respond) -> None:
    """List public conversations and one's own, by id."""
    after, settings = call.query.get("after"), api.engine.settings
    limit = page_limit(call.number("limit"), settings.page_default_items, settings.page_items)
    if after is not None:
        conversation_id(after)

    async def page() -> Response:
        records = await api.engine.conversations(call.principal, after=after, limit=limit)
        following = codec.encode_json(records[-1].id if len(records) == limit else None)
        rows = b",".join(codec.record_json(record) for record in records)
        return json_response(OK, b'{"conversations":[%b],"next":%b}' % (rows, following))

    api.later(page, respond)


def create_conversation(api: Api, call: Call, respond: Respond) -> None:
    """Make a conversation. The caller owns it.

    A direct one (``{"kind": "direct", "with": user id}``) is made once for two users: 200 with the one that they have already.
    """
    fields = call.body()
    other_id = codec.get_text(fields, "with")

    async def create() -> Response:
        other = None if other_id is None else await _known(api, other_id)
        try:
            record = await api.engine.create_record(fields, call.principal, other=other, request_id=call.request_id)
            status = CREATED
        except Conflict:
            known = None if other is None else await api.engine.store.load(direct_id(call.principal.id, other.id))
            if known is None:
                raise
            record, status = known, OK
        location = ("location", f"/api/v1/conversations/{record.id}")
        return json_response(status, codec.record_json(record), location, ("etag", quoted(version_of(record))))

    api.later(create, respond)


async def _known(api: Api, user_id: str) -> Author:
    found = await api.people.find(user_id)
    if found is None:
        raise NotFound("no such user")
    return found


def show_conversation(api: Api, call: Call, respond: Respond) -> None:
    """Describe a conversation, with its newest offset.

    The ETag changes with what PATCH can change; a post does not change it.
    """
    name, command = api.session(call.principal).describe(call.params["id"], answering(respond, _record_response))
    api.engine.send(name, command)


def update_conversation(api: Api, call: Call, respond: Respond) -> None:
    """Change a conversation; for its owners.

    With `If-Match` nothing is changed unless the conversation still has that ETag; of several at once one wins.
    """
    fields = call.body()
    changed = " ".join(name for name in shapes.ConversationPatch.__struct_fields__ if name in fields)
    reply = answering(respond, lambda record: about(_record_response(record), changed))
    versions = required_versions(call.request.head.header("if-match"))
    stamp = api.engine.stamp(request_id=call.request_id)
    name, command = api.session(call.principal).update(call.params["id"], fields, stamp, reply, versions=versions)
    api.engine.send(name, command)


def _record_response(record: Record) -> Response:
    return json_response(OK, codec.record_json(record), ("etag", quoted(version_of(record))))


# -- messages ---------------------------------------------------------------------------------------------------------


def list_messages(api: Api, call: Call, respond: Respond) -> None:
    """Read a page of messages, oldest first; the newest page without parameters."""
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
    """Post a message; answered once it is committed."""
    key = call.request.head.header("idempotency-key")
    if key is not None:
        idempotency_key(key)
    stamp = api.engine.stamp(request_id=call.request_id)
    name, command = api.session(call.principal).post(
        call.params["id"], call.body(), stamp, answering(respond, _ack), key=key
    )
    api.engine.send(name, command)


def _ack(ack: Ack) -> Response:
    replayed = (("idempotency-replayed", "true"),) if ack.repeated else ()
    return json_response(CREATED, codec.message_json(ack.message), *replayed)


# -- who is there -----------------------------------------------------------------------------------------------------


def show_presence(api: Api, call: Call, respond: Respond) -> None:
    """Count who follows a conversation now."""

    def counts(roster: Roster) -> Response:
        return json_response(OK, codec.encode_json({"clients": roster.clients, "users": roster.users}))

    name, command = api.session(call.principal).presence_counts(call.params["id"], answering(respond, counts))
    api.engine.send(name, command)


def signal_typing(api: Api, call: Call, respond: Respond) -> None:
    """Tell the others that one is typing."""

    def reply(answer: EngineError | None) -> None:
        answering(respond, lambda _: Response(HTTPStatus.NO_CONTENT.value))(answer)

    name, command = api.session(call.principal).typing(call.params["id"], api.engine.now_ms(), reply)
    api.engine.send(name, command)


def follow_conversation(api: Api, call: Call, respond: Respond) -> None:
    """Follow a conversation as server-sent events.

    `id` is the offset, `event` the type, `data` the event. A position that cannot be served gets `stream.reset` with the reason.
    """
    # Never called: both lanes give the connection of a stream route to an event stream before it comes to this.
    raise AssertionError("an event stream is no response")


CONVERSATION_ROUTES: Final = (
    Route(
        method="GET",
        path="/api/v1/conversations",
        endpoint=list_conversations,
        doc=Doc(tag="Conversations", query=shapes.ConversationQuery, answer=shapes.ConversationPage),
    ),
    Route(
        method="POST",
        path="/api/v1/conversations",
        endpoint=create_conversation,
        scope=Scope.MANAGE,
        action=Action.CREATE,
        max_body_bytes=API_BODY_BYTES,
        control=False,
        doc=Doc(
            tag="Conversations",
            body=shapes.NewConversation,
            answer=shapes.Conversation,
            status=201,
            answer_headers=("Location", "ETag"),
            also=(Answer(body=shapes.Conversation, headers=("Location", "ETag"), text="The two have one already."),),
            problems=("conflict", "outcome_unknown", "not_found"),
        ),
    ),
    Route(
        method="GET",
        path=_CONVERSATION,
        endpoint=show_conversation,
        doc=Doc(tag="Conversations", answer=shapes.Conversation, answer_headers=("ETag",)),
    ),
    Route(
        method="PATCH",
        path=_CONVERSATION,
        endpoint=update_conversation,
        scope=Scope.MANAGE,
        max_body_bytes=API_BODY_BYTES,
        doc=Doc(
            tag="Conversations",
            body=shapes.ConversationChange,
            headers=("If-Match",),
            answer=shapes.Conversation,
            answer_headers=("ETag",),
            problems=("conflict",),
        ),
    ),
    Route(
        method="GET",
        path=_CONVERSATION + "/messages",
        endpoint=list_messages,
        doc=Doc(tag="Messages", query=shapes.MessageQuery, answer=shapes.MessagePage),
    ),
    Route(
        method="POST",
        path=_CONVERSATION + "/messages",
        endpoint=post_message,
        scope=Scope.WRITE,
        action=Action.POST,
        max_body_bytes=API_BODY_BYTES,
        control=False,
        doc=Doc(
            tag="Messages",
            body=shapes.NewMessage,
            headers=("Idempotency-Key",),
            answer=shapes.Message,
            status=201,
            answer_headers=("Idempotency-Replayed",),
            problems=("conflict",),
        ),
    ),
    Route(
        method="GET",
        path=_CONVERSATION + "/presence",
        endpoint=show_presence,
        doc=Doc(tag="Presence", answer=shapes.Presence),
    ),
    Route(
        method="POST",
        path=_CONVERSATION + "/typing",
        endpoint=signal_typing,
        scope=Scope.WRITE,
        max_body_bytes=4096,
        control=False,
        doc=Doc(tag="Presence", status=204, problems=("conflict",)),
    ),
    Route(
        method="GET",
        path=_CONVERSATION + "/events",
        endpoint=follow_conversation,
        stream=True,
        doc=Doc(tag="Streams", media_type="text/event-stream", query=shapes.StreamQuery, headers=("Last-Event-ID",)),
    ),
)
"""Conversations by the verbs that every principal has; members and invites have modules of their own."""
