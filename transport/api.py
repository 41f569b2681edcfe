"""Api: what every transport needs of the engine, and the one way a decoded REST request is carried out.

An endpoint is a function of a `Call` and a `respond` that it calls once, now or later. It is written once (`endpoints`) and
mounted in both lanes: the connection table calls `Api.dispatch` from a machine, the cold lane from a task that waits.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import attrs
import msgspec

from ..actors import summary_of
from ..engine import Engine, EngineBroken, EngineError, Forbidden, NotFound, Overloaded, Principal
from ..engine.core.permissions import Access, may_call
from ..engine.core.session import Session
from ..engine.log import CONVERSATION, get_logger
from .admission import Admission
from .answers import answering, problem_of
from .auth import Authenticator, Credential
from .call import Call, query_of
from .credentials import authenticate, bearer_of, foreign_origin
from .emulation import Sessions
from .http_message import READ_METHODS, Request, RequestHead, Response
from .http_route import Respond
from .identity.accounts import Accounts
from .identity.federation import Federation
from .jwt import JwtAuthority
from .limits import is_refusal
from .live import Live, LiveSettings
from .manners import Manners
from .oidc_login import OidcLogin
from .operator import OPERATOR, Operator
from .people import People, Strangers
from .request_id import REQUEST_ID
from .routes import Matched, Routes
from .watch import Observed, Watch

if TYPE_CHECKING:
    from .config_calls import Configuration

A = TypeVar("A")

_log = get_logger("hubbub.transport.api")

WAITS = 256
"""Calls that may wait for the store at once."""


@attrs.define
class Waits:
    """How many calls wait for the store."""

    count: int = 0


@attrs.define
class Leaving:
    """Whether the server has been told to stop: readiness says so before anything is refused."""

    announced: bool = False


@attrs.frozen
class Api:
    """What transports share.

    Attributes:
        live: the settings of now.
        start_soon: starts a task that lives as long as the server, for the few things that wait.
        waits: how many of those there are.
        emulated: connections whose commands come by other requests.
        leaving: whether the server is about to stop.
        manners: what answers carry besides their content.
        watch: notes every request; by default without an audit log.
        operator: the operator's access, and what there is to see; None where nobody looks.
        jwt: checks subscription tokens; `auth` asks it about connection tokens.
        configuration: who reads the settings; None where a program passed them.
        admission: who may ask now.
        people: who has an id, and what a principal is known by.
        accounts: who has one, and how to get one.
        oidc: logins with OpenID Connect.
        secure: the server speaks TLS itself, so that it is reached by https only.
    """

    engine: Engine
    auth: Authenticator
    routes: Routes
    live: Live
    start_soon: Callable[[Callable[[], Awaitable[None]]], None]
    waits: Waits = attrs.field(factory=Waits)
    emulated: Sessions = attrs.field(factory=Sessions)
    leaving: Leaving = attrs.field(factory=Leaving)
    manners: Manners = attrs.field(default=attrs.Factory(lambda api: manners_of(api.live), takes_self=True))
    operator: Operator | None = None
    configuration: Configuration | None = None
    jwt: JwtAuthority | None = None
    admission: Admission = attrs.field(default=attrs.Factory(lambda api: Admission(api.live), takes_self=True))
    people: People = attrs.field(factory=Strangers)
    secure: bool = False
    accounts: Accounts = attrs.field(repr=False)
    oidc: OidcLogin = attrs.field(repr=False)
    watch: Watch = attrs.field()

    @accounts.default
    def _accounts_without_setup(self) -> Accounts:
        return Accounts.over(self.engine, self.auth, self.start_soon, lambda: self.live.current.identity)

    @oidc.default
    def _oidc(self) -> OidcLogin:
        return OidcLogin(Federation(self.accounts, self.engine.now_ms), self.engine.now_ms)

    @watch.default
    def _watch_only(self) -> Watch:
        return Watch(self.engine.now_ms)

    def match(self, method: str, path: str) -> Matched | frozenset[str]:
        """The route of a request, or the methods that its path has."""
        return self.routes.match(method, path)

    def dispatch(self, matched: Matched, request: Request, respond: Respond) -> None:
        """Admit a request, authenticate it and carry it out. `respond` is called once, with an answer or a problem document."""
        route, settings = matched.route, self.live.current
        address = self.admission.addresses.of(request.peer, request.head)
        seen = respond = self.watch.begin(matched, request.head, respond, address or request.peer or "")
        if route.there is not None and not route.there(settings):
            respond(problem_of(NotFound("no such path")))
            return
        try:
            arrival = self.admission.arrive(route.action, address)
        except Overloaded as error:
            respond(problem_of(error))
            return
        if arrival is not None and (reached := arrival.refusal) is not None:
            respond(problem_of(reached))
            return
        if route.access is Access.ANYONE:
            if self._is_foreign_write(request.head):
                respond(problem_of(Forbidden("pages of another origin may not call this")))
            else:
                self._admit(matched, request, None, settings, address, seen)
            return

        def authenticated(found: Credential | EngineError) -> None:
            if isinstance(found, EngineError):
                respond(problem_of(found))
                return
            seen.recognised(found.principal)
            refusal = may_call(found.principal, route.access, route.scope)
            if refusal is not None:
                respond(problem_of(refusal))
            else:
                self._admit(matched, request, found, settings, address, seen)

        if route.access is Access.ADMIN and self._is_operator(request.head):
            authenticated(OPERATOR)
        else:
            self.authenticate(request.head, authenticated)

    def _is_foreign_write(self, head: RequestHead) -> bool:
        """Whether a page of an origin that nobody has named wants to change something."""
        return head.method not in READ_METHODS and not self.lets_in(head)

    def _is_operator(self, head: RequestHead) -> bool:
        """Whether the operator's own token came: it opens what admins may call and nothing else, also while the store is away."""
        bearer = bearer_of(head)
        key = None if self.operator is None else self.operator.key
        return bearer is not None and key is not None and key.admits(bearer)

    def authenticate(self, head: RequestHead, done: Callable[[Credential | EngineError], None]) -> None:
        """Find out who sends a request, by bearer token or by cookie. `done` is called once, now or later."""
        authenticate(head, self.auth, self.manners, done)

    def lets_in(self, head: RequestHead) -> bool:
        """Whether a page may ask for what needs no credential in the request: ours, one of a named origin, or no page at all."""
        return not foreign_origin(head) or self.manners.admits_page(head)

    def session(self, principal: Principal | None = None) -> Session:
        """A session with the engine's bounds."""
        return Session(self.engine.session_settings, principal)

    def _admit(
        self,
        matched: Matched,
        request: Request,
        found: Credential | None,
        settings: LiveSettings,
        address: str | None,
        seen: Observed,
    ) -> None:
        """Count a request whose sender is known, and carry it out or refuse it. The answer tells what is left of the limit."""
        admission = self.admission
        caller = None if found is None else found.principal.id
        about, limits = matched.params.get("id", ""), admission.limits
        ruling = limits.decide(matched.route.action, address, caller, about)
        if ruling is not None and (reached := ruling.refusal) is not None:
            seen(problem_of(reached))
            return
        quota = None if ruling is None else ruling.quota()
        charge = limits.charged(matched.route.action, about)
        admission.in_flight += 1

        def answer(response: Response) -> None:
            admission.in_flight -= 1
            if charge is not None and is_refusal(response.status):
                charge.give_back(limits.clock_ns())
            seen(msgspec.structs.replace(response, quota=quota) if response.quota is None else response)

        self._carry_out(matched, request, found, settings, seen, answer)

    def _carry_out(
        self,
        matched: Matched,
        request: Request,
        found: Credential | None,
        settings: LiveSettings,
        seen: Observed,
        respond: Respond,
    ) -> None:
        request_token = REQUEST_ID.set(request.head.request_id)
        about_token = CONVERSATION.set(seen.conversation) if seen.conversation else None
        try:
            call = Call(request, matched.params, query_of(request.head), found, settings)
            seen.carries_out()
            matched.route.endpoint(self, call, respond)
        except EngineError as error:
            respond(problem_of(error))
        except Exception as error:  # noqa: BLE001  after a look-up nobody stands above who could answer
            _log.error("endpoint failed", error=summary_of(error), exc_info=error)
            respond(problem_of(EngineBroken()))
        finally:
            REQUEST_ID.reset(request_token)
            if about_token is not None:
                CONVERSATION.reset(about_token)

    def later(self, work: Callable[[], Awaitable[Response]], respond: Respond) -> None:
        """Carry out an endpoint that has to wait, and answer for it whatever happens; see `eventually`."""
        self.eventually(work, answering(respond, lambda response: response))

    def eventually(self, work: Callable[[], Awaitable[A]], done: Callable[[A | EngineError], None]) -> None:
        """Carry out what has to wait, and tell `done` once what it came to, whatever happens. So many at once, others are
        refused: a call outlives the connection it came by."""
        if self.waits.count >= WAITS:
            done(Overloaded("too many calls wait for the store"))
            return
        self.waits.count += 1

        async def run() -> None:
            answer: A | EngineError = EngineBroken()
            try:
                answer = await work()
            except EngineError as error:
                answer = error
            except Exception as error:  # noqa: BLE001  a bug in one call must not end the others
                _log.error("endpoint failed", error=summary_of(error), exc_info=error)
            finally:
                self.waits.count -= 1
                done(answer)

        self.start_soon(run)


def manners_of(live: Live) -> Manners:
    """Manners that follow the settings."""
    manners = Manners(live.current.http)
    live.subscribe(lambda settings: manners.replace(settings.http))
    return manners
