"""Redaction: what a log line must not show, found by the name of a field and by the shape of a text.

Belt and braces. Nobody logs a credential or a message on purpose; this catches the one who does by mistake. It knows the
credentials that this program makes or takes, not every secret of the world: a message's text has no shape, and is kept out by
never being handed to a logger.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

REDACTED: Final = "[redacted]"
MAX_CHARS: Final = 16_384
"""Longer texts of one field are cut: a log line is no place for a body."""

SECRET_FIELDS: Final = frozenset(
    {
        "access_token",
        "api_key",
        "authorization",
        "body",
        "cookie",
        "credential",
        "csrf",
        "dsn",
        "id_token",
        "password",
        "query",
        "refresh_token",
        "secret",
        "set_cookie",
        "text",
        "token",
    }
)
"""Fields whose value is never shown, whatever it is."""

# Every alternative looks at a piece of text once, however often its beginning occurs in it: what is logged may come from anybody.
_SHAPES: Final = re.compile(
    r"""
    (?P<scheme> :// [^\s/:@]* : ) [^\s/]+ (?= @ )                # the password of a URL
    | \b hb[a-z]{1,2}_ [A-Za-z0-9_-]{16,}                         # our own tokens and keys
    | (?<! [A-Za-z0-9_-] ) eyJ [A-Za-z0-9_-]{6,} \. [A-Za-z0-9_-]+ \. [A-Za-z0-9_-]*    # a JWT
    | (?P<bearer> \b (?: bearer | basic ) \s+ ) [A-Za-z0-9._~+/=-]{8,}
    | (?P<named> \b (?: [a-z]{1,16}_ )? (?: token | password | passwd | secret | api_?key | code | state | connect )
        \s* = \s* ) [^\s&;,'"]+
    """,
    re.IGNORECASE | re.VERBOSE,
)


def _hidden(match: re.Match[str]) -> str:
    return (match["scheme"] or match["bearer"] or match["named"] or "") + REDACTED


def redacted_text(text: str) -> str:
    """A text with everything that has the shape of a credential taken out, cut at `MAX_CHARS`, that can be written as UTF-8."""
    if not text.isascii():
        text = text.encode("utf-8", "backslashreplace").decode()  # a lone surrogate could not be written
    text = _SHAPES.sub(_hidden, text)
    return text if len(text) <= MAX_CHARS else f"{text[:MAX_CHARS]}... ({len(text)} characters)"


def redacted(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a log event as they may be shown: secret ones hidden by name, all others by shape. Nested ones too."""
    return {
        name: REDACTED if name.lower().replace("-", "_") in SECRET_FIELDS else _shown(value)
        for name, value in fields.items()
    }


def _shown(value: Any) -> Any:
    match value:
        case str():
            return redacted_text(value)
        case Mapping():
            return redacted(value)
        case list() | tuple():
            return [_shown(each) for each in value]
        case None | bool() | int() | float():
            return value
        case _:
            return redacted_text(str(value))
