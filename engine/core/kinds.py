"""The closed sets of words of the domain: what a conversation can be, and what can happen in one."""

from enum import StrEnum
from typing import Final


class Visibility(StrEnum):
    """Who may see a conversation: everybody with a principal, or its members."""

    PUBLIC = "public"
    PRIVATE = "private"


class ConversationKind(StrEnum):
    """What a conversation is for."""

    ROOM = "room"
    DIRECT = "direct"
    """Between two, private, with the same two members for ever and nobody in office."""
    ANNOUNCEMENT = "announcement"
    """Owners and moderators speak, the others read."""


class EventType(StrEnum):
    """Types of events. The durable ones carry an offset."""

    MESSAGE_CREATED = "message.created"
    MEMBER_JOINED = "member.joined"
    MEMBER_LEFT = "member.left"
    MEMBER_CHANGED = "member.changed"
    CONVERSATION_UPDATED = "conversation.updated"
    CONVERSATION_ARCHIVED = "conversation.archived"
    TYPING = "typing"
    SERVER_DRAINING = "server.draining"


MEMBER_EVENTS: Final = frozenset({EventType.MEMBER_JOINED, EventType.MEMBER_LEFT, EventType.MEMBER_CHANGED})
