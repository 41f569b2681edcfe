"""Bodies that calls take and give, as types: what the document says of them, and what tests hold real answers against.

They describe and do not decode: requests are read by the session and by `codec`, where each refusal has its words.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from .parameters import ConversationId, Offset, RequestId, ServerId, Timestamp, UserId, Whole

Key = Annotated[str, Meta(pattern="^[!-~]{1,255}$")]
Name = Annotated[str, Meta(min_length=1, max_length=64, description="A name that people see.", examples=["Ada"])]
Title = Annotated[str, Meta(min_length=1, max_length=200, examples=["The den"])]
Text = Annotated[str, Meta(min_length=1, description="UTF-8 without NUL, at most 64 KiB.", examples=["hello"])]
JsonObject = Annotated[dict[str, Any], Meta(description="An object of the application's own, at most 8 KiB.")]
Limit = Annotated[int, Meta(ge=1, le=500, description="How many at most.")]


def one_of_these_at_least(*names: str) -> Meta:
    """What an object must have where each of its fields may be left out, but not all of them. Null counts for left out."""
    there = ({"required": [name], "properties": {name: {"not": {"type": "null"}}}} for name in names)
    return Meta(extra_json_schema={"anyOf": list(there)})


class Problem(Struct):
    """A refusal (RFC 9457). `code` is for programs and stays; `detail` is for people and may change."""

    type: Annotated[str, Meta(pattern="^urn:hubbub:problem:[a-z0-9_]+$")]
    title: str
    status: Annotated[int, Meta(ge=400, le=599)]
    detail: Annotated[str, Meta(description="A sentence that never quotes what was sent.")]
    code: Annotated[str, Meta(pattern="^[a-z0-9_]+$", examples=["not_found"])]
    retry: Annotated[
        Literal["never", "same", "after", "resync"],
        Meta(
            description="never: the same request fails again. same: send it again with its idempotency key. after: send it again"
            " after retry_after_s. resync: fetch the present state first."
        ),
    ]
    request_id: Annotated[RequestId, Meta(description="Missing only where no request was read.")] | UnsetType = UNSET
    retry_after_s: Annotated[float, Meta(ge=0)] | UnsetType = UNSET
    reason: Annotated[str, Meta(description="Why, where one code has several causes.")] | UnsetType = UNSET
    problems: Annotated[list[str], Meta(description="What is wrong with each setting of a change.")] | UnsetType = UNSET


class Author(Struct):
    """Who did something, as everybody sees it."""

    id: UserId
    name: str
    kind: Literal["user", "guest", "bot", "assistant"]


Visibility = Literal["public", "private"]
Kind = Annotated[
    Literal["room", "direct", "announcement"],
    Meta(description="direct: between two, for ever. announcement: owners and moderators speak, the others read."),
]
SlowMode = Annotated[int, Meta(ge=0, le=86_400, description="Seconds that a member waits between two posts; 0 is off.")]


class NewConversation(Struct):
    """A conversation to make. The caller owns it."""

    id: ConversationId | UnsetType = UNSET
    title: Title | UnsetType = UNSET
    visibility: Annotated[Visibility, Meta(description="private when left out")] | UnsetType = UNSET
    kind: Kind | UnsetType = UNSET
    with_: Annotated[UserId, Meta(description="The other one, of a direct conversation.")] | UnsetType = field(
        default=UNSET, name="with"
    )


class ConversationPatch(Struct):
    """What to change, one thing at least; what is left out stays as it is."""

    title: Title | UnsetType = UNSET
    visibility: Visibility | UnsetType = UNSET
    archived: bool | UnsetType = UNSET
    slow_s: SlowMode | UnsetType = UNSET


ConversationChange = Annotated[ConversationPatch, one_of_these_at_least(*ConversationPatch.__struct_fields__)]


class Conversation(Struct):
    """A conversation, without what was said."""

    id: ConversationId
    title: str
    kind: Kind
    visibility: Visibility
    owner: str
    epoch: Annotated[str, Meta(description="The name of the log; offsets belong to it.")]
    offset: Offset
    archived: bool
    slow_s: SlowMode
    created_at: Timestamp


class ConversationPage(Struct):
    """Conversations by id, and the id to ask `after` for the rest."""

    conversations: list[Conversation]
    next: ConversationId | None


class ConversationQuery(Struct):
    """Which conversations."""

    after: Annotated[ConversationId, Meta(description="The last id of the page before.")] | UnsetType = UNSET
    limit: Limit | UnsetType = UNSET


class NewMessage(Struct):
    """A message to post."""

    text: Text
    reply_to: ServerId | UnsetType = UNSET
    meta: JsonObject | UnsetType = UNSET
    idempotency_key: (
        Annotated[str, Meta(pattern="^[!-~]{1,255}$", description="Where the header cannot be set.")] | UnsetType
    ) = UNSET


class Message(Struct):
    """A message as every transport shows it."""

    id: ServerId
    conversation: ConversationId
    offset: Annotated[int, Meta(ge=1)]
    author: Author
    text: str
    created_at: Timestamp
    revision: Annotated[int, Meta(ge=1)]
    reply_to: ServerId | UnsetType = UNSET
    meta: JsonObject | UnsetType = UNSET


class MessagePage(Struct):
    """Messages, oldest first, and the offsets that lead to its neighbours."""

    messages: list[Message]
    next: Annotated[int | None, Meta(description="Ask `after` this for newer ones; null at the head.")]
    previous: Annotated[int | None, Meta(description="Ask `before` this for older ones; null at the beginning.")]


class MessageQuery(Struct):
    """Which messages: one of `after`, `before`, `around`; the newest without."""

    after: Annotated[int, Meta(ge=0, description="An offset, exclusive.")] | UnsetType = UNSET
    before: Annotated[int, Meta(ge=0, description="An offset, exclusive.")] | UnsetType = UNSET
    around: Annotated[ServerId, Meta(description="A message that the page is centred on.")] | UnsetType = UNSET
    limit: Limit | UnsetType = UNSET


class Presence(Struct):
    """Who follows a conversation now."""

    clients: Whole
    users: Whole


class StreamQuery(Struct):
    """Where an event stream begins."""

    after: Annotated[int, Meta(ge=0, description="The last offset that was seen; live without.")] | UnsetType = UNSET
    epoch: Annotated[str, Meta(max_length=128, description="The log that it belongs to.")] | UnsetType = UNSET


class Version(Struct):
    """Which program answers, and who gets in."""

    name: Literal["hubbub"]
    version: str
    python: str
    guests: Annotated[bool, Meta(description="Whether anyone may become a guest.")]
    sign_up: Annotated[Literal["open", "invite", "off"], Meta(description="Who may make an account.")]
    set_up: Annotated[bool, Meta(description="False while the server waits for its first administrator.")]
    password_min_chars: Annotated[int, Meta(ge=8, le=64, description="Least length of a new password.")]


class ConfigHealth(Struct):
    """Which settings are in force, and whether the last reading of the configuration was taken."""

    generation: Whole
    reload: Literal["ok", "failed"]


class Health(Struct):
    """The process lives."""

    status: Literal["ok"]
    config: ConfigHealth | UnsetType = UNSET


class Readiness(Struct):
    """Whether posts can be committed, and what is missing."""

    status: Literal["ready", "unavailable"]
    problems: list[str]
    since: Timestamp | UnsetType = UNSET
