"""Mutants of known and unknown outcomes (G1, G4): what is refused though stored, stored though refused, or stored twice."""

from typing import Final

from .mutant import Edit, Mutant

_MACHINE = "engine/core/conversation.py"
_FLIGHT = "storage/flight.py"
_CORE = "tests/engine/core/test_conversation.py"
_ACTOR = "tests/engine/test_conversation_actor.py"
_WRITER = "tests/storage/test_writer.py"
_FAULTS = "tests/storage/test_postgres_faults.py"

OUTCOMES: Final = (
    Mutant(
        name="sent-post-called-not-stored",
        promise="G1",
        breaks="a post that was sent is answered `store_unavailable` at its deadline and appears later",
        story="Two errors for one deadline look like one too many.",
        edits=(
            Edit(
                _MACHINE,
                """
        expired.append((pending, OutcomeUnknown() if sent else StoreUnavailable()))
""",
                """
        expired.append((pending, StoreUnavailable()))
""",
            ),
        ),
        tests=(_CORE, _ACTOR),
    ),
    Mutant(
        name="refused-post-not-withdrawn",
        promise="G1",
        breaks="a post that was refused at its deadline is stored when the store comes back",
        story="The answer is given, the row is forgotten: nothing near by says that the writer looks at it again.",
        edits=(
            Edit(
                _MACHINE,
                """
        pending.row.withdrawn = not sent
        expired.append(
""",
                """
        expired.append(
""",
            ),
        ),
        tests=(_CORE, _ACTOR),
    ),
    Mutant(
        name="sent-is-noted-too-late",
        promise="G1",
        breaks="while a commit hangs its posts are refused as never sent, and appear later",
        story="`sent` is read as `was sent`, so it is set when the call has returned.",
        edits=(
            Edit(
                "storage/writer.py",
                """
            flight.mark_sent()
            started
""",
                """
            started
""",
            ),
            Edit(
                "storage/writer.py",
                """
                flight.known(results)
""",
                """
                flight.mark_sent()
                flight.known(results)
""",
            ),
        ),
        tests=(_ACTOR, _WRITER),
    ),
    Mutant(
        name="withdrawn-row-goes-with-its-batch",
        promise="G1",
        breaks="a refused post is stored because another post of its batch was not refused",
        story="Withdrawal is thought of per batch, as the queue does it, and not per row.",
        edits=(
            Edit(
                _FLIGHT,
                """
                if row.withdrawn:
""",
                """
                if all(other.withdrawn for other in ticket.batch.rows):
""",
            ),
        ),
        tests=(_WRITER,),
    ),
    Mutant(
        name="unknown-sent-as-new",
        promise="G4",
        breaks="a post whose answer was lost is stored a second time",
        story="The resend calls the same function as the first try and passes on a default.",
        edits=(
            Edit(
                "storage/writer.py",
                """
self._backend.commit(part.rows, again=part.again)
""",
                """
self._backend.commit(part.rows, again=False)
""",
            ),
        ),
        tests=(_WRITER,),
    ),
    Mutant(
        name="crash-taken-for-unsent",
        promise="G4",
        breaks="a bug or a cancellation in the midst of a commit lets the rows be stored twice",
        story="A linter asks for a narrower except clause, and the only error with `unknown` in its name is chosen.",
        edits=(
            Edit(
                "storage/writer.py",
                """
            except BaseException:
                flight.unknown()
""",
                """
            except OutcomeUnknown:
                flight.unknown()
""",
            ),
        ),
        tests=(_WRITER,),
    ),
    Mutant(
        name="unknown-put-back-as-unsent",
        promise="G4",
        breaks="when the store stays away, a batch that may be stored goes back to the queue as new",
        story="Putting back asks only for results, and a batch of unknown outcome has none.",
        edits=(
            Edit(
                _FLIGHT,
                """
if not ticket.touched and ticket not in bound]
""",
                """
if not ticket.touched]
""",
            ),
        ),
        tests=(_WRITER,),
    ),
    Mutant(
        name="halves-forget-that-they-were-sent",
        promise="G4",
        breaks="a resend that is halved because of a poison row stores its good rows twice",
        story="Two features that are tested one by one: resending, and halving.",
        edits=(
            Edit(
                _FLIGHT,
                """
[Part(second, part.again), Part(first, part.again)]
""",
                """
[Part(second), Part(first)]
""",
            ),
        ),
        tests=(_WRITER,),
    ),
    Mutant(
        name="give-up-refuses-the-unknown",
        promise="G1",
        breaks="a drain that runs out of time calls a post not stored that may be",
        story="Everything that is left is refused with one error.",
        edits=(
            Edit(
                _FLIGHT,
                """
Rejected(OutcomeUnknown() if part.again else error))
""",
                """
Rejected(error))
""",
            ),
        ),
        tests=(_WRITER,),
    ),
    Mutant(
        name="lost-answer-taken-for-a-refusal",
        promise="G4",
        breaks="a connection that breaks after the commit makes the driver say that nothing was stored",
        story="All connection errors are mapped to `the store is away`, as they are when connecting.",
        edits=(
            Edit(
                "storage/driver.py",
                """
        return OutcomeUnknown(f"the connection broke: {exc}")
""",
                """
        return StoreUnavailable(f"the connection broke: {exc}")
""",
            ),
        ),
        tests=("tests/storage/test_driver.py", _FAULTS),
    ),
    Mutant(
        name="foreign-error-taken-for-a-refusal",
        promise="G4",
        breaks="an error of the socket or the driver in the midst of a commit counts as not stored",
        story="What is no answer of Postgres is thought not to have reached it.",
        edits=(
            Edit(
                "storage/driver.py",
                """
    return OutcomeUnknown(f"the connection broke: {type(exc).__name__}")
""",
                """
    return StoreUnavailable(f"the connection broke: {type(exc).__name__}")
""",
            ),
        ),
        tests=("tests/storage/test_driver.py",),
    ),
    Mutant(
        name="resend-trusts-keys-alone",
        promise="G4",
        breaks="a resent post without a key is stored twice",
        story="Every post of the author's own client has a key, so looking for row ids is taken out as a wasted round trip.",
        edits=(
            Edit(
                "storage/postgres.py",
                """
await self._present(session, rows) if again else {}
""",
                """
{}
""",
            ),
        ),
        tests=("tests/storage/test_postgres.py", _FAULTS),
    ),
    Mutant(
        name="crash-says-nothing-was-kept",
        promise="G1",
        breaks="a crash refuses posts as not kept whose batch is on its way to the disk",
        story="Whoever is in the crashed batch is told the same, because it is the simple rule.",
        edits=(
            Edit(
                "engine/_conversation.py",
                """
        if not isinstance(command, Nudge) and id(command) not in flying:
""",
                """
        if not isinstance(command, Nudge):
""",
            ),
        ),
        tests=(_ACTOR,),
    ),
    Mutant(
        name="settled-batch-forgotten-by-a-crash",
        promise="G10",
        breaks="posters of a batch that was settled just before a crash are never answered",
        story="The room answers for a dead actor when the batch lands; that it may have landed before is a narrow window.",
        edits=(
            Edit(
                "engine/_room.py",
                """
        if self.settled is not None:
            self._answer_orphans(self.settled)
            self.finish(self.land())
""",
                """
        if self.settled is not None:
            self.finish(self.land())
""",
            ),
        ),
        tests=(_ACTOR,),
    ),
    Mutant(
        name="deadlines-are-watched-by-nobody",
        promise="G8",
        breaks="while the store is away a post waits far past its deadline",
        story="The hook that has housekeeping look at the room is lost when `submit` is rewritten.",
        edits=(
            Edit(
                "engine/_conversation.py",
                """
                else:
                    self._owes(self._room)
            case Nudge():
""",
                """
            case Nudge():
""",
            ),
        ),
        tests=(_ACTOR,),
    ),
)
