"""Events and messages to JSON bytes, once; requests from JSON bytes, bounded and typed.

One event has one encoding: the wires only wrap it (a WebSocket frame, an SSE block), so that all transports and every replay
show the same bytes. Ids and event types come from small alphabets and are spliced in unescaped; names and texts go through
the JSON library. The keys stand in a fixed order, so a replay from the store is byte for byte what was sent live.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import msgspec

from .authors import Author
from .errors import InvalidCommand, Unprocessable
from .members import Member
from .messages import ConversationChange, Event, Message, MessagePage, Record

encode_json = msgspec.json.Encoder().encode
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode

JsonObject = dict[str, Any]

MAX_DEPTH: Final = 32
"""Levels of nesting in a request. Whoever encodes the value again stands deeper in the stack than the decoder did, so the
recursion limit must never be what stops it."""

_TOO_DEEP = "the JSON is nested too deeply"
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


@lru_cache(maxsize=256)
def _second(unix_s: int) -> bytes:
    return datetime.fromtimestamp(unix_s, UTC).isoformat()[:19].encode()


def _timestamp(unix_ms: int) -> bytes:
    seconds, ms = divmod(unix_ms, 1000)
    return b"%b.%03dZ" % (_second(seconds), ms)


def rfc3339(unix_ms: int) -> str:
    """Milliseconds since the epoch as RFC 3339 in UTC with milliseconds: ``2026-11-21T05:36:00.123Z``."""
    return _timestamp(unix_ms).decode()


@lru_cache(maxsize=4096)
def author_json(author: Author) -> bytes:
    """An author as JSON."""
    return encode_json({"id": author.id, "name": author.name, "kind": author.kind})


def message_json(message: Message) -> bytes:
    """A message as REST, SSE and WebSocket show it."""
    return _message(message, author_json(message.author), _timestamp(message.created_at_ms))


def _message(message: Message, author: bytes, created_at: bytes) -> bytes:
    reply = b',"reply_to":"%b"' % message.reply_to.encode() if message.reply_to else b""
    meta = b',"meta":%b' % message.meta_json if message.meta_json else b""
    return (
        b'{"id":"%b","conversation":"%b","offset":%d,"author":%b,"text":%b%b%b,"created_at":"%b","revision":%d}'
    ) % (
        message.id.encode(),
        message.conversation.encode(),
        message.offset,
        author,
        encode_json(message.text),
        reply,
        meta,
        created_at,
        message.revision,
    )


def page_json(page: MessagePage) -> bytes:
    """A page of messages as REST shows it; made once for each page (a page of 50 took 60 us each time)."""
    encoded = page.encoded
    if encoded.json is None:
        rows = b",".join([message_json(message) for message in page.messages])
        edges = (encode_json(page.next), encode_json(page.previous))
        encoded.json = b'{"messages":[%b],"next":%b,"previous":%b}' % (rows, *edges)
    return encoded.json


def change_json(change: ConversationChange) -> bytes:
    """What an update changed, as JSON; untouched fields are left out."""
    fields = {
        "title": change.title,
        "visibility": change.visibility,
        "archived": change.archived,
        "slow_s": change.slow_s,
    }
    return encode_json({name: value for name, value in fields.items() if value is not None})


@lru_cache(maxsize=4096)
def member_json(member: Member) -> bytes:
    """A row of the members as every transport shows it; what says nothing is left out."""
    row = b'{"user":%b' % author_json(member.user)
    if member.belongs:
        row += b',"role":"%b","joined_at":"%b"' % (member.role.value.encode(), _timestamp(member.joined_at_ms))
    if member.muted_until_ms:
        row += b',"muted_until":"%b"' % _timestamp(member.muted_until_ms)
    return row + (b',"banned":true}' if member.banned else b"}")


def event_json(event: Event) -> bytes:
    """An event as every transport shows it."""
    offset = b"" if event.offset is None else b',"offset":%d' % event.offset
    at, actor, message = _timestamp(event.at_ms), author_json(event.actor), event.message
    if message is not None:
        # Who posts is the author and the time is the same, so both are rendered once (2.7 us an event became 1.7).
        author = actor if message.author is event.actor else author_json(message.author)
        created_at = at if message.created_at_ms == event.at_ms else _timestamp(message.created_at_ms)
        rest = b',"message":%b' % _message(message, author, created_at)
    elif event.change is not None:
        rest = b',"changes":%b' % change_json(event.change)
    elif event.member is not None:
        rest = b',"member":%b' % member_json(event.member)
    elif event.data_json is not None:
        rest = b',"data":%b' % event.data_json
    else:
        rest = b""
    return b'{"type":%b,"conversation":"%b"%b,"at":"%b","actor":%b%b}' % (
        _type_json(event.type),
        event.conversation.encode(),
        offset,
        at,
        actor,
        rest,
    )


@lru_cache(maxsize=256)
def _type_json(event_type: str) -> bytes:
    return encode_json(str(event_type))


def record_json(record: Record) -> bytes:
    """A conversation as REST shows it."""
    return encode_json(
        {
            "id": record.id,
            "title": record.title,
            "kind": record.kind.value,
            "visibility": record.visibility.value,
            "owner": record.owner,
            "epoch": record.epoch,
            "offset": record.offset,
            "archived": record.archived,
            "slow_s": record.slow_s,
            "created_at": rfc3339(record.created_at_ms),
        }
    )


def decode_object(data: bytes) -> JsonObject:
    """Decode one JSON object that came from outside.

    Raises:
        InvalidCommand: not UTF-8, not JSON, nested deeper than `MAX_DEPTH`, or not an object.
        Unprocessable: a text holds a lone surrogate as an escape, which UTF-8 cannot carry.
    The message never quotes the input.
    """
    try:
        value = _decode_object(data)
    except RecursionError:
        raise InvalidCommand(_TOO_DEEP) from None
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError):
        if _SURROGATE.search(data) is not None and _holds_lone_surrogate(data):
            raise Unprocessable("a text may not hold a lone surrogate") from None
        raise InvalidCommand("a JSON object is expected") from None
    # Most input has fewer brackets than levels allowed, and needs no walk.
    if data.count(b"{") + data.count(b"[") > MAX_DEPTH:
        _check_depth(value)
    return value


def _holds_lone_surrogate(data: bytes) -> bool:
    """Whether lone surrogates are what is wrong; the standard library lets them pass. Only asked on the way to an error."""
    try:
        json.dumps(json.loads(data, parse_int=len, parse_float=len), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    except (ValueError, RecursionError):
        return False
    return False


def _check_depth(value: JsonObject) -> None:
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        level = [
            item
            for holder in level
            for item in (holder.values() if isinstance(holder, dict) else holder)
            if isinstance(item, (dict, list))
        ]
        if not level:
            return
    raise InvalidCommand(_TOO_DEEP)


def get_text(fields: Mapping[str, Any], name: str) -> str | None:
    """An optional text field.

    Raises:
        InvalidCommand: it is there and not a text.
    """
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidCommand(f"{name!r} must be a text")
    return value


def require_text(fields: Mapping[str, Any], name: str) -> str:
    """A text field that must be there.

    Raises:
        InvalidCommand: it is missing or not a text.
    """
    value = get_text(fields, name)
    if value is None:
        raise InvalidCommand(f"{name!r} is missing")
    return value


def get_int(fields: Mapping[str, Any], name: str) -> int | None:
    """An optional whole number from 0 to 2**63 - 1; 5.0 is one, as in JSON Schema, since some encoders write it so.

    Raises:
        InvalidCommand: it is there and not one.
    """
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise InvalidCommand(f"{name!r} must be a whole number from 0 upwards")
    return value


def get_bool(fields: Mapping[str, Any], name: str) -> bool | None:
    """An optional boolean.

    Raises:
        InvalidCommand: it is there and not one.
    """
    value = fields.get(name)
    if value is not None and not isinstance(value, bool):
        raise InvalidCommand(f"{name!r} must be true or false")
    return value


def storable_text(text: str, limit_bytes: int, name: str) -> int:
    """Check that a text can be stored and sent, and return its size in UTF-8 bytes. The limit is the caller's to enforce.

    Raises:
        Unprocessable: it holds NUL (Postgres cannot store it) or a lone surrogate (UTF-8 cannot carry it).
    """
    if len(text) > limit_bytes:
        return len(text)  # too large already, and never more characters than bytes: spare the encoding
    if "\x00" in text:
        raise Unprocessable(f"{name!r} may not hold the character NUL")
    try:
        return len(text) if text.isascii() else len(text.encode())
    except UnicodeEncodeError:
        raise Unprocessable(f"{name!r} may not hold a lone surrogate") from None
