"""What every HTTP answer carries besides its content: the request's id, CORS headers, and what a browser is told about safety.

One object of this kind serves both lanes, WebSocket handshakes and event streams, so that no way in forgets a header. Whatever
does not depend on the request is rendered once for each snapshot of the settings; an answer joins bytes.

CORS (fetch standard, section 3.2): pages of other origins may read answers only where the operator has named their origin.
It is off by default. `*` admits pages of any origin that bring a token of their own; credentials that a browser adds by
itself (cookies) are for named origins. An origin that is not admitted gets 403 for its preflight, and its
other answers say nothing of CORS, so that its browser keeps them from the page.

Left out: whether a call by cookie or a WebSocket is let in at all (`origins`, `credentials`).
"""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

import attrs
from attrs.validators import and_, ge, instance_of, le

from . import request_id
from .http_message import SAFETY_LINES, RequestHead, Response, encode, named, problem
from .origins import ANY, origin_of, valid_origins

REQUEST_HEADERS: Final = frozenset(
    {
        "accept",
        "authorization",
        "cache-control",
        "content-type",
        "idempotency-key",
        "if-match",
        "if-none-match",
        "last-event-id",
        "traceparent",
        "tracestate",
        "x-api-key",
        "x-csrf-token",
        "x-request-id",
        "x-requested-with",
    }
)
"""What a page of an admitted origin may send; besides these everything that begins with `SDK_HEADERS`."""
SDK_HEADERS: Final = "x-stainless-"
"""Generated SDKs tell with such headers on which platform they run."""
EXPOSED_HEADERS: Final = (
    "etag",
    "idempotency-replayed",
    "location",
    "ratelimit-limit",
    "ratelimit-policy",
    "ratelimit-remaining",
    "ratelimit-reset",
    "retry-after",
    "x-request-id",
)
"""What such a page may read."""
MAX_ASKED_HEADERS: Final = 64
"""Names looked at in one preflight; more are not granted."""
_YEAR_S: Final = 366 * 86_400


@attrs.frozen(kw_only=True)
class HttpManners:
    """What operators decide about answers. It may change while the server runs."""

    cors_origins: tuple[str, ...] = attrs.field(
        default=(),
        converter=tuple,
        validator=valid_origins,
        metadata={"help": "Origins whose pages may call the API, such as https://chat.example.org; * for all of them"},
    )
    cors_credentials: bool = attrs.field(
        default=False,
        validator=instance_of(bool),
        metadata={"help": "Whether pages of named origins may call with the session cookie; never for *"},
    )
    cors_max_age_s: int = attrs.field(
        default=600,
        validator=and_(ge(0), le(86_400)),
        metadata={"help": "How long a browser may remember a preflight, seconds"},
    )
    hsts_s: int = attrs.field(
        default=0,
        validator=and_(ge(0), le(2 * _YEAR_S)),
        metadata={"help": "How long browsers shall come by HTTPS only, seconds; 0 leaves it unsaid. Only behind TLS"},
    )
    docs: bool = attrs.field(
        default=True,
        validator=instance_of(bool),
        metadata={"help": "Whether /openapi.json and /docs are there"},
    )


class Manners:
    """Adds to answers what the settings and the request ask for.

    Args:
        settings: `replace` takes others later.
    """

    __slots__ = ("_admitted", "_any", "_closed", "_preflight", "_tail", "settings")

    def __init__(self, settings: HttpManners | None = None) -> None:
        self.replace(HttpManners() if settings is None else settings)

    def replace(self, settings: HttpManners) -> None:
        """Answer by other settings from now on."""
        always = [("strict-transport-security", f"max-age={settings.hsts_s}")] if settings.hsts_s else []
        exposed = ("access-control-expose-headers", ", ".join(EXPOSED_HEADERS))
        credentials = [("access-control-allow-credentials", "true")] if settings.cors_credentials else []
        vary = [("vary", "Origin")] if settings.cors_origins else []
        named_origins = [origin for origin in settings.cors_origins if origin != ANY]
        self.settings = settings
        self._closed = not settings.cors_origins
        self._tail = _lines([*always, *vary])
        self._any = None
        if ANY in settings.cors_origins:
            self._any = _lines([*always, *vary, ("access-control-allow-origin", ANY), exposed])
        self._admitted = {
            origin: _lines([*always, *vary, ("access-control-allow-origin", origin), *credentials, exposed])
            for origin in named_origins
        }
        self._preflight = (("access-control-max-age", str(settings.cors_max_age_s)), ("cache-control", "no-store"))

    def encode(self, response: Response, head: RequestHead | None, keep_alive: bool) -> bytes:
        """Write a response in HTTP/1.1.

        Args:
            response: what to say.
            head: the request; None where none could be read.
            keep_alive: whether the connection stays open after it.
        """
        if head is None:
            name, head_only, tail = request_id.fresh(), False, self._tail
        else:
            name, head_only = head.request_id, head.method == "HEAD"
            tail = self._tail if self._closed else self._tail_for(head)
        if response.status >= 400:
            response = named(response, name)
        lines = b"x-request-id: %b\r\n%b" % (name.encode(), tail)
        return encode(response, keep_alive=keep_alive, head_only=head_only, lines=lines)

    def lines(self, head: RequestHead) -> bytes:
        """The header lines of an answer that its caller writes itself: an event stream, a handshake."""
        return b"x-request-id: %b\r\n%b%b" % (head.request_id.encode(), self._tail_for(head), SAFETY_LINES)

    def headers(self, head: RequestHead | None, name: str) -> list[tuple[bytes, bytes]]:
        """The same for ASGI, without those of `SAFETY`.

        Args:
            head: the request; None where none could be read.
            name: the request's id.
        """
        tail = self._tail if head is None else self._tail_for(head)
        pairs = (line.partition(b": ") for line in tail.splitlines())
        return [(b"x-request-id", name.encode()), *((key, value) for key, _, value in pairs)]

    def admits_page(self, head: RequestHead) -> bool:
        """Whether pages of a request's origin may call with a token of their own, or anonymously."""
        return not self._closed and (self._any is not None or origin_of(head) in self._admitted)

    def trusts_page(self, head: RequestHead) -> bool:
        """Whether pages of a request's origin may do by the session cookie what our own page may."""
        return self.settings.cors_credentials and origin_of(head) in self._admitted

    def preflight(self, head: RequestHead, methods: Iterable[str]) -> Response | None:
        """The answer to a browser that asks what a page may send; None when it asks no such thing, or CORS is off.

        Args:
            head: an OPTIONS request.
            methods: what its path allows.
        """
        if not self.settings.cors_origins or head.header("access-control-request-method") is None:
            return None
        origin = origin_of(head)
        if origin is None:
            return None
        if origin not in self._admitted and self._any is None:
            return problem(403, "pages of this origin may not call this server", code="forbidden")
        allowed = ("access-control-allow-methods", ", ".join(sorted(methods)))
        asked = _grantable(head.header("access-control-request-headers") or "")
        granted = (("access-control-allow-headers", asked),) if asked else ()
        return Response(HTTPStatus.NO_CONTENT.value, (allowed, *granted, *self._preflight))

    def _tail_for(self, head: RequestHead) -> bytes:
        origin = origin_of(head)
        if origin is None:
            return self._tail
        found = self._admitted.get(origin)
        if found is not None:
            return found
        return self._tail if self._any is None else self._any


def _grantable(asked: str) -> str:
    names = [name.strip().lower() for name in asked.split(",", MAX_ASKED_HEADERS)[:MAX_ASKED_HEADERS]]
    return ", ".join(name for name in names if name in REQUEST_HEADERS or _is_sdk_header(name))


def _is_sdk_header(name: str) -> bool:
    return name.startswith(SDK_HEADERS) and name.replace("-", "").isalnum() and name.isascii()


def _lines(headers: Iterable[tuple[str, str]]) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in headers).encode("ascii")
