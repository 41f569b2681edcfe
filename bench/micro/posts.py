"""A post from its decoded body to its ack: session, conversation machine, dedupe, group commit."""

from __future__ import annotations

from typing import Final

from ...engine.core.batch import Batch, Committed, GroupCommit
from ...engine.core.commands import Submit
from ...engine.core.compose import Stamp
from ...engine.core.config import ConversationSettings, WriterSettings
from ...engine.core.conversation import ConversationMachine
from ...engine.core.dedupe import Dedupe, Scope
from ...engine.core.messages import Ack
from ...engine.core.permissions import Verb
from ...engine.core.session import Session, SessionSettings
from ...engine.core.tail import Tail
from .benchmark import Benchmark, Call
from .inputs import ADA, NOW_MS, PRINCIPAL, RECORD, ROOM, TEXT, ack_of, ignore, message_id, row

_FLIGHT: Final = 20
_BATCHES: Final = 20
_REMEMBERED: Final = 1024


def _post(key: str | None) -> Call:
    session = Session(SessionSettings(), PRINCIPAL)
    body: dict[str, object] = {"text": TEXT}
    if key is not None:
        body["idempotency_key"] = key
    stamp = Stamp(id=message_id(1), at_ms=NOW_MS, deadline=10.0)
    return lambda: session.post(ROOM, body, stamp, ignore)


def _machine(tail_items: int) -> ConversationMachine:
    settings = ConversationSettings()
    return ConversationMachine(RECORD, Tail(0, max_items=tail_items, max_bytes=1 << 40), settings)


def _submission(key: str | None = None) -> Submit:
    return Submit(ignore, PRINCIPAL, Verb.POST, row(1, key), 1e9)


def _settle(posts: int) -> Call:
    """Rounds of so many posts on a tail of one event, so that evictions are alike in each round."""
    machine = _machine(1)

    def call() -> None:
        for _ in range(posts):
            machine.submit(_submission())
        rows = machine.take_flight()
        assert rows is not None
        head = machine.tail.head
        for pending, answer in machine.settle([Committed(head + place) for place in range(1, len(rows) + 1)]):
            assert isinstance(answer, Ack)
            pending.answer(answer)

    call()
    return call


def _repeat() -> Call:
    machine = _machine(16)
    machine.submit(_submission("key"))
    machine.take_flight()
    machine.settle([Committed(1)])
    retry = _submission("key")

    def call() -> None:
        answer = machine.submit(retry)
        assert isinstance(answer, Ack)
        assert answer.repeated

    return call


def _remember() -> Call:
    """Twice as many keys as are remembered, one after the other: each is new, and one is forgotten for it."""
    dedupe = Dedupe(_REMEMBERED, 1 << 40)
    scopes = [Scope(ADA.id, message_id(number)) for number in range(2 * _REMEMBERED)]
    ack = ack_of(row(1, "key"), 1)
    place = 0

    def call() -> None:
        nonlocal place
        dedupe.acknowledge(scopes[place], b"digest", ack)
        place = (place + 1) % len(scopes)

    for _ in scopes:
        call()
    return call


def _recall() -> Call:
    dedupe = Dedupe(_REMEMBERED, 1 << 40)
    for number in range(_REMEMBERED):
        dedupe.acknowledge(Scope(ADA.id, message_id(number)), b"digest", ack_of(row(number, "key"), number + 1))
    wanted = message_id(_REMEMBERED // 2)
    return lambda: dedupe.acked(Scope(ADA.id, wanted))


def _group_commit() -> Call:
    settings = WriterSettings()
    commits = GroupCommit(
        max_items=settings.queue_items,
        max_commit_items=settings.commit_items,
        max_commit_bytes=settings.commit_bytes,
        pace_s=settings.pace_s,
        pace_items=settings.pace_items,
    )
    rows = [row(number) for number in range(_BATCHES)]
    results = [Committed(1)]
    now = 0.0

    def call() -> None:
        nonlocal now
        now += 1.0
        for each in rows:
            commits.add(Batch(ROOM, (each,), _settled), now)
        assert commits.due_at() is not None
        for batch in commits.take(now):
            batch.settle(results)

    return call


def _settled(batch: Batch, results: object) -> None:
    pass


BENCHMARKS: Final = (
    Benchmark(name="session/post", what="a decoded post checked and made a command", make=lambda: _post(None)),
    Benchmark(
        name="session/post-key",
        what="the same with an idempotency key",
        make=lambda: _post("019aa5f4-7c1e-7b3a-9d2e-3f1c5a7b9d11"),
    ),
    Benchmark(name="conversation/post", what="a post alone: admitted, sent, settled, acked", make=lambda: _settle(1)),
    Benchmark(
        name="conversation/batch",
        what=f"a post of {_FLIGHT} in one flight, the same way",
        make=lambda: _settle(_FLIGHT),
        operations=_FLIGHT,
    ),
    Benchmark(name="conversation/repeat", what="the retry of an acked key", make=_repeat),
    Benchmark(name="dedupe/remember", what="a new key, the oldest forgotten", make=_remember),
    Benchmark(name="dedupe/recall", what="a known key looked up", make=_recall),
    Benchmark(
        name="batch/commit",
        what=f"a batch queued, taken and settled, {_BATCHES} to a commit",
        make=_group_commit,
        operations=_BATCHES,
    ),
)
