"""Limits: one decision, a refusal beside the work it saves, and all that stands between a request and its endpoint."""

from __future__ import annotations

import itertools
from collections.abc import Coroutine
from typing import Any, Final, cast

import attrs

from ...engine import Store
from ...engine.core.buckets import SECOND_NS
from ...engine.core.permissions import Access, may_call
from ...engine.core.principals import Scope, ServerRole
from ...engine.identity.records import Holder, TokenKind, TokenRecord, User
from ...transport.admission import Admission
from ...transport.api import Api
from ...transport.auth import Authenticator, Credential
from ...transport.http_message import HeadReader, Request, Response
from ...transport.identity import secret
from ...transport.limit_settings import PROFILES, Action, LimitSettings, Profile
from ...transport.limits import Limits
from ...transport.live import GUESTS_WELCOME, Live
from ...transport.routes import Matched
from .benchmark import Benchmark, Call
from .inputs import ADA, NOW_MS, ROOM, api, ignore

_ADDRESS: Final = "203.0.113.7"
_TOKEN: Final = "hbs_" + "k" * 43
_BODY: Final = b'{"text":"hello, everybody"}'
_POST: Final = (
    f"POST /api/v1/conversations/{ROOM}/messages HTTP/1.1\r\nHost: chat.example.org\r\nContent-Type: application/json\r\n"
    f"Authorization: Bearer hbg_{'k' * 43}\r\nContent-Length: {len(_BODY)}\r\n\r\n"
).encode()


class _Keeper:
    """A store that keeps one token, and takes no time to find it."""

    def __init__(self) -> None:
        user = User(id="ada", name="Ada", role=ServerRole.MEMBER, created_at_ms=NOW_MS)
        token = TokenRecord(
            digest=secret.digest(_TOKEN),
            id="token",
            user=user.id,
            kind=TokenKind.SESSION,
            created_at_ms=NOW_MS,
            last_used_at_ms=NOW_MS,
            expires_at_ms=NOW_MS * 2,
        )
        self._holder = Holder(token, user)

    @property
    def accounts(self) -> _Keeper:
        """It keeps accounts alone."""
        return self

    async def find_token(self, digest: bytes) -> Holder:
        """The one."""
        return self._holder


def _passing() -> Limits:
    """Limits under a clock that is a while later each time, so that nothing is refused."""
    return Limits(LimitSettings(), itertools.count(0, 10 * SECOND_NS).__next__)


def _refusing() -> LimitSettings:
    one = Profile(rate=1, period_s=3600, burst=1)
    return LimitSettings(**dict.fromkeys(PROFILES, one))  # type: ignore[arg-type]  # every profile is one


def _decide(limits: Limits, action: Action) -> Call:
    limits.decide(action, _ADDRESS, ADA.id, ROOM)  # the only one that a limit of one lets through
    return lambda: limits.decide(action, _ADDRESS, ADA.id, ROOM)


def _known() -> Call:
    """From a token that was seen before to what its principal may call and how often."""
    auth = Authenticator(cast("Store", _Keeper()), lambda: NOW_MS, ignore)
    _result(auth.find(secret.digest(_TOKEN)))
    limits = _passing()

    def found(credential: object) -> None:
        assert isinstance(credential, Credential)
        principal = credential.principal
        may_call(principal, Access.PRINCIPAL, Scope.WRITE)
        limits.decide(Action.POST, _ADDRESS, principal.id, ROOM)

    return lambda: auth.check(_TOKEN, found)


def _result(work: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine returns that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waits")


def _dispatch(there: Api) -> Call:
    """One post by REST, from its head to its answer."""
    reader = HeadReader(100)
    reader.feed(_POST, is_last=True)
    request = Request(reader.head(_POST.partition(b"\r\n")[0]), _BODY, _ADDRESS)
    matched = there.match(request.head.method, request.head.path)
    assert isinstance(matched, Matched)
    answers: list[Response] = []

    def call() -> Response:
        there.dispatch(matched, request, answers.append)
        return answers.pop()

    call()  # as above
    return call


def _refused() -> Call:
    live = Live(
        attrs.evolve(GUESTS_WELCOME, limits=attrs.evolve(_refusing(), request=Profile(rate=1, burst=1, on=False)))
    )
    return _dispatch(attrs.evolve(api(), live=live, admission=Admission(live, lambda: 0)))


BENCHMARKS: Final = (
    Benchmark(name="limits/read", what="one limit, let through", make=lambda: _decide(_passing(), Action.READ)),
    Benchmark(
        name="limits/post", what="both limits of a post, let through", make=lambda: _decide(_passing(), Action.POST)
    ),
    Benchmark(
        name="limits/refuse",
        what="one limit, refused",
        make=lambda: _decide(Limits(_refusing(), lambda: 0), Action.READ),
    ),
    Benchmark(name="limits/known", what="a known token to its principal, route and limits of a post", make=_known),
    Benchmark(
        name="limits/served", what="a post by REST that is carried out, on stand-ins", make=lambda: _dispatch(api())
    ),
    Benchmark(name="limits/refused", what="a post by REST that a limit refuses", make=_refused),
)
