"""Bodies of the calls of admins, as types; see `shapes`."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from .parameters import ConversationId, Offset, ServerId, Timestamp, Whole


class TreeNode(Struct):
    """A supervisor, a registry, an actor or a task, and what is below it."""

    name: str
    kind: str
    state: str
    restarts: Whole
    children: list[TreeNode]
    depth: Annotated[int, Meta(ge=0, description="Messages in its mailbox.")] | UnsetType = UNSET
    capacity: Whole | UnsetType | None = UNSET
    reason: Annotated[str, Meta(description="Why it is quarantined, or cannot store.")] | UnsetType = UNSET
    omitted: Annotated[int, Meta(ge=0, description="Children left out.")] | UnsetType = UNSET


class Tree(Struct):
    """The supervision tree."""

    tree: TreeNode


class Room(Struct):
    """A conversation in memory."""

    conversation: ConversationId
    offset: Offset
    subscribers: Whole
    mailbox: Whole
    waiting: Whole
    lag: Annotated[int, Meta(ge=0, description="Events that the slowest subscriber has not been sent.")]
    slow: Annotated[int, Meta(ge=0, description="Subscribers that are behind.")]
    recent: Annotated[int, Meta(ge=0, description="Events of the last ten seconds.")]
    tail_events: Whole
    tail_bytes: Whole


class Rooms(Struct):
    """The loudest rooms, and sums over all."""

    rooms: list[Room]
    conversations: Whole
    subscribers: Whole
    tail_bytes: Whole


class RoomsQuery(Struct):
    """How many rooms."""

    limit: Annotated[int, Meta(ge=1, le=100)] | UnsetType = UNSET


class Quarantine(Struct):
    """A conversation that crashed too often."""

    conversation: ConversationId
    reason: str
    since: Timestamp
    crashes: Whole
    readable: bool


class Quarantines(Struct):
    """All of them."""

    quarantined: list[Quarantine]


class AuditRow(Struct):
    """A change of the server, or a try."""

    id: ServerId
    at: Timestamp
    actor: Annotated[str, Meta(description="A principal's id; null when nobody was recognised.")] | None
    actor_name: (
        Annotated[
            str,
            Meta(
                description="Its user name today, of a guest its name and '(guest)'; null for deleted accounts and others."
            ),
        ]
        | None
    )
    action: Annotated[str, Meta(description="Method and route; 'rpc' and a method.")]
    target: Annotated[str, Meta(description="What the path names, then the id of what was made, and what was changed.")]
    target_name: Annotated[str, Meta(description="As actor_name, of the user whom it is about.")] | None
    status: Annotated[int, Meta(ge=100, le=599)]
    code: Annotated[str, Meta(description="Of a refusal.")] | None
    address: str | None
    request_id: str | None


class Audit(Struct):
    """A page of the audit log, the newest rows first; `next` is the `before` of the next page, null at the end."""

    rows: list[AuditRow]
    next: ServerId | None


class AuditQuery(Struct):
    """Which rows."""

    before: ServerId | UnsetType = UNSET
    limit: Annotated[int, Meta(ge=1, le=500)] | UnsetType = UNSET
    actor: Annotated[str, Meta(max_length=128, description="Only rows of this principal.")] | UnsetType = UNSET
