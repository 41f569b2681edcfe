"""The version of a conversation: what changes it, and what does not."""

from __future__ import annotations

import attrs
from hypothesis import given
from hypothesis import strategies as st

from hubbub.engine.core.authors import Author
from hubbub.engine.core.batch import Row
from hubbub.engine.core.ids import ConversationId
from hubbub.engine.core.kinds import EventType, Visibility
from hubbub.engine.core.messages import ConversationChange, Record
from hubbub.engine.core.outcomes import event_of, record_after
from hubbub.engine.core.version import version_of

ROOM = ConversationId("room")
RECORD = Record(ROOM, "title", Visibility.PUBLIC, "ada", "epoch", 0, 0)

changes = st.builds(
    ConversationChange,
    title=st.none() | st.text(min_size=1, max_size=5),
    visibility=st.none() | st.sampled_from(Visibility),
    archived=st.none() | st.booleans(),
    slow_s=st.none() | st.integers(0, 10),
)


def changed(record: Record, change: ConversationChange) -> Record:
    actor = Author("ada", "Ada")
    row = Row(conversation=ROOM, type=EventType.CONVERSATION_UPDATED, id="1", actor=actor, at_ms=0, change=change)
    assert event_of(row, 1).change == change
    return record_after(record, row)


def settable(record: Record) -> tuple[object, ...]:
    return tuple(getattr(record, field.name) for field in attrs.fields(ConversationChange))


@given(changes, changes)
def test_two_records_have_one_version_if_an_update_sees_no_difference(
    one: ConversationChange, other: ConversationChange
) -> None:
    """Equal values give equal versions, and different ones different versions."""
    first, second = changed(RECORD, one), changed(RECORD, other)
    assert (version_of(first) == version_of(second)) == (settable(first) == settable(second))


def test_posts_and_members_do_not_change_it() -> None:
    """A loud room must not make every update of its title fail."""
    assert version_of(attrs.evolve(RECORD, offset=7, created_at_ms=9)) == version_of(RECORD)


def test_a_conversation_made_anew_under_the_same_id_is_another() -> None:
    """Its log has another name."""
    assert version_of(attrs.evolve(RECORD, epoch="other")) != version_of(RECORD)


def test_it_is_the_same_everywhere() -> None:
    """It depends on no process: a client may come back to another server, or after an upgrade."""
    assert version_of(RECORD) == "6506ac6f0a37408c6654566b33859b84"
