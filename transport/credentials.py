"""The credentials of a request: which header they stand in, which page sent them, and when a cookie counts.

A bearer token was put there on purpose. A cookie was not: what it may do depends on the page that asks (`authenticate`).

Left out: whom a token stands for (`auth`), and which origins the operator has named (`manners`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from ..engine import EngineError, Forbidden, Unauthenticated
from .auth import Authenticator, Credential
from .http_message import READ_METHODS, RequestHead
from .identity import secret
from .manners import Manners

COOKIE: Final = "hubbub_session"
CSRF_HEADER: Final = "x-csrf-token"


def authenticate(
    head: RequestHead, auth: Authenticator, manners: Manners, done: Callable[[Credential | EngineError], None]
) -> None:
    """Find out who sends a request, by bearer token or by cookie. `done` is called once, now or later.

    A cookie is sent by browsers without asking, so a call that changes something must show an Origin that is this host, and the
    session's CSRF token, which no page of another origin can read.
    """
    bearer = bearer_of(head)
    if bearer is not None:
        auth.check(bearer, done)
        return
    cookie = cookie_of(head)
    if cookie is None:
        done(Unauthenticated("a token is needed, in Authorization or in the session cookie"))
    elif head.method in READ_METHODS:
        auth.check(cookie, done)
    elif not same_origin(head) and not manners.trusts_page(head):
        done(Forbidden("calls by cookie must come from this origin"))
    elif secret.csrf_fits(cookie, head.header(CSRF_HEADER)):
        auth.check(cookie, done)
    else:  # who has no session any more is told so, and not that a token of it is missing
        forged = Forbidden("calls by cookie must show the session's CSRF token in X-CSRF-Token")
        auth.check(cookie, lambda found: done(found if isinstance(found, EngineError) else forged))


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
