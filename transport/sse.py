"""Event streams: one conversation over one HTTP response, as a machine of the connection table.

Until the conversation has answered, a refusal is an ordinary HTTP answer; from then on the connection is a sink of the room.
"""

from __future__ import annotations

import attrs
from attrs.validators import ge, gt

from ..engine import EngineClosed, Overloaded
from ..engine.core import framing
from ..engine.core.errors import CredentialChanged, EngineError
from ..engine.core.recovery import Live, Reset
from ..engine.core.subscriber import Joined, Subscriber
from .admission import Visit
from .answers import problem_of
from .api import Api
from .auth import NO_CREDENTIAL, Credential
from .call import query_of
from .http_message import RequestHead
from .limit_settings import Action
from .ports import Connection

_FORMAT = framing.EventStreamFormat()
_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-store\r\n"
    b"x-accel-buffering: no\r\n%bconnection: close\r\n\r\n"
)
_STOPPING = frozenset({"shutdown", EngineClosed.code})


@attrs.frozen(kw_only=True)
class StreamSettings:
    """Pace of an event stream.

    Attributes:
        heartbeat_s: a comment is sent this often, so that proxies and readers see life.
        retry_ms: what a browser waits before it reconnects.
        join_s: a conversation that has not answered by then gets a 503.
    """

    heartbeat_s: float = attrs.field(default=20.0, validator=gt(0))
    retry_ms: int = attrs.field(default=2_000, validator=ge(0))
    join_s: float = attrs.field(default=30.0, validator=gt(0))


class EventStream:
    """One event stream. It is both the connection's machine and the subscriber's outlet.

    Args:
        conn: the connection, with nothing unsent.
        head: the request.
        api: what transports share.
        name: the conversation id as it stood in the path.
    """

    __slots__ = (
        "_api",
        "_behind",
        "_conn",
        "_ended",
        "_head",
        "_name",
        "_open",
        "_settings",
        "_subscriber",
        "_visit",
        "credential",
        "push",
    )

    def __init__(self, conn: Connection, head: RequestHead, api: Api, name: str, settings: StreamSettings) -> None:
        self._conn = conn
        self._head = head
        self._api = api
        self._name = name
        self._settings = settings
        self._subscriber: Subscriber | None = None
        self.credential = NO_CREDENTIAL
        self._open = False
        self._behind = False
        self._ended = False
        self.push = conn.push
        self._visit: Visit | None = None
        api.watch.meters.open["events"] += 1
        conn.set_deadline(settings.join_s)
        try:
            self._visit = api.admission.enter(None if conn.peer is None else conn.peer[0], head)
        except EngineError as error:
            self._refuse(error)
            return
        api.authenticate(head, self._authenticated)

    # -- opening ------------------------------------------------------------------------------------------------------

    def _authenticated(self, found: Credential | EngineError) -> None:
        if self._ended:
            return  # the reader left while its credential was looked up: nobody would ever end a subscription
        if isinstance(found, EngineError):
            self._refuse(found)
            return
        self.credential = found
        self._api.auth.watch(self)
        try:
            address = None if self._visit is None else self._visit.address
            ruling = self._api.admission.limits.decide(Action.SUBSCRIBE, address, found.principal.id, self._name)
            if ruling is not None and (refusal := ruling.refusal) is not None:
                raise refusal
            query = query_of(self._head)
            since = framing.since_of(self._head.header("last-event-id"), query.get("after"), query.get("epoch"))
            session = self._api.session(found.principal)
            client = self._api.engine.fresh_id()
            conversation, join = session.follow(
                self._name, since, lambda principal: Subscriber(self, _FORMAT, principal, client), 0, self._joined
            )
            self._subscriber = join.subscriber
            self._api.engine.send(conversation, join)
        except EngineError as error:
            self._refuse(error)

    def _joined(self, joined: Joined | EngineError) -> None:
        if self._ended:
            return
        if isinstance(joined, EngineError):
            self._refuse(joined)
            return
        record, decision = joined.record, joined.decision
        live = isinstance(decision, Live)
        opening = framing.opening(record.epoch, joined.offset, live=live, retry_ms=self._settings.retry_ms)
        if isinstance(decision, Reset):
            opening += framing.reset(decision.reason, record.epoch, joined.offset)
        self._open = True
        who = "" if self._subscriber is None else self._subscriber.principal.id
        self._api.watch.opened("events", self._head, 200, principal=who, about=self._name)
        self._conn.write(_HEAD % self._api.manners.lines(self._head) + opening)
        self._conn.set_deadline(self._settings.heartbeat_s)

    def _refuse(self, error: EngineError) -> None:
        if isinstance(error, EngineClosed):
            self._turn_away(error)
            return
        answer = problem_of(error)
        if not self._ended:
            self._api.watch.opened("events", self._head, answer.status, code=error.code, about=self._name)
        self._end(self._api.manners.encode(answer, self._head, False))

    def _turn_away(self, error: EngineClosed) -> None:
        """The server stops: a stream that ends at once. A browser comes back after a stream, and never after any other status."""
        if not self._ended:
            self._api.watch.opened("events", self._head, 200, code=error.code, about=self._name)
        words = framing.turned_away("shutdown", retry_ms=self._settings.retry_ms)
        self._end(_HEAD % self._api.manners.lines(self._head) + words)

    def _end(self, last_words: bytes) -> None:
        """Leave the conversation, say why, and close; once."""
        if self._ended:
            return
        self._ended = True
        self._api.auth.unwatch(self)
        subscriber, self._subscriber = self._subscriber, None  # they hold one another: nothing is left to the collector
        if subscriber is not None:
            subscriber.leave()
        self._conn.write(last_words)
        self._conn.close()

    def credential_ended(self, error: EngineError) -> None:
        """The token was revoked, or its account is another one now: what was allowed before is no longer."""
        if self._open:
            self.end("account_changed" if isinstance(error, CredentialChanged) else "revoked")
        else:
            self._refuse(error)

    # -- what the table calls -------------------------------------------------------------------------------------------

    def received(self, data: bytes) -> None:
        """Input behind the request has no meaning here."""

    def again(self) -> None:
        """Nothing is ever kept."""

    def writable(self) -> None:
        """Go on where a push was refused."""
        if self._behind and self._subscriber is not None:
            self._behind = False
            self._subscriber.resume()

    def stalled(self) -> None:
        """The reader takes nothing: let go of the room, and tell it why when it wakes up."""
        self.end("slow")

    def timeout(self) -> None:
        """Show life; or end with the token, or give up on a conversation that does not answer."""
        if not self._open:
            self._refuse(Overloaded("the conversation does not answer"))
            return
        if self._api.engine.now_ms() >= self.credential.expires_at_ms:
            self.end("expired")
            return
        self._conn.push(framing.HEARTBEAT)  # refused when blocked: the stall time judges that
        self._conn.set_deadline(self._settings.heartbeat_s)

    def eof(self) -> None:
        """The reader has closed its side; readers of streams do that only when they leave."""
        self._end(b"")

    def closed(self) -> None:
        """Leave the conversation."""
        self._api.watch.meters.open["events"] -= 1
        self._end(b"")
        if self._visit is not None:
            self._visit.leave()

    # -- what the room calls --------------------------------------------------------------------------------------------

    def fell_behind(self, subscriber: Subscriber) -> None:
        """A push was refused; `writable` goes on."""
        self._behind = True

    def cut_off(self, subscriber: Subscriber, code: str) -> None:
        """The engine ends the stream; the reader resumes from its last id."""
        self.end(code)

    def end(self, code: str) -> None:
        """Say why, then close; in HTTP while the stream has not begun."""
        if self._open:
            if not self._ended:
                self._api.watch.meters.parted("events", code)
            self._end(framing.end(code))
        else:
            self._refuse(EngineClosed() if code in _STOPPING else Overloaded("the stream could not begin"))
