"""What calls about identity answer: a fresh token with its cookie, a user, a session, a key."""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import Final

from ...engine.core import codec
from ...engine.core.principals import Scope, ServerRole
from ...engine.identity.records import TokenRecord, User
from ..answers import json_response
from ..auth import NEVER_MS, Credential
from ..credentials import COOKIE, bearer_of, cookie_of
from ..http_message import RequestHead, Response
from . import secret
from .tokens import Issued

CLEAR_COOKIE: Final = ("set-cookie", f"{COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict")
NO_CONTENT: Final = Response(HTTPStatus.NO_CONTENT.value)


def user_json(credential: Credential) -> dict[str, object]:
    """Whom a credential stands for, as that user itself sees it."""
    author, role = credential.principal.author, credential.principal.role
    shown: dict[str, object] = {"id": author.id, "name": author.name, "kind": author.kind, "role": role.value}
    if credential.username is not None:
        shown["username"] = credential.username
    return shown


def whoami(head: RequestHead, credential: Credential) -> dict[str, object]:
    """What a credential is good for; with the CSRF token where a cookie brought it."""
    shown: dict[str, object] = {
        "user": user_json(credential),
        "scopes": scopes_json(credential.principal.scopes),
        "expires_at": time_or_none(credential.expires_at_ms),
    }
    cookie = cookie_of(head)
    if bearer_of(head) is None and cookie is not None:
        shown["csrf_token"] = secret.csrf_of(cookie)
    return shown


def logged_in(status: int, issued: Issued, head: RequestHead, now_ms: int, *, secure: bool) -> Response:
    """A fresh session: its token, shown this once, in the body and in an HttpOnly cookie for browsers.

    Args:
        secure: the server is reached by https only.
    """
    credential = issued.credential
    body = {
        "token": issued.token,
        "user": user_json(credential),
        "expires_at": codec.rfc3339(credential.expires_at_ms),
        "csrf_token": secret.csrf_of(issued.token),
    }
    cookie = session_cookie(issued, now_ms, secure=secure or _by_https(head))
    return json_response(status, codec.encode_json(body), cookie)


def session_cookie(issued: Issued, now_ms: int, *, secure: bool) -> tuple[str, str]:
    """The header that gives a browser its session.

    Args:
        secure: the cookie must never leave by http.
    """
    max_age_s = max(1, math.ceil((issued.credential.expires_at_ms - now_ms) / 1000))
    cookie = f"{COOKIE}={issued.token}; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite=Strict"
    return ("set-cookie", cookie + ("; Secure" if secure else ""))


def _by_https(head: RequestHead) -> bool:
    """Only a page that came by https says so in Origin; its cookie must never leave by http, whatever stands in between."""
    return (head.header("origin") or "").lower().startswith("https://")


def account_json(user: User) -> dict[str, object]:
    """A user as administrators see it."""
    return {
        "id": user.id,
        "username": user.username,
        "name": user.name,
        "role": user.role.value,
        "kind": "guest" if user.role is ServerRole.GUEST else "user",
        "created_at": codec.rfc3339(user.created_at_ms),
        "disabled_at": time_or_none(user.disabled_at_ms),
    }


def session_json(session: TokenRecord, credential: Credential) -> dict[str, object]:
    """One session of one's own."""
    return {
        "id": session.id,
        "label": session.label,
        "created_at": codec.rfc3339(session.created_at_ms),
        "last_used_at": codec.rfc3339(session.last_used_at_ms),
        "expires_at": time_or_none(session.expires_at_ms),
        "current": session.id == credential.token_id,
    }


def key_json(key: TokenRecord) -> dict[str, object]:
    """One key, without its secret."""
    return {
        "id": key.id,
        "label": key.label,
        "scopes": scopes_json(key.scopes),
        "created_at": codec.rfc3339(key.created_at_ms),
        "last_used_at": codec.rfc3339(key.last_used_at_ms) if key.used else None,
        "expires_at": time_or_none(key.expires_at_ms),
    }


def scopes_json(scopes: frozenset[Scope]) -> list[str]:
    """Scopes in the order of the table."""
    return [scope.value for scope in Scope if scope in scopes]


def time_or_none(at_ms: int | None) -> str | None:
    """A time as the wire shows it; None for none."""
    return None if at_ms is None or at_ms >= NEVER_MS else codec.rfc3339(at_ms)
