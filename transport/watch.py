"""Watch: what is noted of every request, in one place for all lanes: its figures, its access log line, its audit row.

An access log line is an event `request` of the logger ``hubbub.access`` at level info: method, route (the template, never the
path), status, code of a refusal, duration_ms, request_id, principal, address, and the conversation that the path names.
Never a query, a header or a body.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from ..engine.audit import NOBODY, AuditRow
from ..engine.core.errors import WIRE, EngineError, RateLimited
from ..engine.core.ids import uuid7
from ..engine.core.principals import Principal, ServerRole
from ..engine.log import get_logger
from .auditor import Auditor
from .http_message import RequestHead, Response
from .http_route import Respond
from .meters import OTHER, PAGES, UNMATCHED, Meters, Transport

if TYPE_CHECKING:
    from .routes import Matched

ACCESS_LOG: Final = "hubbub.access"
_access = get_logger(ACCESS_LOG)
_level = logging.getLogger(ACCESS_LOG)
_SERIALS: Final = 1 << 20
_ADMIN: Final = ServerRole.ADMIN
_DONE: Final = 200
_REFUSED_CODE: Final = "unprocessable"
_TURNED_AWAY: Final = RateLimited.code
_REFUSED: Final = WIRE[_REFUSED_CODE]
_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
_PAGE_CODES: Final[Mapping[int, str]] = {404: "not_found", 405: "method_not_allowed", 500: "internal"}
_CONVERSATION: Final = "/api/v1/conversations/{id}"
OPENING_PATHS: Final[Mapping[Transport, str]] = {
    "events": "/api/v1/conversations/{id}/events",
    "websocket": "/connection/websocket",
    "sse": "/connection/sse",
    "http_stream": "/connection/http_stream",
}
"""Where streams and connections are opened."""


class Watch:
    """What one server notes of its requests.

    Args:
        now_ms: the wall clock, milliseconds since the epoch.
        auditor: keeps the rows of control calls; without one they leave none, which is for programs that have no store for them.
        clock: seconds, never running backwards; fine enough for durations.

    Attributes:
        meters: the figures.
    """

    def __init__(
        self,
        now_ms: Callable[[], int],
        auditor: Auditor | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.meters = Meters()
        self.auditor = auditor
        self.clock = clock
        self._now_ms = now_ms
        self._serial = 0

    def begin(self, matched: Matched, head: RequestHead, respond: Respond, address: str = "") -> Observed:
        """Watch a request from now on, until it is answered."""
        return Observed(self, matched, head, respond, address)

    def opened(
        self,
        transport: Transport,
        head: RequestHead,
        status: int,
        *,
        code: str = "",
        principal: str = "",
        about: str = "",
    ) -> None:
        """Note how the request of a stream or a WebSocket ended in one, or was refused.

        Args:
            about: the conversation that the path names.
        """
        template = OPENING_PATHS[transport]
        self.meters.route("POST" if transport == "http_stream" else "GET", template).count(status)
        if code:
            self.meters.refused(transport, code)
        if _level.isEnabledFor(logging.INFO):
            _log(head, template, status, code, None, principal=principal, address="", about=about)

    def page(self, head: RequestHead, status: int, took_s: float) -> None:
        """Note the answer to what no endpoint serves: a page or one of its files, or that there is none."""
        template, code = (UNMATCHED, _PAGE_CODES.get(status, "")) if status >= 400 else (PAGES, "")
        self.meters.route(_word(head), template).note(status, took_s)
        if code:
            self.meters.refused("http", code)
        if _level.isEnabledFor(logging.INFO):
            _log(head, template, status, code, took_s, principal="", address="", about="")

    def turned_away(self, head: RequestHead | None, response: Response) -> None:
        """Note what never became a request of a route: no such path or method, a head or a body that is none or came too late.

        Args:
            head: None where it could not be read.
            response: what was answered.
        """
        self.meters.refused("http", response.code)
        self.meters.route(_word(head), UNMATCHED).count(response.status)
        if not _level.isEnabledFor(logging.INFO):
            return
        if head is None:
            _access.info("request", route=UNMATCHED, status=response.status, code=response.code)
        else:
            _log(head, UNMATCHED, response.status, response.code, None, principal="", address="", about="")

    def audit(self, seen: Observed, response: Response) -> None:
        """Leave the row of a control call, and answer it when that is done."""
        answer = partial(seen.respond, response)
        if self.auditor is None:
            answer()
            return
        route = seen.matched.route
        row = self.row(
            seen.principal or response.by or NOBODY,
            f"{route.method} {route.path}",
            " ".join((*seen.matched.params.values(), *filter(None, (response.about,)))),
            response.status,
            response.code,
            seen.address,
            seen.head.request_id,
        )
        promised, seen.promised = seen.promised, False
        self.auditor.note(row, answer, promised=promised, runs_server=seen.runs_server)

    def command(self, action: str, target: str, by: Principal, address: str, request_id: str) -> Commanded:
        """Watch a control call that comes as a command of a connection; see `Commanded`."""
        return Commanded(self, action, target, by, address, request_id)

    def changed(self, action: str, target: str, *, actor: str, status: int = 200, code: str = "") -> None:
        """Leave the row of a change that came by no call: a file that was read again, a signal. Never waits, never refused.

        Args:
            action, target: what was done, to what; names of our own.
            actor: where it came from.
            status, code: as a call would have been answered.
        """
        if self.auditor is not None:
            row = self.row(actor, action, target, status, code, "", "")
            self.auditor.note(row, _nothing, promised=False, runs_server=True)

    def reloaded(self, why: str, keys: Sequence[str], taken: bool) -> None:
        """The configuration was read again; see `Configuration.tell`."""
        status, code = (_DONE, "") if taken else (_REFUSED.status, _REFUSED_CODE)
        self.changed("config.reload", " ".join(keys), actor=why, status=status, code=code)

    def row(
        self, actor: str, action: str, target: str, status: int, code: str, address: str, request_id: str
    ) -> AuditRow:
        """A row of this moment."""
        now_ms = self._now_ms()
        self._serial = (self._serial + 1) % _SERIALS
        return AuditRow(
            id=uuid7(now_ms, self._serial << 54 | secrets.randbits(54)),  # rows of one millisecond stay in order
            at_ms=now_ms,
            actor=actor,
            action=action,
            target=target,
            status=status,
            code=code,
            address=address,
            request_id=request_id,
        )


class Commanded:
    """A control call that comes as a command of a connection: first `carries_out`, then `answer`.

    Args:
        watch: keeps its row.
        action, target: as in the row.
        by: who asks.
        address: from where; "" where it is not known.
        request_id: of the request that opened the connection.
    """

    __slots__ = ("_action", "_address", "_by", "_promised", "_request_id", "_target", "_watch")

    def __init__(self, watch: Watch, action: str, target: str, by: Principal, address: str, request_id: str) -> None:
        self._watch = watch
        self._action = action
        self._target = target
        self._by = by
        self._address = address
        self._request_id = request_id
        self._promised = False

    def carries_out(self) -> None:
        """It is about to be carried out.

        Raises:
            Overloaded: its row would have no room.
        """
        auditor = self._watch.auditor
        if auditor is not None:
            auditor.promise(runs_server=runs_server(self._by))
            self._promised = True

    def answer(self, refusal: EngineError | None, reply: Callable[[], None]) -> None:
        """Leave its row, and reply when that is done."""
        auditor, code = self._watch.auditor, "" if refusal is None else refusal.code
        if auditor is None:
            reply()
            return
        status = WIRE.get(code, WIRE["internal"]).status if code else _DONE
        row = self._watch.row(self._by.id, self._action, self._target, status, code, self._address, self._request_id)
        auditor.note(row, reply, promised=self._promised, runs_server=runs_server(self._by))


class Observed:
    """One request under watch; called with its answer, once.

    Attributes:
        conversation: the one that the path names, or "".
        principal: the id of whom it was recognised as; "" before that.
        runs_server: it was recognised as an administrator or the operator.
        promised: there is room for its audit row.
    """

    __slots__ = (
        "_began_s",
        "_watch",
        "address",
        "conversation",
        "head",
        "matched",
        "principal",
        "promised",
        "respond",
        "runs_server",
    )

    def __init__(self, watch: Watch, matched: Matched, head: RequestHead, respond: Respond, address: str) -> None:
        self._watch = watch
        self._began_s = watch.clock()
        self.matched = matched
        self.head = head
        self.respond = respond
        self.address = address
        self.conversation = matched.params["id"] if matched.route.path.startswith(_CONVERSATION) else ""
        self.principal = ""
        self.runs_server = False
        self.promised = False

    def recognised(self, principal: Principal) -> None:
        """Who asks is known."""
        self.principal = principal.id
        self.runs_server = runs_server(principal)

    def __call__(self, response: Response) -> None:
        """Note the answer, and give it."""
        watch, route, status = self._watch, self.matched.route, response.status
        took_s = watch.clock() - self._began_s
        watch.meters.route(route.method, route.path).note(status, took_s)
        if status >= 400:
            watch.meters.refused("rest", response.code)
        if _level.isEnabledFor(logging.INFO):
            head, who = self.head, self.principal
            _log(
                head,
                route.path,
                status,
                response.code,
                took_s,
                principal=who,
                address=self.address,
                about=self.conversation,
            )
        if route.control and (self.promised or response.code != _TURNED_AWAY):
            watch.audit(self, response)
        else:
            self.respond(response)

    def carries_out(self) -> None:
        """It is about to be carried out.

        Raises:
            Overloaded: it is a control call, and its audit row would have no room.
        """
        auditor = self._watch.auditor
        if self.matched.route.control and auditor is not None:
            auditor.promise(runs_server=self.runs_server)
            self.promised = True


def runs_server(principal: Principal) -> bool:
    """Whether somebody is an administrator or the operator: there is always room for their rows."""
    return principal.role is _ADMIN


def _log(
    head: RequestHead,
    route: str,
    status: int,
    code: str,
    took_s: float | None,
    *,
    principal: str,
    address: str,
    about: str,
) -> None:
    """Write an access log line; what is empty is left out."""
    fields: dict[str, object] = {"method": head.method, "route": route, "status": status}
    given = (("code", code), ("principal", principal), ("address", address), ("conversation", about))
    fields.update({name: value for name, value in given if value})
    if took_s is not None:
        fields["duration_ms"] = round(took_s * 1000, 2)
    _access.info("request", request_id=head.request_id, **fields)


def _word(head: RequestHead | None) -> str:
    """The method as a label: one of the usual, since any word can be sent as one."""
    return head.method if head is not None and head.method in _METHODS else OTHER


def _nothing() -> None:
    """Nobody waits for this row."""
