"""Secrets that are shown once: how they are made, told apart, kept and bound.

A token is a prefix that says what it is for (so that scanners of code find one that leaked) and 256 random bits. It is kept as
its SHA-256 digest: a random secret needs no salt and no slow hash. The CSRF token of a cookie session is derived from the
session's token, so that nothing is stored and no other session's fits; it does not give the session's token away.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64encode
from typing import Final

SESSION: Final = "hbs_"
GUEST: Final = "hbg_"
KEY: Final = "hbk_"
SETUP: Final = "hbu_"
INVITATION: Final = "hbi_"

PREFIXES: Final = (SESSION, GUEST, KEY)
"""What tokens of our own begin with; every other token is for the embedding program to know."""

MAX_CHARS: Final = 512
_CSRF_BYTES: Final = 24


def make(prefix: str) -> str:
    """A fresh secret."""
    return prefix + secrets.token_urlsafe(32)


def digest(secret: str) -> bytes:
    """What is kept of it."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()


def csrf_of(session_token: str) -> str:
    """The CSRF token of a cookie session, of 32 characters."""
    mac = hmac.digest(session_token.encode("utf-8", "replace"), b"hubbub csrf 1", "sha256")
    return urlsafe_b64encode(mac[:_CSRF_BYTES]).decode()


def csrf_fits(session_token: str, shown: str | None) -> bool:
    """Whether a CSRF token is that of this session; takes as long for a wrong one."""
    return hmac.compare_digest(csrf_of(session_token).encode(), (shown or "").encode("utf-8", "replace"))
