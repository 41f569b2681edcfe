"""The Centrifugal protocol as the generator speaks it: joining, resuming, posts and their answers."""

import base64
import hashlib
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.bench import wire
from hubbub.bench.dialects import Answer, Closed, Handshake, Join, Joined, Pinged, Publication
from hubbub.bench.dialects.hubbub import HubbubSocket

MASK = b"mask"


def frame(*documents: object) -> bytes:
    body = b"\n".join(json.dumps(document).encode() for document in documents)
    size = len(body)
    return (bytes((0x81, size)) if size < 126 else b"\x81\x7e" + size.to_bytes(2, "big")) + body


def upgraded(request: bytes) -> bytes:
    key = re.search(rb"Sec-WebSocket-Key: (\S+)", request)
    assert key is not None
    accept = base64.b64encode(hashlib.sha1(key[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    return b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n"


def unmasked(data: bytes) -> list[dict]:
    size, at = data[1] & 127, 2
    if size == 126:
        size, at = int.from_bytes(data[2:4], "big"), 4
    mask, body = data[at : at + 4], data[at + 4 : at + 4 + size]
    plain = bytes(byte ^ mask[i % 4] for i, byte in enumerate(body))
    return [json.loads(line) for line in plain.split(b"\n")]


def begun(dialect: HubbubSocket, *, room: str | None, after: int | None = None) -> tuple[Handshake, list[dict]]:
    handshake = dialect.handshake(Join(host="h:1", token="t", room=room, after=after, epoch="e", mask=MASK))
    step = handshake.feed(upgraded(handshake.start()))
    return handshake, unmasked(step.send)


def pub(offset: int, text: str = "hi") -> dict:
    return {"offset": offset, "data": {"message": {"text": text}}}


def test_a_reader_connects_and_subscribes_in_one_frame() -> None:
    """Live from the offset of the answer; pushes in the same frame belong to it, bytes behind it are kept."""
    handshake, commands = begun(HubbubSocket(), room="r")
    assert commands == [{"id": 1, "connect": {"token": "t"}}, {"id": 2, "subscribe": {"channel": "r"}}]
    answer = frame(
        {"id": 1, "connect": {}}, {"id": 2, "subscribe": {"offset": 7, "epoch": "e"}}, {"push": {"pub": pub(8)}}
    )
    rest = frame({"push": {"pub": pub(9)}})
    assert handshake.feed(answer + rest).joined == Joined(
        offset=7, epoch="e", missed=(Publication(8, "hi"),), rest=rest
    )


@given(st.integers(1, 40))
def test_answers_may_come_apart(at: int) -> None:
    """Two frames, cut anywhere."""
    handshake, _ = begun(HubbubSocket(), room="r")
    data = frame({"id": 1, "connect": {}}) + frame({"id": 2, "subscribe": {"offset": 7, "epoch": "e"}})
    assert handshake.feed(data[:at]).joined is None
    assert handshake.feed(data[at:]).joined == Joined(offset=7, epoch="e")


def test_a_poster_only_connects() -> None:
    """Without a room there is no subscription to wait for."""
    handshake, commands = begun(HubbubSocket(), room=None)
    assert [*commands[0]] == ["id", "connect"]
    assert handshake.feed(frame({"id": 1, "connect": {}})).joined == Joined(offset=0)


def test_a_resume_brings_what_was_missed() -> None:
    """The position is asked for, and equal answers are read once for all connections."""
    dialect = HubbubSocket()
    pubs = [pub(n) for n in range(6, 61)]
    subscribed = {"offset": 60, "epoch": "e", "recovered": True, "publications": pubs}
    found = []
    for client in "ab":  # the first line differs
        handshake, commands = begun(dialect, room="r", after=5)
        assert commands[1]["subscribe"] == {"channel": "r", "recover": True, "offset": 5, "epoch": "e"}
        found.append(
            handshake.feed(frame({"id": 1, "connect": {"client": client}}, {"id": 2, "subscribe": subscribed})).joined
        )
    assert found[0] == found[1]
    assert found[0] is not None
    assert [p.offset for p in found[0].missed] == list(range(6, 61))
    assert found[0].missed is found[1].missed


def test_a_position_that_cannot_be_served_is_told() -> None:
    """`recovered: false` is passed on."""
    handshake, _ = begun(HubbubSocket(), room="r", after=5)
    joined = handshake.feed(frame({"id": 2, "subscribe": {"offset": 60, "epoch": "e", "recovered": False}})).joined
    assert joined is not None
    assert (joined.resumed, joined.offset) == (False, 60)


@pytest.mark.parametrize("answer", [frame({"id": 2, "error": {"code": 102, "message": "no"}}), b"\x88\x02\x0d\xac"])
def test_a_refusal_is_an_error(answer: bytes) -> None:
    """An error reply, or a close."""
    handshake, _ = begun(HubbubSocket(), room="r")
    with pytest.raises(wire.WireError):
        handshake.feed(answer)


def test_words() -> None:
    """Events, answers to posts, pings of both kinds and a close; nothing of replies to others."""
    dialect = HubbubSocket()
    (posted,) = unmasked(dialect.publish(4, "r", "text", "key", MASK))
    data = (
        frame({"push": {"pub": pub(8)}}, {"id": posted["id"], "publish": {}}, {"push": {"pub": {"data": {}}}})
        + frame({"id": posted["id"] + 1, "error": {"code": 503, "message": "later"}})
        + b"\x81\x02{}\x89\x01p\x88\x05\x0b\xc0bye"
    )
    frames, _ = dialect.split(data)
    assert [word for each in frames for word in dialect.words(each, MASK)] == [
        Publication(8, "hi"),
        Answer(4),
        Answer(5, wire.Refusal(503, "later")),
        Pinged(wire.frame(b"{}", MASK)),
        Pinged(wire.frame(b"p", MASK, wire.PONG)),
        Closed("3008 bye"),
    ]
    assert posted["publish"] == {"channel": "r", "data": {"text": "text", "idempotency_key": "key"}}


def test_other_acts_are_answered_like_posts() -> None:
    """Typing and a read of history carry the id that their answer is known by."""
    dialect = HubbubSocket()
    (typing,), (history,) = unmasked(dialect.typing(1, "r", MASK)), unmasked(dialect.history(2, "r", MASK))
    assert (typing["rpc"]["method"], history["rpc"]["method"]) == ("typing", "history")
    answers = frame({"id": typing["id"], "rpc": {}}, {"id": history["id"], "rpc": {"data": {}}})
    frames, _ = dialect.split(answers)
    assert dialect.words(frames[0], MASK) == [Answer(1), Answer(2)]
