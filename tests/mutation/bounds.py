"""Mutants of G7, G8 and G10: crashes stay small, overload is refused, cancellation leaves nothing behind."""

from typing import Final

from .mutant import Edit, Mutant

_ACTOR = "tests/engine/test_conversation_actor.py"
_FANOUT = "tests/engine/test_fanout.py"
_REGISTRY = "tests/actors/test_registry.py"
_MAILBOX = "tests/actors/test_mailbox.py"

BOUNDS: Final = (
    Mutant(
        name="quarantine-takes-others-along",
        promise="G7",
        breaks="crashes of one conversation count against all of them",
        story="One intensity was given, so one window is made.",
        edits=(
            Edit(
                "actors/registry.py",
                """
from .restart import GiveUp, RestartIntensity
""",
                """
from .restart import GiveUp, RestartIntensity, RestartWindow
""",
            ),
            Edit(
                "actors/registry.py",
                """
        self._intensity = intensity or RestartIntensity()
""",
                """
        self._intensity = intensity or RestartIntensity()
        self._window = RestartWindow(self._intensity)
""",
            ),
            Edit(
                "actors/registry.py",
                """
        verdict = slot.window(self._intensity).crashed(
""",
                """
        verdict = self._window.crashed(
""",
            ),
        ),
        tests=(_REGISTRY, _ACTOR),
    ),
    Mutant(
        name="batch-in-hand-forgotten",
        promise="G7",
        breaks="who asked in the batch that crashed is never answered",
        story="Calls of the kernel fail by themselves; that commands carry replies of their own is another layer.",
        edits=(
            Edit(
                "actors/place.py",
                """
        lost = self.in_hand or []
""",
                """
        lost: list[M] = []
""",
            ),
        ),
        tests=(_REGISTRY, _ACTOR),
    ),
    Mutant(
        name="posts-wait-for-the-next-wake-up",
        promise="G1",
        breaks="a post in a quiet room is handed to the store when the next one comes",
        story="Handing over is moved up, so that a long batch does not delay it.",
        edits=(
            Edit(
                "engine/_conversation.py",
                """
        trace = self._settle(machine)
        step = Step
""",
                """
        trace = self._settle(machine)
        self._hand_over(machine)
        step = Step
""",
            ),
            Edit(
                "engine/_conversation.py",
                """
        self._hand_over(machine)
        if start < machine.tail.head:
""",
                """
        if start < machine.tail.head:
""",
            ),
        ),
        tests=(_ACTOR,),
    ),
    Mutant(
        name="message-lost-in-passivation",
        promise="G10",
        breaks="a command that arrives while its conversation goes to sleep is answered when the next one wakes it",
        story="An actor that has stopped in order has nothing to do; the check for its mailbox looks like a leftover.",
        edits=(
            Edit(
                "actors/registry.py",
                """
        slot.end_incarnation(Exit("normal"))
        return len(slot.mailbox) > 0
""",
                """
        slot.end_incarnation(Exit("normal"))
        return False
""",
            ),
        ),
        tests=(_REGISTRY,),
    ),
    Mutant(
        name="shutdown-forgets-the-mailbox",
        promise="G10",
        breaks="commands that the end of the engine overtakes are never answered",
        story="The process ends, so nobody is thought to wait; an embedder's process goes on.",
        edits=(
            Edit(
                "actors/registry.py",
                """
        if unread:
            self._tell(
""",
                """
        if unread and not self._closing.is_set():
            self._tell(
""",
            ),
        ),
        tests=(_REGISTRY, "tests/engine/test_cancellation.py"),
    ),
    Mutant(
        name="cancelled-subscribe-leaks",
        promise="G10",
        breaks="a subscriber whose subscribe was cancelled stays in the room for ever",
        story="A linter asks for a narrower except clause.",
        edits=(
            Edit(
                "engine/_handles.py",
                """
        except BaseException:
            self.close()
""",
                """
        except EngineError:
            self.close()
""",
            ),
        ),
        tests=("tests/engine/test_handles.py",),
    ),
    Mutant(
        name="cancelled-read-unanswered",
        promise="G10",
        breaks="who waits for a page of history when the engine ends waits for ever",
        story="Both except clauses answer; that cancellation is none of them is easy to overlook.",
        edits=(
            Edit(
                "engine/_reads.py",
                """
            self._history_reads -= 1
            refuse(command, EngineClosed())  # no answer yet: this task was cancelled
""",
                """
            self._history_reads -= 1
""",
            ),
        ),
        tests=("tests/engine/test_reads.py", "tests/engine/test_cancellation.py", _ACTOR),
    ),
    Mutant(
        name="pin-leaks",
        promise="G8",
        breaks="a conversation that somebody once caught up in stays in memory for ever",
        story="The pin is given back on the way that the author had in mind.",
        edits=(
            Edit(
                "engine/_reads.py",
                """
            if pinned:
                room.slot.unpin()
""",
                "",
            ),
        ),
        tests=(_FANOUT, "tests/engine/test_review.py", _ACTOR),
    ),
    Mutant(
        name="mailbox-without-a-bound",
        promise="G8",
        breaks="a flood fills the memory instead of being refused",
        story="The bound and the closed state share one number, and a rewrite keeps the latter.",
        edits=(
            Edit(
                "actors/mailbox.py",
                """
        if len(items) >= self._limit:
""",
                """
        if len(items) >= self._limit and self._closed:
""",
            ),
        ),
        tests=(_MAILBOX, _ACTOR),
    ),
    Mutant(
        name="waiting-posts-without-a-bound",
        promise="G8",
        breaks="posts behind a slow batch pile up without end",
        story="The mailbox is bounded, so what was taken out of it seems to be, too.",
        edits=(
            Edit(
                "engine/core/conversation.py",
                """
        if full or len(self.waiting) >= self.settings.waiting_items:
""",
                """
        if full:
""",
            ),
        ),
        tests=("tests/engine/core/test_conversation.py",),
    ),
    Mutant(
        name="queue-checked-after-adding",
        promise="G8",
        breaks="the writer keeps more rows than it says",
        story="The question is asked of what waits, not of what would wait.",
        edits=(
            Edit(
                "engine/core/batch.py",
                """
        if self.items + len(batch.rows) > self.max_items:
""",
                """
        if self.items > self.max_items:
""",
            ),
        ),
        tests=("tests/engine/core/test_batch.py", "tests/storage/test_writer.py"),
    ),
    Mutant(
        name="paging-without-a-bound",
        promise="G8",
        breaks="a reconnect storm reads pages for everybody at once",
        story="The bound is kept for those who fall behind, and joins are thought to be few.",
        edits=(
            Edit(
                "engine/_reads.py",
                """
        if len(self._pagers) >= self._settings.paging_subscribers:
            refuse(join,
""",
                """
        if len(self._pagers) < 0:
            refuse(join,
""",
            ),
        ),
        tests=(_FANOUT,),
    ),
    Mutant(
        name="replies-without-a-bound",
        promise="G8",
        breaks="a client that asks without reading fills the server's memory",
        story="The check is lost when long answers are let through.",
        edits=(
            Edit(
                "transport/connection.py",
                """
            if self._unsent_bytes > self._ledger.settings.max_unsent_bytes:
                self._ledger.overflowed += 1
                self.abort()
                return
""",
                "",
            ),
        ),
        tests=("tests/transport/test_connection.py",),
    ),
)
