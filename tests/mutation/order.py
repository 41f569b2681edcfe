"""Mutants of G3 and G4: one order without gaps, and one ack for one key."""

from typing import Final

from .mutant import Edit, Mutant

_MACHINE = "engine/core/conversation.py"
_OUTCOMES = "engine/core/outcomes.py"
_CORE = "tests/engine/core/test_conversation.py"
_ACTOR = "tests/engine/test_conversation_actor.py"
_WRITER = "tests/storage/test_writer.py"
_MEMORY = "tests/storage/test_memory.py"

ORDER: Final = (
    Mutant(
        name="bisect-loses-order",
        promise="G3",
        breaks="the second half of a conversation's posts is committed before the first",
        story="`extendleft` turns its argument round, which is easy to forget.",
        edits=(
            Edit(
                "storage/flight.py",
                """
[Part(second, part.again), Part(first, part.again)]
""",
                """
[Part(first, part.again), Part(second, part.again)]
""",
            ),
        ),
        tests=(_WRITER,),
    ),
    Mutant(
        name="two-batches-in-flight",
        promise="G3",
        breaks="two batches of one conversation are out, and the results of one are taken for the other's",
        story="Pipelining looks like free throughput.",
        edits=(
            Edit(
                _MACHINE,
                """
        if self.flight is not None or not self.waiting:
""",
                """
        if not self.waiting:
""",
            ),
        ),
        tests=(_CORE, _ACTOR),
    ),
    Mutant(
        name="repeat-takes-an-offset",
        promise="G3",
        breaks="a retry leaves a hole in the offsets",
        story="Numbering is moved to where the rows are read, before the repeats are sorted out.",
        edits=(
            Edit(
                "storage/sql.py",
                """
    select i.*, c.head, k."offset" as first_offset,
""",
                """
    select i.*, row_number() over (partition by i.conversation collate "C" order by i.place) as nth,
        c.head, k."offset" as first_offset,
""",
            ),
            Edit(
                "storage/sql.py",
                """
        head + row_number() over (partition by conversation collate "C" order by place) as "offset"
""",
                """
        head + nth as "offset"
""",
            ),
        ),
        tests=("tests/storage/test_postgres.py",),
    ),
    Mutant(
        name="offset-reset-at-restart",
        promise="G3",
        breaks="a conversation that is loaded again counts its offsets from the oldest event it has read back",
        story="Offsets are taken for places in the window, which they are until the log is longer than what is read back.",
        edits=(
            Edit(
                "engine/_conversation.py",
                """
        before = events[0].offset - 1 if events and events[0].offset is not None else record.offset
""",
                """
        before = 0
""",
            ),
            Edit(
                "engine/_conversation.py",
                """
        for event in events:
            tail.append(event)
""",
                """
        for offset, event in enumerate(events, 1):
            tail.append(msgspec.structs.replace(event, offset=offset))
""",
            ),
            Edit(
                "engine/_conversation.py",
                """
import trio

from ..actors
""",
                """
import msgspec
import trio

from ..actors
""",
            ),
        ),
        tests=(_ACTOR, "tests/engine/test_engine.py", "tests/engine/test_fanout.py"),
    ),
    Mutant(
        name="head-read-before-the-old-batch-settled",
        promise="G3",
        breaks="a restarted conversation starts from a head that a batch in flight is about to move",
        story="A restart is made faster: what was in flight will show up in the next load.",
        edits=(
            Edit(
                "engine/_conversation.py",
                """
        with self._until_drained(), trio.move_on_after(_SETTLE_WAIT_S):
            await self._room.wait_settled()
        await self._load()
""",
                """
        await self._load()
""",
            ),
            Edit(
                "engine/_conversation.py",
                """
        if room.batch is not None:  # loading now would miss what it is about to add
""",
                """
        if False:
""",
            ),
        ),
        tests=(_ACTOR,),
    ),
    Mutant(
        name="late-commit-not-published",
        promise="G5",
        breaks="a post that turns out to be committed after its deadline is in the log, and live readers never see it",
        story="Nobody waits for it any longer, so nothing seems to be left to do.",
        edits=(
            Edit(
                _MACHINE,
                """
                event = event_of(pending.row, offset)
""",
                """
                if pending.answered:
                    return OutcomeUnknown()
                event = event_of(pending.row, offset)
""",
            ),
        ),
        tests=(_CORE, _ACTOR),
    ),
    Mutant(
        name="repeat-acked-not-published",
        promise="G5",
        breaks="a resent post is acknowledged as a repeat of itself, and live readers never see it",
        story="The store finds the row of an earlier try and calls it a repeat; the check that would tell is taken for noise.",
        edits=(
            Edit(
                "storage/memory.py",
                """
            return Committed(log.offsets[row.id])
""",
                """
            return Repeat(log.offsets[row.id], row.id, row.at_ms, row.digest, row.actor)
""",
            ),
            Edit(
                _MACHINE,
                """
                if result.offset > self.tail.head:
                    raise ValueError(f"a repeat at {result.offset}, past the head {self.tail.head}")
""",
                "",
            ),
        ),
        tests=(_CORE, _ACTOR, _WRITER),
    ),
    Mutant(
        name="dedupe-only-in-memory",
        promise="G4",
        breaks="a retry after a restart, or after a thousand other posts, is stored again",
        story="The conversation remembers acked keys, so the store's own look-up is taken out as a double.",
        edits=(
            Edit(
                "storage/memory.py",
                """
            if known is not None:
                return known
""",
                """
            if known is not None and again:
                return known
""",
            ),
        ),
        tests=(_MEMORY, _ACTOR),
    ),
    Mutant(
        name="key-forgets-its-author",
        promise="G4",
        breaks="two authors who choose the same key share one ack",
        story="A test with one author passes with the key alone.",
        edits=(
            Edit(
                "engine/core/dedupe.py",
                """
    author: str
    key: str
""",
                """
    author: str = attrs.field(eq=False)
    key: str
""",
            ),
        ),
        tests=("tests/engine/core/test_dedupe.py", _CORE),
    ),
    Mutant(
        name="digest-not-compared",
        promise="G4",
        breaks="another text under a used key is acknowledged and never stored",
        story="Same key, same post: the digest seems to be the store's business.",
        edits=(
            Edit(
                _MACHINE,
                """
                if known.digest != row.digest:
                    return Unprocessable(OTHER_BODY)
""",
                "",
            ),
        ),
        tests=(_CORE,),
    ),
    Mutant(
        name="digest-of-the-store-not-compared",
        promise="G4",
        breaks="another text under a key that only the store remembers is acknowledged and never stored",
        story="The check in memory is thought to come first every time.",
        edits=(
            Edit(
                _OUTCOMES,
                """
    if first.digest != row.digest:
        return Unprocessable(OTHER_BODY)
""",
                "",
            ),
        ),
        tests=(_CORE, _ACTOR),
    ),
    Mutant(
        name="retry-shows-its-own-id",
        promise="G4",
        breaks="the ack of a retry names a message id that does not exist",
        story="The ack is built from the row at hand, and the row at hand is the retry's.",
        edits=(
            Edit(
                _OUTCOMES,
                """
    return Ack(message_of(row, first.offset, first), Cursor(epoch, first.offset), repeated=True)
""",
                """
    return Ack(message_of(row, first.offset), Cursor(epoch, first.offset), repeated=True)
""",
            ),
        ),
        tests=(_CORE, _ACTOR),
    ),
    Mutant(
        name="retry-stands-at-the-head",
        promise="G4",
        breaks="the ack of a retry has a cursor past its message, and who resumes there misses events",
        story="The cursor of an ack is the head in every case but this one.",
        edits=(
            Edit(
                _MACHINE,
                """
                return self._remember(pending, answer)
""",
                """
                return self._remember(pending, msgspec.structs.replace(answer, cursor=Cursor(self.record.epoch, self.tail.head)))
""",
            ),
        ),
        tests=(_CORE, _ACTOR),
    ),
    Mutant(
        name="retry-refused-after-archiving",
        promise="G4",
        breaks="the retry of a committed post is refused because its conversation was archived since",
        story="Permission is checked first, as everywhere else.",
        edits=(
            Edit(
                _MACHINE,
                """
        return error if submission.row.key is None else Doubted(error)
""",
                """
        return error
""",
            ),
        ),
        tests=(_CORE, _ACTOR),
    ),
)
