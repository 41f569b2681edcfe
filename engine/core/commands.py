"""What a conversation can be asked. Commands are messages to its actor; each is answered exactly once through its `reply`.

`reply` is called synchronously on the engine's thread, with the answer or with an `EngineError` as a value; it must not raise.
"""

from collections.abc import Callable
from hashlib import blake2b
from typing import Generic, TypeVar

import attrs

from .batch import Row
from .errors import EngineError
from .messages import Ack, Event, MessagePage, Record
from .permissions import Verb
from .principals import Principal
from .recovery import Since
from .subscriber import Joined, Subscriber


def digest_of(text: str, reply_to: str | None, meta_json: bytes | None) -> bytes:
    """A digest of what a post says, to tell a retry from another body under the same key."""
    state = blake2b(digest_size=16)
    for part in (text.encode(), (reply_to or "").encode(), meta_json or b""):
        state.update(len(part).to_bytes(8, "big") + part)
    return state.digest()


A = TypeVar("A")


def _told(_: object) -> None:
    """The reply of a command that has been answered."""


@attrs.define(eq=False)
class Request(Generic[A]):
    """A command that is answered exactly once.

    Attributes:
        reply: takes the answer or the error; let go of then, because what answers mostly holds the command: a cycle for the
            garbage collector with every join.
        principal: who asks.
        answered: set by `answer`; whoever cleans up after a crash may answer again without harm.
    """

    reply: Callable[[A | EngineError], None]
    principal: Principal
    answered: bool = attrs.field(default=False, init=False)

    def answer(self, answer: A | EngineError) -> None:
        """Answer, unless that was done already."""
        if not self.answered:
            self.answered = True
            reply, self.reply = self.reply, _told
            reply(answer)


@attrs.define(eq=False)
class Submit(Request[Ack | Record]):
    """Add a durable event: a message, or a change of the conversation.

    The answer is an Ack for a message, a Record for a change.

    Attributes:
        verb: what the principal must be allowed to do.
        row: the event to be, with its fresh id.
        deadline: on the engine's clock, in seconds; unanswered by then it is answered with an error.
        versions: of a change: the conversation must be in one of them (`version_of`) when the change comes to pass; None: in any.
    """

    verb: Verb
    row: Row
    deadline: float
    versions: frozenset[str] | None = None


@attrs.define(eq=False)
class Join(Request[Joined]):
    """Attach a subscriber.

    Attributes:
        since: where it left off; None starts live.
        page_bytes: how much of what was missed the answer itself may carry; 0 pushes all of it.
    """

    subscriber: Subscriber
    since: Since | None
    page_bytes: int


@attrs.define(eq=False)
class Describe(Request[Record]):
    """Ask for the record with the current head.

    Attributes:
        verb: what the principal must be allowed; for those who need the record to do something with it.
    """

    verb: Verb = Verb.READ


@attrs.define(eq=False)
class History(Request[MessagePage]):
    """Ask for a page of messages, oldest first: the newest page when neither bound is given.

    Attributes:
        after, before: exclusive offsets.
        around: id of a message to centre the page on.
    """

    after: int | None
    before: int | None
    around: str | None
    limit: int

    @property
    def newest(self) -> bool:
        """Whether it asks for the newest page."""
        return self.after is None and self.before is None and self.around is None


@attrs.frozen
class Replayed:
    """A page of the log itself: the record with the head, and consecutive durable events, in the order asked for."""

    record: Record
    events: tuple[Event, ...]


@attrs.define(eq=False)
class Replay(Request[Replayed]):
    """Ask for a page of durable events.

    Attributes:
        since: exclusive position; None is the beginning, or the head when `reverse`.
        limit: how many events; 0 asks for the position only.
        reverse: newest first, going back from `since`.
    """

    since: Since | None
    limit: int
    reverse: bool


@attrs.define(eq=False)
class Signal(Request[None]):
    """Send an ephemeral event to those who can take it now: not stored, not replayed, no offset."""

    type: str
    at_ms: int
    data_json: bytes | None


@attrs.frozen
class Roster:
    """Who follows a conversation now: exact counts, and at most some of the clients as (client id, principal)."""

    clients: int
    users: int
    listed: tuple[tuple[str, Principal], ...]


@attrs.define(eq=False)
class Presence(Request[Roster]):
    """Ask who follows the conversation."""

    limit: int


@attrs.define(eq=False)
class NoteBlock(Request[None]):
    """Take note, in a direct conversation, that one of the two has blocked the other, or has ended that; the store has it."""

    blocker: str
    stands: bool


Command = Submit | Join | Describe | History | Replay | Signal | Presence | NoteBlock
