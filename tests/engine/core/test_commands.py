"""Commands: answered once, and let go of then."""

import gc
import weakref

from hubbub.engine.core.authors import Author
from hubbub.engine.core.commands import Describe
from hubbub.engine.core.errors import EngineError, NotFound
from hubbub.engine.core.messages import Record
from hubbub.engine.core.principals import Principal

ADA = Principal(Author("ada", "ada", "guest"))


def test_a_command_is_answered_once() -> None:
    """Later answers change nothing."""
    answers: list[Record | EngineError] = []
    command = Describe(answers.append, ADA)
    first = NotFound("no such conversation")
    command.answer(first)
    command.answer(NotFound("again"))
    assert answers == [first]


def test_an_answered_command_is_no_garbage_for_the_collector() -> None:
    """What answers mostly holds the command; after the answer the command no longer holds it."""

    def ask() -> weakref.ref[Describe]:
        def reply(_: Record | EngineError) -> None:
            seen.append(command.answered)

        command = Describe(reply, ADA)
        command.answer(NotFound("no such conversation"))
        return weakref.ref(command)

    seen: list[bool] = []
    gc.disable()
    try:
        assert ask()() is None
    finally:
        gc.enable()
    assert seen == [True]
