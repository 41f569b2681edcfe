"""Any input on the Centrifugal connection: every command with an id gets one reply, and no bytes make it raise."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from hubbub.engine import Draft

from .centrifugal_client import PING, SUBSCRIBE, Client, connected
from .house import Closed, commands, frame, house

CHANNELS = st.sampled_from(["lobby", "nowhere", "a/b", "", "x" * 200, "..", "\u00f6"])
TOO_LONG = "<70,000 letters>"  # stands for them, so that an example can be read
TEXTS = st.sampled_from(["hello", "", "a\0b", "\ud800", TOO_LONG]) | st.text(max_size=8)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
OFFSETS = st.sampled_from([-1, 0, 1, 2, 99, 2**63 - 1, 2**63, 2**64])
POST = st.fixed_dictionaries(
    {},
    optional={"text": TEXTS, "meta": ANYTHING, "reply_to": TEXTS, "idempotency_key": TEXTS, "conversation": CHANNELS},
)
PLACE = st.fixed_dictionaries({}, optional={"offset": OFFSETS, "epoch": st.sampled_from(["", "wrong"])})
VERBS: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.fixed_dictionaries(
        {"subscribe": st.builds(lambda c, p, r: {"channel": c, "recover": r, **p}, CHANNELS, PLACE, st.booleans())}
    ),
    st.fixed_dictionaries({"unsubscribe": st.fixed_dictionaries({"channel": CHANNELS})}),
    st.fixed_dictionaries({"publish": st.fixed_dictionaries({"channel": CHANNELS, "data": POST | ANYTHING})}),
    st.fixed_dictionaries(
        {
            "history": st.fixed_dictionaries(
                {"channel": CHANNELS, "limit": OFFSETS}, optional={"since": PLACE, "reverse": st.booleans()}
            )
        }
    ),
    st.fixed_dictionaries({"presence": st.fixed_dictionaries({"channel": CHANNELS})}),
    st.fixed_dictionaries({"presence_stats": st.fixed_dictionaries({"channel": CHANNELS})}),
    st.fixed_dictionaries(
        {
            "rpc": st.fixed_dictionaries(
                {
                    "method": st.sampled_from(["post", "history", "conversation", "typing", "x"]),
                    "data": POST | ANYTHING | st.dictionaries(st.sampled_from(["after", "limit"]), OFFSETS),
                }
            )
        }
    ),
    st.sampled_from([{}, {"ping": {}}, {"send": {}}, {"refresh": {}}, {"sub_refresh": {}}, {"x": 1}]),
)
STEPS = st.lists(
    st.tuples(st.just("commands"), st.lists(VERBS, min_size=1, max_size=6))
    | st.tuples(st.sampled_from(["settle", "block", "unblock", "post", "stall-free-timeout"]), st.none()),
    max_size=12,
)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_every_command_with_an_id_gets_exactly_one_reply(steps: list[tuple[str, Any]]) -> None:
    """Whatever is asked, in whatever order, however the socket takes it; well-formed commands never disconnect."""

    async def scenario() -> None:
        async with house() as there:
            client = await connected(there, commands_per_turn=3, max_frame_bytes=2**20)
            sent: list[int] = []
            said: list[Any] = []
            for kind, verbs in steps:
                await _step(client, kind, verbs, sent)
                said += client.said()
            client.conn.is_blocked = False
            client.machine.writable()
            await client.settle()
            said += client.said()
            assert not client.gone
            counts = Counter(document["id"] for document in said if "id" in document)
            assert counts == Counter(sent)
            client.machine.closed()
            assert there.subscribers == 0

    trio.run(scenario, clock=MockClock(autojump_threshold=0))


async def _step(client: Client, kind: str, verbs: list[dict[str, Any]] | None, sent: list[int]) -> None:
    match kind:
        case "commands":
            assert verbs is not None
            ids = range(len(sent) + 2, len(sent) + 2 + len(verbs))
            sent += ids
            lines = [json.dumps({"id": number, **verb}) for number, verb in zip(ids, verbs, strict=True)]
            client.send(frame("\n".join(lines).replace(TOO_LONG, "x" * 70_000).encode()))
        case "settle":
            await client.settle()
        case "block":
            client.conn.is_blocked = True
        case "unblock" if client.conn.is_blocked:
            client.conn.is_blocked = False
            client.machine.writable()
            client.pump()
        case "post":
            await client.there.engine.conversation("lobby").post(Draft("from elsewhere", author="bot"))
        case _:
            client.machine.timeout()
            client.send(frame(b"{}"))


MUTATIONS = st.lists(
    st.tuples(st.integers(0, 10_000), st.sampled_from(["set", "drop", "double", "cut"]), st.integers(0, 255)),
    max_size=6,
)
GOOD = [
    commands(SUBSCRIBE, PING),
    commands({"id": 4, "publish": {"channel": "lobby", "data": {"text": "hi", "meta": {"a": [1, 2]}}}}),
    frame(b"ping", 0x89),
    frame(b'{"id":5,', 0x01) + frame(b'"ping":{}}', 0x80),
    commands({"id": 6, "history": {"channel": "lobby", "limit": 10, "since": {"offset": 0, "epoch": ""}}}),
    commands({"id": 7, "rpc": {"method": "post", "data": {"conversation": "lobby", "text": "\u00e9"}}}),
]


def mutated(data: bytes, mutations: list[tuple[int, str, int]]) -> bytes:
    raw = bytearray(data)
    for place, how, value in mutations:
        at = place % (len(raw) + 1)
        match how:
            case "set":
                raw[at : at + 1] = bytes((value,))
            case "drop":
                del raw[at : at + 1 + value % 8]
            case "double":
                raw[at:at] = raw[at : at + value]
            case _:
                del raw[at:]
    return bytes(raw)


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(GOOD), max_size=8), MUTATIONS, st.lists(st.integers(1, 200), max_size=6), st.booleans())
def test_no_bytes_make_it_raise(good: list[bytes], mutations: list[Any], cuts: list[int], first: bool) -> None:
    """Whole frames come out, a Close is the last of them, and nothing stays in any room."""

    async def scenario() -> None:
        async with house() as there:
            client = Client(there)
            client.pump()
            data = b"".join(good)
            if not first:
                data = commands({"id": 1, "connect": {"token": there.token}}) + mutated(data, mutations)
            else:
                data = mutated(commands({"id": 1, "connect": {"token": there.token}}) + data, mutations)
            for cut in cuts:
                client.send(data[:cut])
                data = data[cut:]
                await client.settle()
            client.send(data)
            await client.settle()
            said = client.said()
            closes = [each for each in said if isinstance(each, Closed)]
            assert client.conn.is_closed is bool(closes)
            assert len(closes) <= 1
            client.machine.closed()
            await client.settle()
            assert there.subscribers == 0

    trio.run(scenario, clock=MockClock(autojump_threshold=0))
