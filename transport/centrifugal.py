"""One connection speaking the Centrifugal protocol, whatever frames it: the connection's machine and its subscribers' outlet.

It translates; what may be asked is the session's to say, what a principal may do the conversation's. Invariants: every command
with an id gets exactly one reply, in any order; before `connect` has succeeded nothing else is carried out; input is handled a
bounded number of commands a turn, and not at all while the peer does not take our output; meanwhile no more of it is read.

Left out: how commands arrive, which is each transport's own (`centrifugal_websocket`), how replies leave (`centrifugal_replies`),
what the connection is open under (`centrifugal_holder`) and how documents are wrapped (`centrifugal_framing`).
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import msgspec

from ..engine import EngineClosed, EngineError, Overloaded
from ..engine.core.errors import UnknownMethod, Unprocessable
from ..engine.core.subscriber import Subscriber
from . import centrifugal_wire as wire
from .answers import problem_of
from .api import Api
from .auth import Credential
from .centrifugal_admission import admit
from .centrifugal_framing import Framing
from .centrifugal_holder import CredentialHolder
from .centrifugal_settings import SocketSettings
from .centrifugal_tokens import connect, connect_body, end_subscriptions, tell_cut_off
from .centrifugal_verbs import ACTIONS, VERBS
from .centrifugal_wire import Disconnect
from .http_message import RequestHead, Response
from .limit_settings import Action
from .ports import Connection

# How long the reply to `connect` waits for those to the subscribes that came with it: a send costs more than all else in a
# reply. A room that answers, answers within a turn or two; crowds that come together keep one another waiting for more.
_PATIENCE_TURNS = 8


class CentrifugalConnection(CredentialHolder):
    """The protocol state of one connection. A transport is a subclass: it knows how the connection opens and how input comes.

    Args:
        conn: the connection.
        head: the request that opens it; a credential in it is checked before it is accepted.
        api: what transports share.
        settings: bounds.
        framing: how what is said is wrapped.

    Attributes:
        opening_status: of the answer that accepts the request.
        request_id: of the request that opened it; what is said by it comes by that request, as far as the store is concerned.
    """

    opening_status: ClassVar[int] = 200

    __slots__ = (
        "_behind",
        "_documents",
        "_ended",
        "_full_at_ns",
        "_head",
        "_patience",
        "_paused",
        "_waiting",
        "client",
        "push",
        "request_id",
    )

    def __init__(
        self, conn: Connection, head: RequestHead, api: Api, settings: SocketSettings, framing: Framing
    ) -> None:
        super().__init__(conn, api, settings, framing)
        self.client = ""
        self.request_id = head.request_id
        self.push = conn.push
        self._documents: list[bytes] = []  # commands that came together, newest first, still to be handled
        self._patience = 0  # turns that they may still wait for what rooms answer
        self._behind: dict[Subscriber, None] | None = None
        self._waiting = True  # for an answer without which nothing else can be handled
        self._paused = self._ended = False
        self._head: RequestHead | None = head  # until it is accepted
        self._full_at_ns = 0  # of the bucket of its commands
        conn.set_deadline(settings.handshake_s)
        self._open(head)
        api.watch.meters.open[self.transport] += 1

    # -- what a transport says ------------------------------------------------------------------------------------------

    @abstractmethod
    def _refusal(self, head: RequestHead) -> Response | None:
        """The answer to a request that cannot open a connection of this transport; None for one that can."""

    @abstractmethod
    def _opening(self, head: RequestHead) -> bytes:
        """What accepts the request; everything after it is framed."""

    @abstractmethod
    def _next_input(self) -> bool:
        """Take one step of the input that came: documents to `_documents`, or what the framing itself asks for.

        Returns:
            False when there was none.
        """

    # -- opening --------------------------------------------------------------------------------------------------------

    def _open(self, head: RequestHead) -> None:
        refusal = problem_of(EngineClosed()) if self.api.engine.draining else self._refusal(head)
        if refusal is not None:
            self._refuse(refusal)
            return
        peer = self._conn.peer
        try:
            self._visit = self.api.admission.enter(None if peer is None else peer[0], head)
        except EngineError as error:
            self._refuse(problem_of(error))
            return
        admit(head, self.api, self._accept, self._refuse)

    def _refuse(self, answer: Response) -> None:
        if self._head is not None and not self._ended:
            self.api.watch.opened(self.transport, self._head, answer.status, code=answer.code)
        self._end(self.api.manners.encode(answer, self._head, False))

    def _accept(self, found: Credential | None) -> None:
        if self._ended or self._head is None:
            return  # given up while the credential was looked up
        if found is None and self._visit is not None:
            try:
                self._visit.estrange()
            except EngineError as error:
                self._refuse(problem_of(error))
                return
        self._conn.write(self._opening(self._head))
        principal = "" if found is None else found.principal.id
        self.api.watch.opened(self.transport, self._head, self.opening_status, principal=principal)
        self._head = None
        if found is not None:
            self.take_credential(found)
        self.go_on()

    # -- what the table calls -------------------------------------------------------------------------------------------

    @abstractmethod
    def received(self, data: bytes) -> None:
        """Take bytes."""

    def again(self) -> None:
        """Go on with input kept from an earlier turn."""
        self._handle_input()

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
            self.disconnect(Disconnect.STORE_AWAY if self.session.following else Disconnect.STALE)
        elif self.tenure.is_over(now_ms := self.api.engine.now_ms()):
            self.disconnect(Disconnect.EXPIRED)
        elif self._early_s:
            end_subscriptions(self, self.tenure.take_over(now_ms))
            self._arm(self._early_s)
        elif self._conn.blocked or self._full:
            # Its pong may stand among what is not read now; whether it takes bytes fast enough the stall time judges.
            self._arm(self.settings.ping_s)
        elif self._last_pong:
            self._last_pong = False
            self._conn.write(self._framing.ping)
            self._arm(self.settings.pong_s)
        else:
            self.disconnect(Disconnect.NO_PONG)

    def eof(self) -> None:
        """A peer that just stops sending is gone."""
        self._ended = True
        self.leave_all()
        self._uncork()
        self._conn.close()

    def closed(self) -> None:
        """Leave every room."""
        self.api.watch.meters.open[self.transport] -= 1
        self._ended = True
        self.leave_all()
        if self._visit is not None:
            self._visit.leave()

    # -- input and commands -----------------------------------------------------------------------------------------------

    def _handle_input(self) -> None:
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
            if not self._next_input():
                self._read_on()
                return
        if not self._ended:
            self._hold()  # else a flood of small frames would be taken in faster than it is handled
            self._conn.again()

    @property
    def address(self) -> str:
        """Where its client is; "" where that is not known."""
        visit, peer = self._visit, self._conn.peer
        return (None if visit is None else visit.address) or (peer[0] if peer is not None else "")

    @property
    def is_ended(self) -> bool:
        """Nothing that is said now would arrive."""
        return self._ended

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
            connect(self, command.id, command.connect)
        elif not self.client:
            self.disconnect(Disconnect.BAD_REQUEST)
        elif command.id > 0:
            self._carry_out(command)
        elif command.send is None:  # a message without reply that nobody here listens to, or else a pong
            if document.strip() != b"{}":
                self.disconnect(Disconnect.BAD_REQUEST)
            elif not self._last_pong:
                self._last_pong = True
                self._arm(self.settings.ping_s)

    def _handle_undecodable(self, document: bytes) -> None:
        command_id = wire.id_beside_lone_surrogate(document) if self.client else None
        if command_id is None:
            self.disconnect(Disconnect.BAD_REQUEST)
        else:
            self.say(self.refusal(command_id, Unprocessable("a text may not hold a lone surrogate")))

    def _carry_out(self, command: wire.Command) -> None:
        for name, verb in VERBS.items():
            request = getattr(command, name)
            if request is not None:
                self._owed += 1
                try:
                    self._count(ACTIONS.get(name, Action.WRITE), request)
                    verb(self, command.id, request)
                except EngineError as error:
                    self.answer(self.refusal(command.id, error, self.charge))
                return
        self.say(self.refusal(command.id, UnknownMethod("no such command")))

    def _count(self, action: Action, request: Any) -> None:
        """Count a command against the connection's limit and its own; an rpc's own when it is known which method it is.

        Raises:
            RateLimited.
        """
        self.charge = None
        limits = self.api.admission.limits
        now_ns = limits.clock_ns()
        self._full_at_ns = limits.take_command(self._full_at_ns, now_ns)
        if action is not Action.FREE:
            self.limit(action, getattr(request, "channel", ""), now_ns)

    def limit(self, action: Action, conversation: str, now_ns: int | None = None) -> None:
        """Count what is asked by its caller and its conversation.

        Args:
            now_ns: as for `Limits.decide`.

        Raises:
            RateLimited.
        """
        visit, limits = self._visit, self.api.admission.limits
        ruling = limits.decide(
            action, None if visit is None else visit.address, self.session.require().id, conversation, now_ns
        )
        if ruling is not None and (refusal := ruling.refusal) is not None:
            raise refusal
        self.charge = limits.charged(action, conversation)

    # -- connect ----------------------------------------------------------------------------------------------------------

    def wait(self) -> None:
        """Handle no more input until `go_on`."""
        self._waiting = True

    def connected(self, client: str, command_id: int, more: bytes) -> None:
        """Answer `connect`: from now on this is a client. `more` is spliced into the reply."""
        self.client = client
        self._patience = _PATIENCE_TURNS
        self.say(wire.reply(command_id, b"connect", connect_body(self, client, more)))
        self._arm(self.settings.ping_s)
        self.go_on()

    def go_on(self) -> None:
        """What was waited for is there: take commands again."""
        self._waiting = False
        if self._paused:  # something came meanwhile and was kept
            self._conn.again()

    # -- the end ----------------------------------------------------------------------------------------------------------

    def disconnect(self, why: Disconnect) -> None:
        """Leave the rooms, say why, and close. Before the request is accepted it is said in HTTP."""
        if self._head is None:
            if not self._ended:
                self.api.watch.meters.parted(self.transport, str(why.code))
            self._end(self._framing.farewell(why.code, why.reason))
        else:
            self._refuse(problem_of(Overloaded("no answer in time, try again shortly")))

    def _end(self, last_words: bytes) -> None:
        if self._ended:
            return
        self._ended = True
        self.leave_all()
        self._uncork()
        self._conn.write(last_words)
        self._conn.close()

    def leave_all(self) -> None:
        """Leave every room, and watch no credential."""
        self.api.auth.unwatch(self)
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
        """A room ends the subscription; the client may resume."""
        subscriber.leave()
        room = subscriber.host
        if room is not None and self.session.unfollow(room.id, subscriber) is not None:
            tell_cut_off(self, subscriber, room.id, code)
