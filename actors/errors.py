"""Every error the actor kernel raises.

    ActorError
    |-- MailboxFull         the mailbox holds `capacity` messages; the sender was refused, nothing was stored
    |-- MailboxClosed       the actor is stopping or has ended; no more messages are taken
    |-- MailboxInterrupted  told to the reader only: its owner asks it to stop reading, what is inside stays
    |-- ActorDied           the actor ended, or dropped the reply, before it answered a call; `cause` says why
    |-- CallTimeout         no answer by the caller's deadline; the actor may still carry the request out
    |-- StartFailed         a child crashed before it was ready; `__cause__` is its error
    |-- RestartsExceeded    a supervisor (or a registry key) gave up; `__cause__` is the last crash
    |-- RegistryFull        `capacity` keys are live and none can leave
    `-- Quarantined         this key gave up; `reason` says why, until it is released

Errors carry named attributes, so that a caller can decide without reading the message. They know nothing of chat:
the engine maps them to its own tree where it meets them.
"""

import re
from pathlib import PurePath
from traceback import extract_tb

_TEXT_CHARS = 160
_LINE_CHARS = 300
_QUOTED = re.compile(r"""(?<!\w)b?(["'])(?:\\.|(?!\1(?!\w)).)*(?:\1|$)""", re.DOTALL)


def summary_of(error: BaseException) -> str:
    """Type, text and place of an error in one short line, for people who may not see what the actor worked on.

    Python's errors quote the values that they complain about, and those may be a message's: what stands in quotes is left
    out. A text that repeats a value without quotes is not recognised.

    Returns:
        At most 300 characters, as in ``ValueError: invalid literal for int(): '...' (codec.py:89 in event_json)``.
    """
    text = " ".join(_QUOTED.sub("'...'", str(error)[: 10 * _TEXT_CHARS]).split())
    if len(text) > _TEXT_CHARS:
        text = text[: _TEXT_CHARS - 3] + "..."
    frames = extract_tb(error.__traceback__)
    place = f" ({PurePath(frames[-1].filename).name}:{frames[-1].lineno} in {frames[-1].name})" if frames else ""
    return f"{type(error).__name__}{': ' if text else ''}{text}{place}"[:_LINE_CHARS]


class ActorError(Exception):
    """Base of every error that the kernel raises on purpose."""


class MailboxFull(ActorError):
    """The mailbox is at its bound. Nothing was stored; try again later or tell the sender so."""

    def __init__(self, name: str, capacity: int) -> None:
        super().__init__(f"mailbox {name!r} holds {capacity} messages and takes no more")
        self.name = name
        self.capacity = capacity


class MailboxClosed(ActorError):
    """The mailbox takes no more messages, because its actor stops or has ended."""

    def __init__(self, name: str) -> None:
        super().__init__(f"mailbox {name!r} is closed")
        self.name = name


class MailboxInterrupted(ActorError):
    """The reader is asked to leave. Messages stay in the mailbox for the next incarnation."""

    def __init__(self, name: str) -> None:
        super().__init__(f"reading mailbox {name!r} was interrupted by its owner")
        self.name = name


class ActorDied(ActorError):
    """The actor ended, or dropped the reply, before it answered.

    Attributes:
        name: the actor.
        cause: the error it crashed with; None when it was stopped, or let the reply go unanswered.
    """

    def __init__(self, name: str, cause: BaseException | None) -> None:
        super().__init__(f"actor {name!r} ended before it answered")
        self.name = name
        self.cause = cause
        self.__cause__ = cause


class CallTimeout(ActorError):
    """No answer came in time. The request may still be carried out; a late answer is dropped."""

    def __init__(self, name: str, timeout_s: float) -> None:
        super().__init__(f"actor {name!r} did not answer within {timeout_s:g} s")
        self.name = name
        self.timeout_s = timeout_s


class StartFailed(ActorError):
    """A child crashed before it was ready, at its first start. `__cause__` is its error."""

    def __init__(self, supervisor: str, child: str, cause: BaseException | None) -> None:
        super().__init__(f"child {child!r} of supervisor {supervisor!r} failed to start")
        self.supervisor = supervisor
        self.child = child
        self.__cause__ = cause


class RestartsExceeded(ActorError):
    """More restarts than the intensity allows. `__cause__` is the crash that was one too many."""

    def __init__(self, name: str, restarts: int, within_s: float, cause: BaseException | None) -> None:
        super().__init__(f"{name!r} gave up: {restarts} restarts within {within_s:g} s were not enough")
        self.name = name
        self.restarts = restarts
        self.within_s = within_s
        self.__cause__ = cause


class RegistryFull(ActorError):
    """As many keys are live as the registry may hold, and none can leave at once."""

    def __init__(self, name: str, capacity: int) -> None:
        super().__init__(f"registry {name!r} holds {capacity} live keys and takes no more")
        self.name = name
        self.capacity = capacity


class Quarantined(ActorError):
    """The key crashed too often and takes no messages until it is released."""

    def __init__(self, name: str, reason: Exception) -> None:
        super().__init__(f"{name!r} is quarantined: {reason}")
        self.name = name
        self.reason = reason
        self.__cause__ = reason
