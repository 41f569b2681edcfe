"""Identifiers: which texts may name a conversation, and how the server's own ids are laid out.

Conversation ids are chosen by clients and travel in URLs, channels and metric-free logs, so the alphabet is small and needs
no escaping anywhere (not in JSON, not in SQL text, not in a path). Server-made ids are UUIDv7 (RFC 9562, 5.7) as text: they
sort by time, which keeps index inserts at the right edge. The time and the random bits are arguments: this file draws neither.
"""

import re
from typing import NewType

from .errors import InvalidCommand, Unprocessable

ConversationId = NewType("ConversationId", str)
MessageId = NewType("MessageId", str)

MAX_NAME_CHARS = 64
MAX_KEY_CHARS = 255
MAX_REQUEST_ID_CHARS = 128
REQUEST_ID_PATTERN = rf"[A-Za-z0-9._~:/+=@-]{{1,{MAX_REQUEST_ID_CHARS}}}"
"""Of the name of a request; nothing in it means anything in a header, a log line or JSON."""

_CONVERSATION = re.compile(r"[A-Za-z0-9._:-]{1,128}", re.ASCII)
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_BLANK = frozenset(
    "\u115f\u1160\u2800\u3164\uffa0"
)  # letters and a symbol that show nothing, and still count as printable
_REQUEST_ID = re.compile(REQUEST_ID_PATTERN)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


def conversation_id(text: str) -> ConversationId:
    """Check a conversation id that came from outside.

    Raises:
        InvalidCommand: it does not match ``[A-Za-z0-9._:-]{1,128}``.
    """
    if _CONVERSATION.fullmatch(text) is None or text in {".", ".."}:
        raise InvalidCommand("a conversation id is 1 to 128 characters of A-Z a-z 0-9 . _ : -")
    return ConversationId(text)


def message_id(text: str) -> MessageId:
    """Check a message id that came from outside (a lower-case UUID).

    Raises:
        InvalidCommand: it is not one.
    """
    if _UUID.fullmatch(text) is None:
        raise InvalidCommand("a message id is a lower-case UUID")
    return MessageId(text)


def idempotency_key(text: str) -> str:
    """Check an idempotency key: 1 to 255 printable ASCII characters without spaces.

    Raises:
        InvalidCommand: it is something else.
    """
    if _KEY.fullmatch(text) is None:
        raise InvalidCommand("an idempotency key is 1 to 255 printable ASCII characters without spaces")
    return text


def check_request_id(text: str | None) -> str | None:
    """Check the name of a request that an embedder gives; transports have checked theirs when they read them.

    Raises:
        InvalidCommand: it does not match `REQUEST_ID_PATTERN`.
    """
    if text is not None and _REQUEST_ID.fullmatch(text) is None:
        raise InvalidCommand(f"a request id is 1 to {MAX_REQUEST_ID_CHARS} characters of A-Z a-z 0-9 . _ ~ : / + = @ -")
    return text


def display_name(text: str) -> str:
    """Check and trim a name that people will see: 1 to 64 characters, no control or formatting characters.

    Raises:
        Unprocessable: it is empty, too long, or holds characters that could disguise it.
    """
    name = " ".join(text.split())
    if not 1 <= len(name) <= MAX_NAME_CHARS:
        raise Unprocessable(f"a name has 1 to {MAX_NAME_CHARS} characters")
    if not name.isprintable() or not _BLANK.isdisjoint(name):
        raise Unprocessable("a name may not hold control or invisible formatting characters")
    return name


def uuid7(unix_ms: int, random_bits: int) -> str:
    """Lay out a UUIDv7 as text.

    Args:
        unix_ms: milliseconds since the epoch; the low 48 bits are used.
        random_bits: at least 74 random bits; more are ignored.
    """
    value = (unix_ms & 0xFFFF_FFFF_FFFF) << 80 | 0x7 << 76
    value |= (random_bits >> 62 & 0xFFF) << 64 | 0b10 << 62 | random_bits & 0x3FFF_FFFF_FFFF_FFFF
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
