"""hubbub: a concurrent chat engine on trio. Durable, ordered, resumable rooms.

This module is the public face: what an embedder needs, re-exported. `hubbub.actors` is the kernel of actors for its own sake,
`hubbub.transport` the server, `hubbub.storage` the stores. Everything else may change without notice.

Names are imported when they are first used: who takes the kernel of actors alone does not load a database driver.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .actors import RestartsExceeded
    from .engine import (
        SYSTEM,
        Ack,
        Author,
        ClientError,
        Conflict,
        Conversation,
        ConversationKind,
        ConversationQuarantined,
        ConversationSettings,
        Cursor,
        Draft,
        Engine,
        EngineBroken,
        EngineClosed,
        EngineError,
        EngineSettings,
        Event,
        EventType,
        Forbidden,
        InvalidCommand,
        Invite,
        LimitExceeded,
        MadeInvite,
        Member,
        Members,
        Membership,
        Message,
        MessagePage,
        NoLongerValid,
        NotFound,
        OutcomeUnknown,
        Overloaded,
        PayloadTooLarge,
        PreconditionFailed,
        Principal,
        RateLimited,
        Record,
        RecoveryFailed,
        RecoveryReason,
        Retry,
        Role,
        Roster,
        Scope,
        ServerRole,
        SlowSubscriber,
        Store,
        StoreError,
        StoreFenced,
        StoreHealth,
        StoreUnavailable,
        Subscription,
        Unauthenticated,
        Unprocessable,
        Visibility,
        WriterSettings,
    )
    from .storage import MemoryStore, PostgresStore, SchemaRefused, StoreInUse
    from .storage.embedded import EmbeddedError, EmbeddedPostgres, EmbeddedSettings, PostgresFailed, open_embedded
    from .transport.live import GUESTS_WELCOME, AccessSettings, Live, LiveSettings
    from .transport.serve import AddressInUse, ServeSettings, Serving, serve

__all__ = [
    "GUESTS_WELCOME",
    "SYSTEM",
    "AccessSettings",
    "Ack",
    "AddressInUse",
    "Author",
    "ClientError",
    "Conflict",
    "Conversation",
    "ConversationKind",
    "ConversationQuarantined",
    "ConversationSettings",
    "Cursor",
    "Draft",
    "EmbeddedError",
    "EmbeddedPostgres",
    "EmbeddedSettings",
    "Engine",
    "EngineBroken",
    "EngineClosed",
    "EngineError",
    "EngineSettings",
    "Event",
    "EventType",
    "Forbidden",
    "InvalidCommand",
    "Invite",
    "LimitExceeded",
    "Live",
    "LiveSettings",
    "MadeInvite",
    "Member",
    "Members",
    "Membership",
    "MemoryStore",
    "Message",
    "MessagePage",
    "NoLongerValid",
    "NotFound",
    "OutcomeUnknown",
    "Overloaded",
    "PayloadTooLarge",
    "PostgresFailed",
    "PostgresStore",
    "PreconditionFailed",
    "Principal",
    "RateLimited",
    "Record",
    "RecoveryFailed",
    "RecoveryReason",
    "RestartsExceeded",
    "Retry",
    "Role",
    "Roster",
    "SchemaRefused",
    "Scope",
    "ServeSettings",
    "ServerRole",
    "Serving",
    "SlowSubscriber",
    "Store",
    "StoreError",
    "StoreFenced",
    "StoreHealth",
    "StoreInUse",
    "StoreUnavailable",
    "Subscription",
    "Unauthenticated",
    "Unprocessable",
    "Visibility",
    "WriterSettings",
    "open_embedded",
    "serve",
]

_ELSEWHERE = {
    "GUESTS_WELCOME": ".transport.live",
    "AccessSettings": ".transport.live",
    "Live": ".transport.live",
    "LiveSettings": ".transport.live",
    "AddressInUse": ".transport.serve",
    "EmbeddedError": ".storage.embedded",
    "EmbeddedPostgres": ".storage.embedded",
    "EmbeddedSettings": ".storage.embedded",
    "MemoryStore": ".storage",
    "PostgresFailed": ".storage.embedded",
    "PostgresStore": ".storage",
    "RestartsExceeded": ".actors",
    "SchemaRefused": ".storage",
    "ServeSettings": ".transport.serve",
    "Serving": ".transport.serve",
    "StoreInUse": ".storage",
    "open_embedded": ".storage.embedded",
    "serve": ".transport.serve",
}
"""Where the names come from that are not the engine's."""


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_ELSEWHERE.get(name, ".engine"), __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
