"""Every error a client or an embedder can meet, and the one table that says how each looks on every wire.

    EngineError                     code, retry, retry_after_s
    ├── ClientError                 the caller's fault; asking again the same way will not help
    │   ├── InvalidCommand          malformed: an id, a cursor, a missing field
    │   ├── Unprocessable           well formed, but not acceptable: NUL in a text, another body under the same key
    │   ├── Unauthenticated         no principal, or a token that is unknown or over
    │   │   └── TokenExpired        a token that was good once: fetch another
    │   ├── Forbidden               known, and not allowed
    │   ├── NotFound                absent, or hidden from this principal (the two look alike on purpose)
    │   ├── NoLongerValid           it was good, and is used, over or taken back
    │   ├── Conflict                it exists already, or the state does not allow it
    │   ├── PreconditionFailed      it has changed since the caller looked at it
    │   ├── PayloadTooLarge         over a documented limit
    │   ├── LimitExceeded           too many subscriptions and the like
    │   ├── AlreadySubscribed       this session follows that conversation already
    │   ├── UnknownMethod           no such command
    │   └── RateLimited             too often; retry_after_s says when
    ├── Overloaded                  a bound was reached; nothing was kept; retry_after_s says when
    ├── RecoveryFailed              a cursor cannot be served; reason says why
    ├── CredentialChanged           whoever this is may do other things now than when it was opened: begin anew
    ├── SlowSubscriber              cut off for not reading; resume from the last offset
    ├── StoreError
    │   ├── StoreUnavailable        certainly not stored, and never will be
    │   ├── OutcomeUnknown          perhaps stored; retry with the same idempotency key
    │   └── StoreFenced             another server owns the database now
    ├── ConversationQuarantined     it crashed too often, and can at most be read until released
    ├── EngineClosed                you, or the operator, closed the engine
    └── EngineBroken                a bug of ours; the cause is in the log, never in the answer

A foreign error is mapped where it is met, with ``raise ... from``. Transports read `WIRE` and nothing else.
"""

from enum import StrEnum
from typing import ClassVar

import attrs


class Retry(StrEnum):
    """What a caller may do after an error."""

    NEVER = "never"  # the same request will fail again
    SAME = "same"  # send the same request with the same idempotency key
    AFTER = "after"  # the same, after retry_after_s
    RESYNC = "resync"  # fetch the state anew, then go on


class EngineError(Exception):
    """Base of all. ``str()`` is a sentence for people; `code` is stable for programs."""

    code: ClassVar[str] = "internal"
    retry: ClassVar[Retry] = Retry.NEVER
    retry_after_s: float | None = None


class ClientError(EngineError):
    """The caller's fault."""

    code: ClassVar[str] = "invalid_request"


class InvalidCommand(ClientError):
    """The request is malformed."""


class Unprocessable(ClientError):
    """Well formed, but its content cannot be accepted."""

    code = "unprocessable"


class Unauthenticated(ClientError):
    """No credential, or one that is unknown, revoked or expired."""

    code = "unauthenticated"


class TokenExpired(Unauthenticated):
    """A token that was good once; who can fetch another should, which the stock Centrifugal SDKs do by themselves."""

    code = "token_expired"


class Forbidden(ClientError):
    """The principal is known and may not do this."""

    code = "forbidden"


class NotFound(ClientError):
    """It does not exist, or this principal may not know that it does."""

    code = "not_found"


class NoLongerValid(ClientError):
    """It was good once, and is used up, over or taken back: an invite."""

    code = "no_longer_valid"


class Conflict(ClientError):
    """It exists already, or its state does not allow the change."""

    code = "conflict"


class PreconditionFailed(ClientError):
    """It is not, or not any more, in the version that the change was meant for; nothing was changed."""

    code = "precondition_failed"
    retry = Retry.RESYNC


class PayloadTooLarge(ClientError):
    """Over a documented size limit."""

    code = "too_large"


class LimitExceeded(ClientError):
    """A count per connection or principal is used up."""

    code = "limit_exceeded"


class AlreadySubscribed(ClientError):
    """The session follows this conversation already."""

    code = "already_subscribed"


class UnknownMethod(ClientError):
    """There is no such command or method."""

    code = "unknown_method"


class RateLimited(ClientError):
    """Too often."""

    code = "rate_limited"
    retry = Retry.AFTER

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Overloaded(EngineError):
    """A bound was reached; nothing of the request was kept."""

    code = "overloaded"
    retry = Retry.AFTER

    def __init__(self, message: str = "overloaded, try again shortly", *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RecoveryReason(StrEnum):
    """Why a cursor cannot be served."""

    EPOCH_CHANGED = "epoch_changed"
    TRIMMED = "trimmed"
    AHEAD = "ahead"


class RecoveryFailed(EngineError):
    """The events after a cursor cannot be given; `reason` says why."""

    code = "gone"
    retry = Retry.RESYNC

    def __init__(self, reason: RecoveryReason) -> None:
        super().__init__(f"the position cannot be resumed: {reason.value.replace('_', ' ')}")
        self.reason = reason


class CredentialChanged(EngineError):
    """What was opened under a credential has ended: its principal has another name or role now. Open it again."""

    code = "credential_changed"
    retry = Retry.SAME

    def __init__(self, message: str = "the account was changed: connect again") -> None:
        super().__init__(message)
        self.retry_after_s = 1.0


class SlowSubscriber(EngineError):
    """The subscriber did not read for too long and was cut off; nothing is lost, resume from the last offset."""

    code = "slow"
    retry = Retry.RESYNC


class StoreError(EngineError):
    """The durable store refused, or is away."""


class StoreUnavailable(StoreError):
    """The post was not sent to the store before its deadline: it is not stored and never will be."""

    code = "store_unavailable"
    retry = Retry.AFTER

    def __init__(self, message: str = "the store is not available", *, retry_after_s: float = 2.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class OutcomeUnknown(StoreError):
    """It was sent and the answer is missing: it may be stored. Retrying with the same key settles it, safely."""

    code = "outcome_unknown"
    retry = Retry.SAME

    def __init__(self, message: str = "sent, but not confirmed in time: retry with the same idempotency key") -> None:
        super().__init__(message)
        self.retry_after_s = 1.0


class StoreFenced(StoreError):
    """Another server has taken the database over; this one can write no more. The other one will answer the same request."""

    code = "fenced"
    retry = Retry.SAME
    retry_after_s = 2.0


class ConversationQuarantined(EngineError):
    """The conversation crashed too often: until it is released it is read-only, or (it cannot be loaded) not served at all."""

    code = "quarantined"
    retry = Retry.AFTER

    def __init__(self, message: str = "the conversation is quarantined after repeated crashes") -> None:
        super().__init__(message)
        self.retry_after_s = 30.0


class EngineClosed(EngineError):
    """The engine is shutting down or closed."""

    code = "closed"
    retry = Retry.AFTER

    def __init__(self, message: str = "the server is shutting down") -> None:
        super().__init__(message)
        self.retry_after_s = 2.0


class EngineBroken(EngineError):
    """A bug of ours ended this command."""

    code = "internal"
    retry = Retry.SAME

    def __init__(self, message: str = "internal error") -> None:
        super().__init__(message)
        self.retry_after_s = 1.0


@attrs.frozen
class Wire:
    """How one error code looks on the wires.

    Attributes:
        status: HTTP status of the problem document.
        title: its short, constant title.
        reply_code: error code in a Centrifugal reply. Codes below 400 are the protocol's own, others are ours.
        temporary: the reply's hint that a later try may succeed.
    """

    status: int
    title: str
    reply_code: int
    temporary: bool = False


WIRE: dict[str, Wire] = {
    "invalid_request": Wire(400, "Invalid request", 107),
    "unprocessable": Wire(422, "Content cannot be accepted", 422),
    "unauthenticated": Wire(401, "Authentication required", 101),
    "token_expired": Wire(401, "Token expired", 109),
    "credential_changed": Wire(503, "Account changed", 505, temporary=True),
    "forbidden": Wire(403, "Not allowed", 103),
    "not_found": Wire(404, "Not found", 102),
    "no_longer_valid": Wire(410, "No longer valid", 410),
    "conflict": Wire(409, "Conflict", 409),
    "precondition_failed": Wire(412, "Precondition failed", 412),
    "too_large": Wire(413, "Too large", 413),
    "limit_exceeded": Wire(429, "Limit exceeded", 106),
    "already_subscribed": Wire(409, "Already subscribed", 105),
    "unknown_method": Wire(404, "Unknown method", 104),
    "rate_limited": Wire(429, "Too many requests", 111, temporary=True),
    "overloaded": Wire(503, "Overloaded", 503, temporary=True),
    "gone": Wire(410, "Position cannot be resumed", 112),
    "slow": Wire(503, "Reader too slow", 503, temporary=True),
    "store_unavailable": Wire(503, "Store unavailable", 503, temporary=True),
    "outcome_unknown": Wire(503, "Outcome unknown", 504, temporary=True),
    "fenced": Wire(503, "Server was replaced", 503, temporary=True),
    "quarantined": Wire(503, "Conversation quarantined", 503, temporary=True),
    "closed": Wire(503, "Shutting down", 503, temporary=True),
    "internal": Wire(500, "Internal error", 100, temporary=True),
}


def error_of(code: str) -> EngineError:
    """An error with this code, for a subscription that was ended with it. Codes that no plain class has become EngineBroken."""
    kinds: tuple[type[EngineError], ...] = (
        SlowSubscriber, NotFound, Forbidden, Overloaded, StoreUnavailable, StoreFenced, ConversationQuarantined, EngineClosed
    )  # fmt: skip
    return next((kind() for kind in kinds if kind.code == code), EngineBroken())
