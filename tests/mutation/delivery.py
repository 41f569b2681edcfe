"""Mutants of G5: resume from anywhere, with no gap and no duplicate, and never silently."""

from typing import Final

from .mutant import Edit, Mutant

_RECOVERY = "tests/engine/core/test_recovery.py"
_CORE = "tests/engine/core/test_conversation.py"
_TAIL = "tests/engine/core/test_tail.py"
_ACTOR = "tests/engine/test_conversation_actor.py"
_FANOUT = "tests/engine/test_fanout.py"
_READS = "tests/engine/test_reads.py"
_HANDLES = "tests/engine/test_handles.py"

DELIVERY: Final = (
    Mutant(
        name="replay-begins-one-early",
        promise="G5",
        breaks="who resumes gets its last event a second time",
        story="A cursor is taken for the next offset to read.",
        edits=(
            Edit(
                "engine/core/recovery.py",
                """
        return FromTail(since.offset)
""",
                """
        return FromTail(max(floor, since.offset - 1))
""",
            ),
        ),
        tests=(_RECOVERY, _CORE),
    ),
    Mutant(
        name="replay-begins-one-late",
        promise="G5",
        breaks="who resumes misses the first event after its cursor",
        story="The other side of the same confusion.",
        edits=(
            Edit(
                "engine/core/recovery.py",
                """
        return FromTail(since.offset)
""",
                """
        return FromTail(min(head, since.offset + 1))
""",
            ),
        ),
        tests=(_RECOVERY, _CORE),
    ),
    Mutant(
        name="page-repeats-its-edge",
        promise="G5",
        breaks="a page that Postgres reads begins with the event that the reader has",
        story="`>=` for `>`.",
        edits=(
            Edit(
                "storage/sql.py",
                """
where='conversation = $1 and "offset" > $2'
""",
                """
where='conversation = $1 and "offset" >= $2'
""",
            ),
        ),
        tests=("tests/storage/test_postgres.py",),
    ),
    Mutant(
        name="floor-off-by-one",
        promise="G5",
        breaks="a cursor just older than the tail is served from it, without the event that was trimmed",
        story="The floor is taken for the first event in the window, and it is the cursor before that.",
        edits=(
            Edit(
                "engine/core/tail.py",
                """
        return self._dead <= offset <= self.head
""",
                """
        return self._dead - 1 <= offset <= self.head
""",
            ),
        ),
        tests=(_TAIL, _FANOUT),
    ),
    Mutant(
        name="join-cache-forgets-its-end",
        promise="G5",
        breaks="a reader gets the bytes that another one got earlier, and its cursor moves past what was missing in them",
        story="All readers stand at one place, so the place seems to be key enough.",
        edits=(
            Edit(
                "engine/core/tail.py",
                """
        if known is not None and known[0] == after and known[1] == upto:
""",
                """
        if known is not None and known[0] == after:
""",
            ),
        ),
        tests=(_TAIL, _FANOUT),
    ),
    Mutant(
        name="page-read-past-the-head",
        promise="G5",
        breaks="who reads pages meets events that are not settled yet, stands ahead of its room, and gets them again",
        story="Committed is committed, so the page is read as far as the store has it.",
        edits=(
            Edit(
                "engine/_reads.py",
                """
                limit=min(limits.page_items, tail.head - subscriber.cursor),
""",
                """
                limit=limits.page_items,
""",
            ),
        ),
        tests=(_READS, _FANOUT),
    ),
    Mutant(
        name="subscribe-after-snapshot",
        promise="G5",
        breaks="a join that reads its first page from the store misses what was committed meanwhile",
        story="A short page is taken for the last one, and the subscriber goes live at the head of now.",
        edits=(
            Edit(
                "engine/_reads.py",
                """
        subscriber.cursor += len(page.entries)
""",
                """
        subscriber.cursor += len(page.entries)
        if page.entries and len(page.entries) < self._settings.page_items:
            subscriber.cursor = machine.tail.head
""",
            ),
        ),
        tests=(_FANOUT,),
    ),
    Mutant(
        name="late-joiner-skipped-by-the-pass",
        promise="G5",
        breaks="a reader who meets the tail while a pass is under way is left behind for ever",
        story="The pass serves everybody, so serving one more by hand looks superfluous.",
        edits=(
            Edit(
                "engine/_reads.py",
                """
if left else EngineClosed())
        room.resume(subscriber)
""",
                """
if left else EngineClosed())
""",
            ),
        ),
        tests=(_FANOUT,),
    ),
    Mutant(
        name="joined-and-not-resumed",
        promise="G5",
        breaks="a join whose answer carries one page never gets the rest",
        story="What was missed fits into the answer in every small test.",
        edits=(
            Edit(
                "engine/_conversation.py",
                """
room.resume(subscriber)
""",
                """
subscriber.stage = Stage.LIVE
""",
            ),
        ),
        tests=(_FANOUT, _ACTOR),
    ),
    Mutant(
        name="subscribers-forgotten-by-a-restart",
        promise="G7",
        breaks="readers of a conversation that crashed miss what was committed around the crash",
        story="A new incarnation begins with its tail; that there are subscribers already is a thought of another day.",
        edits=(
            Edit(
                "engine/_conversation.py",
                """
        if room.machine is not None:
            await resume_all(room, self._settings.conversation.pass_items)
        elif room.clients:
""",
                """
        if room.machine is None and room.clients:
""",
            ),
        ),
        tests=(_ACTOR,),
    ),
    Mutant(
        name="looked-before-listening",
        promise="G5",
        breaks="an embedder's iterator sleeps over an event that came between its look and its wait",
        story="A checkpoint is added for fairness, between the look at the tail and the making of the event to wait for.",
        edits=(
            Edit(
                "engine/_handles.py",
                """
            return
        self._wake = trio.Event()
        await self._wake.wait()
""",
                """
            return
        await trio.lowlevel.checkpoint()
        self._wake = trio.Event()
        await self._wake.wait()
""",
            ),
        ),
        tests=(_HANDLES,),
    ),
    Mutant(
        name="iterator-reads-past-the-head",
        promise="G5",
        breaks="an embedder's iterator reads unsettled events from the store and meets them again",
        story="As for pages, in the second place that reads them.",
        edits=(
            Edit(
                "engine/_handles.py",
                """
        limit = min(limits.page_items, head - after)  # not past the head, as in `Reads`
""",
                """
        limit = limits.page_items
""",
            ),
        ),
        tests=(_READS, _HANDLES),
    ),
    Mutant(
        name="epoch-ignored",
        promise="G5",
        breaks="a cursor of another log is served as if it belonged to this one, and nobody is told",
        story="Epochs are equal in every test that makes its conversation once.",
        edits=(
            Edit(
                "engine/core/recovery.py",
                """
    if since.epoch is not None and since.epoch != epoch:
        return Reset(RecoveryReason.EPOCH_CHANGED, head)
""",
                "",
            ),
        ),
        tests=(_RECOVERY, _CORE),
    ),
    Mutant(
        name="ahead-taken-for-live",
        promise="G5",
        breaks="a cursor from a future that was lost is moved back to the head without a word",
        story="Nothing was missed, so there seems to be nothing to say.",
        edits=(
            Edit(
                "engine/core/recovery.py",
                """
        return Reset(RecoveryReason.AHEAD, head)
""",
                """
        return Live(head)
""",
            ),
        ),
        tests=(_RECOVERY, _CORE),
    ),
    Mutant(
        name="reset-called-recovered",
        promise="G5",
        breaks="a client whose cursor could not be served is told that it has missed nothing",
        story="The reply says what was asked for, and not what came of it.",
        edits=(
            Edit(
                "transport/centrifugal_wire.py",
                """
        recovered = b"false" if isinstance(joined.decision, Reset) else b"true"
""",
                """
        recovered = b"true"
""",
            ),
        ),
        tests=("tests/transport/test_centrifugal.py", "tests/transport/test_endpoints.py"),
    ),
    Mutant(
        name="stream-resets-in-silence",
        promise="G5",
        breaks="an event stream whose cursor could not be served goes on live as if nothing was missed",
        story="The reset event is taken out while the opening is tidied.",
        edits=(
            Edit(
                "transport/sse.py",
                """
            opening += framing.reset(decision.reason, record.epoch, joined.offset)
""",
                """
            opening += b""
""",
            ),
        ),
        tests=("tests/transport/test_sse.py",),
    ),
)
