"""Events to bytes and back, the tail that keeps them, subscribers on it, and where a reader resumes."""

from __future__ import annotations

from typing import Final

from ...engine.core import codec
from ...engine.core.framing import EventStreamFormat
from ...engine.core.outcomes import event_of
from ...engine.core.recovery import FromTail, Since, decide
from ...engine.core.subscriber import Progress, Stage, Subscriber
from ...transport.centrifugal_framing import WEBSOCKET
from .benchmark import Benchmark, Call
from .inputs import EPOCH, PRINCIPAL, TEXT, NullOutlet, filled_tail, message_event, message_id, row

_KEPT: Final = 1024
_TRIM_EVERY: Final = _KEPT // 8 + 1  # appends from one trim of a full tail to the next
_WRITE_BYTES: Final = 256 * 1024


def _encode_event() -> Call:
    event = message_event(4711)
    return lambda: codec.event_json(event)


def _encode_rich_event() -> Call:
    event = message_event(
        4711, text="Grüße aus Łódź 👋 " + TEXT, reply_to=message_id(1), meta_json=b'{"client":"web","tags":["a","b"]}'
    )
    return lambda: codec.event_json(event)


def _decode_post() -> Call:
    body = b'{"text":"%b","idempotency_key":"019aa5f4-7c1e-7b3a-9d2e-3f1c5a7b9d11"}' % TEXT.encode()
    return lambda: codec.decode_object(body)


def _encode_page() -> Call:
    messages = [message for at in range(1, 51) if (message := message_event(at).message) is not None]
    return lambda: b",".join([codec.message_json(message) for message in messages])


def _push_bytes() -> Call:
    event = message_event(4711)
    body = codec.event_json(event)
    return lambda: WEBSOCKET.format.encode(event, body)


def _block_bytes() -> Call:
    event, stream = message_event(4711), EventStreamFormat()
    body = codec.event_json(event)
    return lambda: stream.encode(event, body)


def _append() -> Call:
    tail = filled_tail(_KEPT, _KEPT)
    stored = row(1)
    return lambda: tail.append(event_of(stored, tail.head + 1))


def _read_slice() -> Call:
    tail = filled_tail(_KEPT)
    after = _KEPT - 100
    return lambda: tail.events(after, 100)


def _join_fresh() -> Call:
    tail = filled_tail(_KEPT)
    places = [0]

    def call() -> bytes:
        places[0] = place = 1 - places[0]
        after = _KEPT - 100 - place  # another place than last time, so that the remembered join does not answer
        return tail.join(WEBSOCKET.format, after, tail.reach(after, _WRITE_BYTES))

    return call


def _reader(*, takes: bool = True) -> Subscriber:
    reader = Subscriber(NullOutlet(takes=takes), WEBSOCKET.format, PRINCIPAL, "client")
    reader.stage = Stage.LIVE
    return reader


def _advance(behind: int, *, takes: bool, expected: Progress) -> Call:
    tail = filled_tail(_KEPT)
    reader = _reader(takes=takes)

    def call() -> Progress:
        reader.cursor = _KEPT - behind
        progress = reader.advance(tail, _WRITE_BYTES)
        assert progress is expected
        return progress

    return call


def _fall_out() -> Call:
    tail = filled_tail(2 * _KEPT, _KEPT)
    reader = _reader()

    def call() -> None:
        reader.stage, reader.cursor = Stage.LIVE, 1
        assert reader.advance(tail, _WRITE_BYTES) is Progress.FELL_OUT

    return call


def _decide() -> Call:
    since = Since(900, EPOCH)
    assert isinstance(decide(since, epoch=EPOCH, oldest=0, floor=512, head=1000), FromTail)
    return lambda: decide(since, epoch=EPOCH, oldest=0, floor=512, head=1000)


def _resume() -> Call:
    tail, since = filled_tail(_KEPT), Since(_KEPT - 100, EPOCH)
    reader = _reader()

    def call() -> None:
        decision = decide(since, epoch=EPOCH, oldest=0, floor=tail.floor, head=tail.head)
        reader.cursor = decision.offset
        assert reader.advance(tail, _WRITE_BYTES) is Progress.AT_HEAD

    return call


BENCHMARKS: Final = (
    Benchmark(name="codec/event", what="a posted message to the event's JSON", make=_encode_event),
    Benchmark(name="codec/event-rich", what="the same with emoji, reply and meta", make=_encode_rich_event),
    Benchmark(name="codec/post", what="the body of a post from JSON", make=_decode_post),
    Benchmark(name="codec/page", what="a page of 50 messages to JSON", make=_encode_page),
    Benchmark(name="push/websocket", what="an event's JSON to a push in a frame", make=_push_bytes),
    Benchmark(name="push/sse", what="an event's JSON to an SSE block", make=_block_bytes),
    Benchmark(
        name="tail/append",
        what="a stored row to an event in a full tail, evictions included",
        make=_append,
        period=_TRIM_EVERY,
    ),
    Benchmark(name="tail/read", what="100 events out of it", make=_read_slice),
    Benchmark(
        name="tail/join", what="100 encoded events joined for a place nobody stood at", make=_join_fresh, period=2
    ),
    Benchmark(
        name="subscriber/deliver",
        what="one new event to a reader at the head",
        make=lambda: _advance(1, takes=True, expected=Progress.AT_HEAD),
    ),
    Benchmark(
        name="subscriber/refused",
        what="the same to a reader that takes nothing",
        make=lambda: _advance(1, takes=False, expected=Progress.BLOCKED),
    ),
    Benchmark(
        name="subscriber/catch-up",
        what="a reader 1,000 events behind to the head, in writes of 256 KiB",
        make=lambda: _advance(1000, takes=True, expected=Progress.AT_HEAD),
    ),
    Benchmark(name="subscriber/fall-out", what="find that a reader is behind the tail", make=_fall_out),
    Benchmark(name="recovery/decide", what="where a cursor is served from", make=_decide),
    Benchmark(name="recovery/resume", what="a reader that missed 100 events, as many others did", make=_resume),
)
