"""The chat engine: conversations as supervised actors over a durable store. Knows nothing of Postgres, HTTP or sockets."""

from ._blocks import Blocks
from ._engine import Engine
from ._handles import Conversation, Subscription
from ._invites import Invites, MadeInvite, Offer
from ._membership import Membership
from ._quarantine import QuarantinedConversation
from ._statistics import EngineStatistics, RoomStatistics
from .core.authors import Author
from .core.blocks import Block
from .core.commands import Roster
from .core.config import ConversationSettings, EngineSettings, WriterSettings
from .core.cursor import Cursor
from .core.errors import (
    ClientError,
    Conflict,
    ConversationQuarantined,
    EngineBroken,
    EngineClosed,
    EngineError,
    Forbidden,
    InvalidCommand,
    LimitExceeded,
    NoLongerValid,
    NotFound,
    OutcomeUnknown,
    Overloaded,
    PayloadTooLarge,
    PreconditionFailed,
    RateLimited,
    RecoveryFailed,
    RecoveryReason,
    Retry,
    SlowSubscriber,
    StoreError,
    StoreFenced,
    StoreUnavailable,
    Unauthenticated,
    Unprocessable,
)
from .core.invites import Invite
from .core.kinds import ConversationKind, EventType, Visibility
from .core.members import Member, Members, Role
from .core.messages import Ack, ConversationChange, Draft, Event, Message, MessagePage, Record
from .core.principals import SYSTEM, Principal, Scope, ServerRole
from .ports import Store, StoreHealth

__all__ = [
    "SYSTEM",
    "Ack",
    "Author",
    "Block",
    "Blocks",
    "ClientError",
    "Conflict",
    "Conversation",
    "ConversationChange",
    "ConversationKind",
    "ConversationQuarantined",
    "ConversationSettings",
    "Cursor",
    "Draft",
    "Engine",
    "EngineBroken",
    "EngineClosed",
    "EngineError",
    "EngineSettings",
    "EngineStatistics",
    "Event",
    "EventType",
    "Forbidden",
    "InvalidCommand",
    "Invite",
    "Invites",
    "LimitExceeded",
    "MadeInvite",
    "Member",
    "Members",
    "Membership",
    "Message",
    "MessagePage",
    "NoLongerValid",
    "NotFound",
    "Offer",
    "OutcomeUnknown",
    "Overloaded",
    "PayloadTooLarge",
    "PreconditionFailed",
    "Principal",
    "QuarantinedConversation",
    "RateLimited",
    "Record",
    "RecoveryFailed",
    "RecoveryReason",
    "Retry",
    "Role",
    "RoomStatistics",
    "Roster",
    "Scope",
    "ServerRole",
    "SlowSubscriber",
    "Store",
    "StoreError",
    "StoreFenced",
    "StoreHealth",
    "StoreUnavailable",
    "Subscription",
    "Unauthenticated",
    "Unprocessable",
    "Visibility",
    "WriterSettings",
]
