"""The chat engine: conversations as supervised actors over a durable store. Knows nothing of Postgres, HTTP or sockets."""

from ._engine import Engine
from ._handles import SYSTEM, Conversation, Subscription
from ._quarantine import QuarantinedConversation
from ._statistics import EngineStatistics, RoomStatistics
from .core.authors import Author
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
    NotFound,
    OutcomeUnknown,
    Overloaded,
    PayloadTooLarge,
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
from .core.kinds import EventType, Visibility
from .core.messages import Ack, Draft, Event, Message, MessagePage, Record
from .core.principals import Principal
from .ports import Store, StoreHealth, TokenRecord

__all__ = [
    "SYSTEM",
    "Ack",
    "Author",
    "ClientError",
    "Conflict",
    "Conversation",
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
    "LimitExceeded",
    "Message",
    "MessagePage",
    "NotFound",
    "OutcomeUnknown",
    "Overloaded",
    "PayloadTooLarge",
    "Principal",
    "QuarantinedConversation",
    "RateLimited",
    "Record",
    "RecoveryFailed",
    "RecoveryReason",
    "Retry",
    "RoomStatistics",
    "Roster",
    "SlowSubscriber",
    "Store",
    "StoreError",
    "StoreFenced",
    "StoreHealth",
    "StoreUnavailable",
    "Subscription",
    "TokenRecord",
    "Unauthenticated",
    "Unprocessable",
    "Visibility",
    "WriterSettings",
]
