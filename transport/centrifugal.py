"""One WebSocket connection speaking the Centrifugal protocol: the connection's machine and its subscribers' outlet.

It translates; what may be asked is the session's to say, what a principal may do the conversation's. Invariants: every command
with an id gets exactly one reply, in any order; before `connect` has succeeded nothing else is carried out; input is handled a
bounded number of commands a turn, and not at all while the peer does not take our output; meanwhile no more of it is read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import msgspec

from ..engine import EngineError, Overloaded
from ..engine.core import codec
from ..engine.core.errors import ClientError, UnknownMethod, Unprocessable
from ..engine.core.subscriber import Subscriber
from ..engine.log import get_logger
from . import centrifugal_wire as wire
from .api import Api, bearer_of, cookie_of, foreign_origin, problem, problem_of
from .auth import Credential
from .centrifugal_verbs import VERBS
from .centrifugal_wire import Disconnect
from .http_message import RequestHead, encode
from .ports import Connection
from .version import version
from .websocket import (
    Close,
    FrameReader,
    Ping,
    Pong,
    Text,
    Violation,
    check_upgrade,
    close_frame,
    handshake_response,
    text_frame,
)
from .websocket import pong_frame as pong

_log = get_logger("hubbub.transport.centrifugal")

# How long the reply to `connect` waits for those to the subscribes that came with it: a send costs more than all else in a
# reply. A room that answers, answers within a turn or two; crowds that come together keep one another waiting for more.
_PATIENCE_TURNS = 8


@attrs.frozen(kw_only=True)
class SocketSettings:
    """Bounds and pace of one WebSocket connection."""

    max_frame_bytes: int = 128 * 1024
    handshake_s: float = 10.0
    ping_s: float = 25.0
    pong_s: float = 10.0
    commands_per_turn: int = 64
    unanswered_commands: int = 128
    """Commands of one connection that may wait for their replies; until then no more are read, so that one client cannot fill
    a conversation's mailbox."""
    page_bytes: int = 64 * 1024
    """How much of what was missed the subscribe reply itself carries; the rest follows as pushes."""


class CentrifugalConnection:
    """The protocol state of one connection.

    Args:
        conn: the connection.
        head: the upgrade request; a credential in it is checked before the upgrade.
        api: what transports share.
        settings: bounds.
    """

    __slots__ = (
        "_behind",
        "_conn",
        "_corked",
        "_documents",
        "_ended",
        "_expires_at_ms",
        "_handling",
        "_head",
        "_last_pong",
        "_owed",
        "_patience",
        "_paused",
        "_reader",
        "_waiting",
        "api",
        "client",
        "push",
        "session",
        "settings",
    )

    def __init__(self, conn: Connection, head: RequestHead, api: Api, settings: SocketSettings) -> None:
        self._conn = conn
        self.api = api
        self.settings = settings
        self.session = api.session()
        self.client = ""
        self._expires_at_ms = 0  # the credential's, once there is one
        self.push = conn.push
        self._reader = FrameReader(settings.max_frame_bytes)
        self._documents: list[bytes] = []  # commands of the last frame, newest first, still to be handled
        self._corked: list[bytes] | None = None  # replies that wait for others, to leave in one frame
        self._handling = False
        self._patience = 0  # turns that they may still wait for what rooms answer
        self._behind: dict[Subscriber, None] | None = None
        self._waiting = True  # for an answer without which nothing else can be handled
        self._last_pong = True
        self._owed = 0
        self._paused = self._ended = False
        self._head: RequestHead | None = head  # until the upgrade
        conn.set_deadline(settings.handshake_s)
        self._open(head)

    # -- opening --------------------------------------------------------------------------------------------------------

    def _open(self, head: RequestHead) -> None:
        refusal = check_upgrade(head)
        if refusal is None and foreign_origin(head):
            refusal = problem(403, "forbidden", "pages of another origin may not connect")
        if refusal is not None:
            self._end(encode(refusal, keep_alive=False))
            return
        bearer, cookie = bearer_of(head), cookie_of(head)
        if bearer is not None:
            self.api.auth.check(bearer, self._checked_bearer)
        elif cookie is not None:
            self.api.auth.check(cookie, self._checked_cookie)
        else:
            self._upgrade(None)

    def _checked_bearer(self, found: Credential | EngineError) -> None:
        if isinstance(found, EngineError):
            self._end(encode(problem_of(found), keep_alive=False))
        else:
            self._upgrade(found)

    def _checked_cookie(self, found: Credential | EngineError) -> None:
        if isinstance(found, ClientError):
            self._upgrade(None)  # an old cookie is no reason to refuse: the connect command may still bring a token
        else:
            self._checked_bearer(found)

    def _upgrade(self, found: Credential | None) -> None:
        if self._ended or self._head is None:
            return  # given up while the credential was looked up
        self._conn.write(handshake_response(self._head))
        self._head = None
        if found is not None:
            self._take_credential(found)
        self._go_on()

    def _take_credential(self, found: Credential) -> None:
        self.session.principal = found.principal
        self._expires_at_ms = found.expires_at_ms

    # -- what the table calls -------------------------------------------------------------------------------------------

    def received(self, data: bytes) -> None:
        """Take frames."""
        self._reader.feed(data)
        self._handle_frames()

    def again(self) -> None:
        """Go on with frames kept from an earlier turn."""
        self._handle_frames()

    def writable(self) -> None:
        """Go on with what was refused: first the rooms, then the peer's commands."""
        behind, self._behind = self._behind, None
        for subscriber in behind or ():
            subscriber.resume()
        self._conn.again()

    def stalled(self) -> None:
        """The peer takes nothing: leave the rooms, and tell it why when it wakes up."""
        self.disconnect(Disconnect.SLOW)

    def timeout(self) -> None:
        """Ping, or give up a peer that has not answered, has not authenticated, or whose token has ended."""
        if not self.client:
            self.disconnect(Disconnect.STALE)
        elif self.api.engine.now_ms() >= self._expires_at_ms:
            self.disconnect(Disconnect.EXPIRED)
        elif self._conn.blocked or self._full:
            # Its pong may stand among what is not read now; whether it takes bytes fast enough the stall time judges.
            self._conn.set_deadline(self.settings.ping_s)
        elif self._last_pong:
            self._last_pong = False
            self._conn.write(wire.PING)
            self._conn.set_deadline(self.settings.pong_s)
        else:
            self.disconnect(Disconnect.NO_PONG)

    def eof(self) -> None:
        """A WebSocket ends with a Close frame; a peer that just stops sending is gone."""
        self._ended = True
        self._leave_all()
        self._uncork()
        self._conn.close()

    def closed(self) -> None:
        """Leave every room."""
        self._ended = True
        self._leave_all()

    # -- frames and commands ----------------------------------------------------------------------------------------------

    def _handle_frames(self) -> None:
        self._handling = True
        try:
            self._handle_some()
        finally:
            self._handling = False
            if self._corked is not None:
                if self._owed and self._patience:
                    self._patience -= 1
                    self._conn.again()
                else:
                    self._uncork()

    def _uncork(self) -> None:
        replies, self._corked = self._corked, None
        if replies is not None:
            self._conn.write(text_frame(b"\n".join(replies)))

    def _handle_some(self) -> None:
        for _ in range(self.settings.commands_per_turn):
            if self._ended:
                return
            if self._waiting or self._conn.blocked or self._full:  # `_go_on`, `writable` and `answer` go on
                self._hold()
                return
            if self._documents:
                self._handle_document(self._documents.pop())
                continue
            event = self._reader.next_event()
            match event:
                case Text(payload):
                    self._documents = [line for line in reversed(payload.split(b"\n")) if line]
                case Ping(payload):
                    self._conn.write(pong(payload))
                case Pong():
                    pass
                case Close(code, _):
                    self._end(close_frame(code if code != 1005 else 1000))
                case Violation(code, reason):
                    self._end(close_frame(code, reason))
                case None:
                    self._read_on()
                    return
        if not self._ended:
            self._hold()  # else a flood of small frames would be taken in faster than it is handled
            self._conn.again()

    @property
    def _full(self) -> bool:
        return self._owed >= self.settings.unanswered_commands

    def _hold(self) -> None:
        if not self._paused:
            self._paused = True
            self._conn.pause()

    def _read_on(self) -> None:
        if self._paused:
            self._paused = False
            self._conn.resume()

    def _handle_document(self, document: bytes) -> None:
        try:
            command = wire.decode_command(document)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
            self._handle_undecodable(document)
            return
        if command.connect is not None:
            self._connect(command.id, command.connect)
        elif not self.client:
            self.disconnect(Disconnect.BAD_REQUEST)
        elif command.id > 0:
            self._carry_out(command)
        elif command.send is None:  # a message without reply that nobody here listens to, or else a pong
            if document.strip() != b"{}":
                self.disconnect(Disconnect.BAD_REQUEST)
            elif not self._last_pong:
                self._last_pong = True
                self._conn.set_deadline(self.settings.ping_s)

    def _handle_undecodable(self, document: bytes) -> None:
        command_id = wire.id_beside_lone_surrogate(document) if self.client else None
        if command_id is None:
            self.disconnect(Disconnect.BAD_REQUEST)
        else:
            self.say(wire.error_reply(command_id, Unprocessable("a text may not hold a lone surrogate")))

    def _carry_out(self, command: wire.Command) -> None:
        for name, verb in VERBS.items():
            request = getattr(command, name)
            if request is not None:
                self._owed += 1
                try:
                    verb(self, command.id, request)
                except EngineError as error:
                    self.answer(wire.error_reply(command.id, error))
                return
        self.say(wire.error_reply(command.id, UnknownMethod("no such command")))

    # -- connect ----------------------------------------------------------------------------------------------------------

    def _connect(self, command_id: int, request: wire.Connect) -> None:
        if self.client or command_id <= 0:
            self.disconnect(Disconnect.BAD_REQUEST)
        elif request.token:
            self._waiting = True
            self.api.auth.check(request.token, lambda found: self._authenticated(command_id, found))
        elif self.session.principal is not None:
            self._connected(command_id)
        else:
            self.disconnect(Disconnect.INVALID_TOKEN)

    def _authenticated(self, command_id: int, found: Credential | EngineError) -> None:
        if self._ended:
            return
        if isinstance(found, ClientError):
            self.disconnect(Disconnect.INVALID_TOKEN)
        elif isinstance(found, EngineError):
            self.disconnect(Disconnect.STORE_AWAY)
        else:
            self._take_credential(found)
            self._connected(command_id)
            self._go_on()

    def _connected(self, command_id: int) -> None:
        self.client = self.api.engine.fresh_id()
        body = {
            "client": self.client,
            "version": f"hubbub {version()}",
            "ping": int(self.settings.ping_s),
            "pong": True,
        }
        self._patience = _PATIENCE_TURNS
        self.say(wire.reply(command_id, b"connect", codec.encode_json(body)))
        self._conn.set_deadline(self.settings.ping_s)

    def _go_on(self) -> None:
        self._waiting = False
        if self._paused:  # something came meanwhile and was kept
            self._conn.again()

    # -- output -------------------------------------------------------------------------------------------------------------

    def say(self, reply: bytes) -> None:
        """Send a reply; what one turn's commands bring leaves in one frame. What a room answers leaves at once: pushes follow."""
        if self._corked is not None:
            self._corked.append(reply)
            if not self._handling:
                self._uncork()
        elif self._handling:
            self._corked = [reply]
        else:
            self._conn.write(text_frame(reply))

    def answer(self, reply: bytes) -> None:
        """Give a command its one reply."""
        if self._full:
            self._conn.again()
        self._owed -= 1
        self.say(reply)

    def replying(self, command_id: int, kind: bytes, make: Callable[[Any], bytes]) -> Callable[[Any], None]:
        """A command's reply that answers the peer: an error, else what `make` makes of the answer."""

        def done(answer: Any) -> None:
            if isinstance(answer, EngineError):
                self.answer(wire.error_reply(command_id, answer))
            else:
                self.answer(wire.reply(command_id, kind, make(answer)))

        return done

    def disconnect(self, why: Disconnect) -> None:
        """Leave the rooms, say why, and close. Before the upgrade it is said in HTTP."""
        if self._head is None:
            self._end(close_frame(why.code, why.reason))
        else:
            self._end(encode(problem_of(Overloaded("no answer in time, try again shortly")), keep_alive=False))

    def _end(self, last_words: bytes) -> None:
        if self._ended:
            return
        self._ended = True
        self._leave_all()
        self._uncork()
        self._conn.write(last_words)
        self._conn.close()

    def _leave_all(self) -> None:
        self._behind = None
        following = list(self.session.following.values())
        self.session.following.clear()
        for subscriber in following:
            subscriber.leave()

    # -- what rooms call ------------------------------------------------------------------------------------------------------

    def fell_behind(self, subscriber: Subscriber) -> None:
        """A push was refused; `writable` goes on."""
        if self._behind is None:
            self._behind = {}
        self._behind[subscriber] = None

    def cut_off(self, subscriber: Subscriber, code: str) -> None:
        """A room ends the subscription; the client subscribes again from its position."""
        subscriber.leave()
        room = subscriber.host
        if room is not None and self.session.unfollow(room.id, subscriber) is not None:
            self._conn.write(wire.unsubscribe_push(room.id, wire.RESUBSCRIBE, code))
