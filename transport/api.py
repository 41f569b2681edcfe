"""Api: what every transport needs of the engine, and the one way a decoded REST request is carried out.

An endpoint is a function of a `Call` and a `respond` that it calls once, now or later. It is written once (`endpoints`) and
mounted in both lanes: the connection table calls `Api.dispatch` from a machine, the cold lane from a task that waits.
"""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

import attrs
import msgspec

from ..actors import summary_of
from ..engine import (
    Engine,
    EngineBroken,
    EngineError,
    Forbidden,
    InvalidCommand,
    NotFound,
    Overloaded,
    Principal,
    Unauthenticated,
)
from ..engine.core import codec
from ..engine.core.errors import WIRE
from ..engine.core.permissions import Access, may_call
from ..engine.core.principals import Scope
from ..engine.core.session import Session
from ..engine.log import CONVERSATION, get_logger
from .admission import Admission
from .auth import Authenticator, Credential
from .emulation import Sessions
from .http_message import PROBLEM_HEADERS, Request, RequestHead, Response
from .http_message import problem as bare_problem
from .http_route import Respond
from .identity import secret
from .identity.accounts import Accounts
from .identity.federation import Federation
from .jwt import JwtAuthority
from .limits import Action
from .live import Live, LiveSettings
from .manners import Manners
from .oidc_login import OidcLogin
from .openapi.doc import Doc
from .operator import OPERATOR, Operator
from .people import People, Strangers
from .request_id import REQUEST_ID
from .watch import Observed, Watch

if TYPE_CHECKING:
    from .config_calls import Configuration

A = TypeVar("A")

_log = get_logger("hubbub.transport.api")

COOKIE = "hubbub_session"
CSRF_HEADER = "x-csrf-token"
WAITS = 256
"""Calls that may wait for the store at once."""
MAX_QUERY_FIELDS = 50
JSON_HEADERS = (("content-type", "application/json"), ("cache-control", "no-store"))
_PLAIN_QUERY = re.compile(r"[a-z_]+=[A-Za-z0-9-]*")  # one field, nothing to decode: most are (2 us became 0.6)
_READ_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Call(msgspec.Struct, frozen=True):
    """One REST request, decoded and authenticated.

    Attributes:
        params: from the path, percent-decoded.
        query: first value of each name.
        credential: None only where the endpoint is open to anyone.
        settings: the snapshot that the request was admitted under; an endpoint reads no other.
    """

    request: Request
    params: Mapping[str, str]
    query: Mapping[str, str]
    credential: Credential | None
    settings: LiveSettings

    @property
    def request_id(self) -> str:
        """The name of this request, in its answer and in the logs."""
        return self.request.head.request_id

    @property
    def principal(self) -> Principal:
        """Who asks.

        Raises:
            Unauthenticated: nobody, on an open endpoint.
        """
        if self.credential is None:
            raise Unauthenticated("authenticate first")
        return self.credential.principal

    def body(self) -> dict[str, Any]:
        """The body as a JSON object.

        Raises:
            InvalidCommand: it is not one.
        """
        return codec.decode_object(self.request.body)

    def number(self, name: str) -> int | None:
        """A whole number from the query.

        Raises:
            InvalidCommand: it is there and not one from 0 upwards.
        """
        text = self.query.get(name)
        if text is None:
            return None
        if not (text.isascii() and text.isdigit() and len(text) <= 18):
            raise InvalidCommand(f"{name!r} must be a whole number from 0 upwards")
        return int(text)


Endpoint = Callable[["Api", Call, Respond], None]


def _action_of(route: Route) -> Action:
    if route.access is Access.ADMIN:
        return Action.ADMIN
    return Action.READ if route.method in _READ_METHODS else Action.WRITE


@attrs.frozen(kw_only=True)
class Route:
    """One row of the endpoint table.

    Attributes:
        path: with ``{name}`` for a segment.
        access: what a caller must be; every route needs a principal unless this says otherwise.
        scope: what the credential must be good for.
        action: what limits count it as; by default the calls of admins, reads and writes are told apart.
        stream: it answers with an event stream, so that a lane must give its connection away.
        max_body_bytes: larger bodies are refused before they are read.
        there: says under which settings the route exists; under all of them when left out.
        doc: what the API's description says of it; a route of the server's own must have one (`openapi`).
        control: it changes the server itself, so that each call leaves a row in the audit log; by default what admins change.
    """

    method: str
    path: str
    endpoint: Endpoint
    access: Access = Access.PRINCIPAL
    scope: Scope = Scope.READ
    action: Action = attrs.field(default=attrs.Factory(_action_of, takes_self=True))
    stream: bool = False
    max_body_bytes: int = 0
    there: Callable[[LiveSettings], bool] | None = None
    doc: Doc | None = None
    control: bool = attrs.field()
    pattern: re.Pattern[str] = attrs.field(init=False, repr=False)

    @control.default
    def _changes_the_server(self) -> bool:
        return self.access is Access.ADMIN and self.method not in _READ_METHODS

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "pattern", re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.path)))

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that it serves."""
        return ("GET", "HEAD") if self.method == "GET" and not self.stream else (self.method,)


@attrs.frozen
class Matched:
    """A route with what the path named."""

    route: Route
    params: Mapping[str, str]


class Routes:
    """The endpoint table, looked up by path and method."""

    def __init__(self, routes: tuple[Route, ...]) -> None:
        self.routes = routes
        self._exact: dict[str, list[Route]] = {}
        self._patterns: list[Route] = []
        for route in routes:
            if "{" in route.path:
                self._patterns.append(route)
            else:
                self._exact.setdefault(route.path, []).append(route)

    def match(self, method: str, path: str) -> Matched | frozenset[str]:
        """The route of a request, or the methods that the path allows (empty: there is no such path)."""
        wanted = "GET" if method == "HEAD" else method
        allowed: set[str] = set()
        for route in self._exact.get(path, ()):
            if route.method == wanted:
                return Matched(route, {})
            allowed.update(route.methods)
        for route in self._patterns:
            found = route.pattern.fullmatch(path)
            if found is not None:
                if route.method == wanted:
                    return Matched(route, found.groupdict())
                allowed.update(route.methods)
        return frozenset(allowed)


@attrs.define
class Waits:
    """How many calls wait for the store."""

    count: int = 0


@attrs.frozen
class Api:
    """What transports share.

    Attributes:
        live: the settings of now.
        start_soon: starts a task that lives as long as the server, for the few things that wait.
        waits: how many of those there are.
        emulated: connections whose commands come by other requests.
        manners: what answers carry besides their content.
        watch: notes every request; by default without an audit log.
        operator: the operator's access, and what there is to see; None where nobody looks.
        jwt: checks subscription tokens; `auth` asks it about connection tokens.
        configuration: who reads the settings; None where a program passed them.
        admission: who may ask now.
        people: who has an id, and what a principal is known by.
        accounts: who has one, and how to get one.
        oidc: logins with OpenID Connect.
    """

    engine: Engine
    auth: Authenticator
    routes: Routes
    live: Live
    start_soon: Callable[[Callable[[], Awaitable[None]]], None]
    waits: Waits = attrs.field(factory=Waits)
    emulated: Sessions = attrs.field(factory=Sessions)
    manners: Manners = attrs.field(default=attrs.Factory(lambda api: manners_of(api.live), takes_self=True))
    operator: Operator | None = None
    configuration: Configuration | None = None
    jwt: JwtAuthority | None = None
    admission: Admission = attrs.field(default=attrs.Factory(lambda api: Admission(api.live), takes_self=True))
    people: People = attrs.field(factory=Strangers)
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
            seen.principal = found.principal.id
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
        return head.method not in _READ_METHODS and not self.lets_in(head)

    def _is_operator(self, head: RequestHead) -> bool:
        """Whether the operator's own token came: it opens what admins may call and nothing else, also while the store is away."""
        bearer = bearer_of(head)
        key = None if self.operator is None else self.operator.key
        return bearer is not None and key is not None and key.admits(bearer)

    def authenticate(self, head: RequestHead, done: Callable[[Credential | EngineError], None]) -> None:
        """Find out who sends a request, by bearer token or by cookie. `done` is called once, now or later.

        A cookie is sent by browsers without asking, so a call that changes something must show an Origin that is this host, and
        the session's CSRF token, which no page of another origin can read.
        """
        bearer = bearer_of(head)
        if bearer is not None:
            self.auth.check(bearer, done)
            return
        cookie = cookie_of(head)
        if cookie is None:
            done(Unauthenticated("a token is needed, in Authorization or in the session cookie"))
        elif head.method in _READ_METHODS:
            self.auth.check(cookie, done)
        elif not same_origin(head) and not self.manners.trusts_page(head):
            done(Forbidden("calls by cookie must come from this origin"))
        elif secret.csrf_fits(cookie, head.header(CSRF_HEADER)):
            self.auth.check(cookie, done)
        else:  # who has no session any more is told so, and not that a token of it is missing
            forged = Forbidden("calls by cookie must show the session's CSRF token in X-CSRF-Token")
            self.auth.check(cookie, lambda found: done(found if isinstance(found, EngineError) else forged))

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
        ruling = admission.limits.decide(matched.route.action, address, caller, matched.params.get("id", ""))
        if ruling is not None and (reached := ruling.refusal) is not None:
            seen(problem_of(reached))
            return
        quota = None if ruling is None else ruling.quota()
        admission.in_flight += 1

        def answer(response: Response) -> None:
            admission.in_flight -= 1
            seen(msgspec.structs.replace(response, quota=quota))

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


def answering(respond: Respond, make: Callable[[Any], Response]) -> Callable[[Any], None]:
    """A command's reply that answers a request: a problem document for an error, else what `make` makes of the answer."""
    return lambda answer: respond(problem_of(answer) if isinstance(answer, EngineError) else make(answer))


def json_response(status: int, body: bytes, *headers: tuple[str, str]) -> Response:
    """A JSON answer."""
    return Response(status, JSON_HEADERS + headers if headers else JSON_HEADERS, body)


def problem_of(error: EngineError) -> Response:
    """An error as a problem document (RFC 9457) with its stable code."""
    wire = WIRE.get(error.code, WIRE["internal"])
    document: dict[str, object] = {
        "type": f"urn:hubbub:problem:{error.code}",
        "title": wire.title,
        "status": wire.status,
        "detail": str(error),
        "code": error.code,
        "retry": error.retry.value,
    }
    headers: tuple[tuple[str, str], ...] = PROBLEM_HEADERS
    reason = getattr(error, "reason", None)
    if reason is not None:
        document["reason"] = str(reason)
    if error.retry_after_s is not None:
        document["retry_after_s"] = error.retry_after_s
        headers += (("retry-after", str(max(1, math.ceil(error.retry_after_s)))),)
    if wire.status == 401:
        headers += (("www-authenticate", 'Bearer realm="hubbub"'),)
    return Response(wire.status, headers, codec.encode_json(document), error.code, getattr(error, "quota", None))


def problem(status: int, code: str, detail: str, *headers: tuple[str, str]) -> Response:
    """A problem document for what only a transport can meet."""
    return bare_problem(status, detail, *headers, code=code)


def query_of(head: RequestHead) -> dict[str, str]:
    """The query's fields, the first value of each.

    Raises:
        InvalidCommand: more than `MAX_QUERY_FIELDS`.
    """
    query = head.query
    if not query:
        return {}
    if _PLAIN_QUERY.fullmatch(query):
        name, _, value = query.partition("=")
        return {name: value}
    try:
        fields = parse_qsl(query, keep_blank_values=True, max_num_fields=MAX_QUERY_FIELDS)
    except ValueError:
        raise InvalidCommand(f"at most {MAX_QUERY_FIELDS} fields in the query") from None
    return dict(reversed(fields))


def bearer_of(head: RequestHead) -> str | None:
    """The token of an Authorization header (RFC 6750), else of the headers in which SDKs of models send their keys, or None."""
    value = head.header("authorization")
    if value is None:
        return head.header("x-api-key") or head.header("x-goog-api-key")
    if value.startswith("Bearer "):
        return value[7:].strip()
    scheme, _, token = value.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def cookie_of(head: RequestHead, cookie: str = COOKIE) -> str | None:
    """The value of a cookie, by default the token of the session, or None."""
    value = head.header("cookie")
    if value is None or cookie not in value:
        return None
    # Not the standard library's parser: it takes quadratic time on some input (CVE-2024-7592), and one odd cookie of another
    # program on this host would hide ours.
    for pair in value.replace(",", ";").split(";"):
        name, equals, text = pair.partition("=")
        if equals and name.strip() == cookie:
            return text.strip().strip('"')
    return None


def same_origin(head: RequestHead) -> bool:
    """Whether the Origin header names the host that was asked. A missing one is not enough for a call by cookie."""
    origin, host = head.header("origin"), head.header("host")
    if not origin or not host:
        return False
    try:
        return urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:  # no URL at all
        return False


def foreign_origin(head: RequestHead) -> bool:
    """Whether a browser page of another origin sent this: for handshakes, where programs send no Origin at all."""
    return head.header("origin") is not None and not same_origin(head)
