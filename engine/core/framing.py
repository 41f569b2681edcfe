"""Event streams (SSE) as the WHATWG HTML standard, section 9.2, defines them: blocks of lines, and where a reader resumes.

A durable event's `id:` is its offset, so that `Last-Event-ID` names the last durable event seen; ephemeral events carry none.
JSON holds no raw line break, so one `data:` line is enough.
"""

from .codec import encode_json
from .cursor import offset
from .errors import RecoveryReason
from .messages import Event
from .recovery import Since

HEARTBEAT = b": heartbeat\n\n"


class EventStreamFormat:
    """An event as an SSE block."""

    name = "sse"

    def encode(self, event: Event, body: bytes) -> bytes:
        """Wrap the event's JSON."""
        if event.offset is None:
            return b"event: %b\ndata: %b\n\n" % (event.type.encode(), body)
        return b"id: %d\nevent: %b\ndata: %b\n\n" % (event.offset, event.type.encode(), body)


def opening(epoch: str, at: int, *, live: bool, retry_ms: int) -> bytes:
    """The first block: where the stream stands. With an id only when it starts live, so that a reader that resumes keeps
    its own position until it has read further."""
    head = b"id: %d\n" % at if live else b""
    return b"retry: %d\n%bevent: stream.open\ndata: %b\n\n" % (
        retry_ms,
        head,
        encode_json({"epoch": epoch, "offset": at}),
    )


def reset(reason: RecoveryReason, epoch: str, at: int) -> bytes:
    """The reader's cursor cannot be served; it goes on live from `at`."""
    data = encode_json({"reason": reason.value, "epoch": epoch, "offset": at})
    return b"id: %d\nevent: stream.reset\ndata: %b\n\n" % (at, data)


def end(code: str) -> bytes:
    """The server ends the stream; the reader may resume."""
    return b"event: stream.end\ndata: %b\n\n" % encode_json({"code": code})


def turned_away(code: str, *, retry_ms: int) -> bytes:
    """A whole stream for a reader that comes while the server stops: it keeps its position, and comes again."""
    return b"retry: %d\n%b" % (retry_ms, end(code))


def since_of(last_event_id: str | None, after: str | None, epoch: str | None) -> Since | None:
    """Where a reader resumes: `Last-Event-ID` beats ``?after=``; the epoch is checked when it is given.

    Raises:
        InvalidCommand: the position is not a number.
    """
    text = last_event_id or after
    if not text:
        return None
    return Since(offset(text), epoch or None)
