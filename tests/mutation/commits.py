"""Mutants of G1 and G2: what is acknowledged or shown before it is durable, and who may write at all."""

from typing import Final

from .mutant import Edit, Mutant

_MACHINE = "engine/core/conversation.py"
_CORE = "tests/engine/core/test_conversation.py"
_ACTOR = "tests/engine/test_conversation_actor.py"
_WRITER = "tests/storage/test_writer.py"
_POSTGRES = "tests/storage/test_postgres.py"
_FAULTS = "tests/storage/test_postgres_faults.py"

COMMITS: Final = (
    Mutant(
        name="ack-before-commit",
        promise="G1",
        breaks="the ack comes when the batch is handed over",
        story="The offset is known as soon as the batch leaves, so somebody spares the poster the wait for the disk.",
        edits=(
            Edit(
                _MACHINE,
                """
        return [pending.row for pending in taken]
""",
                """
        for offset, pending in enumerate(taken, self.tail.head + 1):
            if pending.row.change is None:
                pending.answer(Ack(message_of(pending.row, offset), Cursor(self.record.epoch, offset)))
        return [pending.row for pending in taken]
""",
            ),
        ),
        tests=(_CORE, _ACTOR),
    ),
    Mutant(
        name="publish-before-commit",
        promise="G2",
        breaks="subscribers see an event when its batch is handed over",
        story="Live delivery is made faster by a round trip; the append at the commit is guarded against doing it twice.",
        edits=(
            Edit(
                _MACHINE,
                """
        return [pending.row for pending in taken]
""",
                """
        for offset, pending in enumerate(taken, self.tail.head + 1):
            self.tail.append(event_of(pending.row, offset))
        return [pending.row for pending in taken]
""",
            ),
            Edit(
                _MACHINE,
                """
                self.tail.append(event)
""",
                """
                if offset > self.tail.head:
                    self.tail.append(event)
""",
            ),
        ),
        tests=(_CORE, _ACTOR),
    ),
    Mutant(
        name="lazy-commit",
        promise="G1",
        breaks="Postgres says committed before its disk has it",
        story="A tuning guide for a slow disk ends up in the writer's settings.",
        edits=(
            Edit(
                "storage/sql.py",
                """
    "synchronous_commit": "on",
""",
                """
    "synchronous_commit": "off",
""",
            ),
        ),
        tests=(_POSTGRES,),
    ),
    Mutant(
        name="missing-fence",
        promise="G3",
        breaks="a paused old server still writes after a new one has started",
        story="The commit is simplified; the term is compared in the answer anyhow, so the look inside seems to be doubled.",
        edits=(
            Edit(
                "storage/sql.py",
                """
    where first_offset is null and head is not null and (select term from server) = $1
""",
                """
    where first_offset is null and head is not null and $1::bigint is not null
""",
            ),
        ),
        tests=(_POSTGRES,),
    ),
    Mutant(
        name="revive-without-the-lock",
        promise="G3",
        breaks="a server goes on after a lost connection without the lock that keeps a second one out",
        story="Reconnecting is written as connecting: the term is checked, so taking the lock again looks like ceremony.",
        edits=(
            Edit(
                "storage/postgres.py",
                """
        if not await self._try_lock(session, wait_s=0):
""",
                """
        if False:
""",
            ),
        ),
        tests=(_FAULTS, _POSTGRES),
    ),
    Mutant(
        name="forgotten-shield",
        promise="G10",
        breaks="cancelling the engine cuts a commit in half and refuses what was accepted",
        story="A cancel scope is rewritten and loses an argument that no ordinary run needs.",
        edits=(
            Edit(
                "storage/writer.py",
                """
        self._scope = trio.CancelScope(shield=True)
""",
                """
        self._scope = trio.CancelScope()
""",
            ),
        ),
        tests=(_WRITER,),
    ),
    Mutant(
        name="drain-drops-the-queue",
        promise="G10",
        breaks="stopping refuses posts that had been accepted and could be committed",
        story="Stopping is made quicker: it waits for the flight that is out and forgets the queue behind it.",
        edits=(
            Edit(
                "storage/writer.py",
                """
            if idle and self._draining:
""",
                """
            if self._flight is None and self._draining:
""",
            ),
        ),
        tests=(_WRITER,),
    ),
    Mutant(
        name="retry-before-revive",
        promise="G4",
        breaks="a batch of unknown outcome is sent again while its lost connection may still commit it",
        story="Resending is what a poster waits for, so it is moved ahead of mending the connection.",
        edits=(
            Edit(
                "storage/writer.py",
                """
                if self._backend.problem is not None:
                    await
""",
                """
                if self._backend.problem is not None and self._flight is None:
                    await
""",
            ),
        ),
        tests=(_WRITER,),
    ),
    Mutant(
        name="untold-outcomes-die-with-the-writer",
        promise="G10",
        breaks="a crash of one callback leaves the posters of other conversations without an answer",
        story="Telling is written as a plain loop over what was just settled.",
        edits=(
            Edit(
                "storage/writer.py",
                """
        self._unsettled.extend(settled)
        while self._unsettled:
            batch, results = self._unsettled.popleft()
            batch.settle(results)
""",
                """
        for batch, results in settled:
            batch.settle(results)
""",
            ),
        ),
        tests=(_WRITER,),
    ),
)
