"""Hypothesis strategies for the domain's values, hostile by habit: the awkward characters come up often, not by luck."""

import json

from hypothesis import strategies as st

from hubbub.engine.core.authors import Author
from hubbub.engine.core.cursor import MAX_OFFSET
from hubbub.engine.core.ids import ConversationId, uuid7
from hubbub.engine.core.kinds import EventType, Visibility
from hubbub.engine.core.messages import ConversationChange, Event, Message

ID_ALPHABET = "abcXYZ0189._:-"
AWKWARD = "\x00\x01\x08\t\n\r\x1f \"\\/<>&'\x7f\x85\xa0\u00ad\u200b\u200d\u2028\u2029\u202e\ufeff\ufffe\uffff\U0001f600\U0010ffff"
LONE_SURROGATES = "\ud800\udbff\udc00\udfff"
LAST_MS = 253_402_300_799_999  # the end of the year 9999, where RFC 3339 ends too

carriable = st.characters(exclude_categories=["Cs"]) | st.sampled_from(AWKWARD)
"""Characters that UTF-8 can carry."""

texts = st.text(carriable, max_size=40)
any_texts = st.text(carriable | st.sampled_from(LONE_SURROGATES), max_size=80)
offsets = st.integers(0, MAX_OFFSET)
times_ms = st.integers(0, LAST_MS)
uuids = st.builds(uuid7, st.integers(0, 2**48 - 1), st.integers(0, 2**80 - 1))
conversation_ids = (
    st.text(ID_ALPHABET, min_size=1, max_size=20).filter(lambda text: text not in {".", ".."}).map(ConversationId)
)
kinds = st.sampled_from(["user", "guest", "bot", "assistant"])
authors = st.builds(Author, texts, texts, kinds)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)
json_objects = st.dictionaries(texts, json_values, max_size=4)
object_bytes = json_objects.map(lambda value: json.dumps(value, ensure_ascii=False).encode())

messages = st.builds(
    Message,
    id=uuids,
    conversation=conversation_ids,
    offset=st.integers(1, MAX_OFFSET),
    author=authors,
    text=texts,
    created_at_ms=times_ms,
    reply_to=st.none() | uuids,
    meta_json=st.none() | object_bytes,
    revision=st.integers(1, 2**31),
)
changes = st.builds(
    ConversationChange,
    title=st.none() | texts,
    visibility=st.none() | st.sampled_from(Visibility),
    archived=st.none() | st.booleans(),
)


@st.composite
def events(draw: st.DrawFn) -> Event:
    """Any event: of a message, of a change, of an application, or bare."""
    message, change, data_json = draw(
        st.tuples(messages, st.none(), st.none())
        | st.tuples(st.none(), changes, st.none())
        | st.tuples(st.none(), st.none(), st.none() | object_bytes)
    )
    author = st.just(message.author) | authors if message is not None else authors
    at_ms = st.just(message.created_at_ms) | times_ms if message is not None else times_ms
    return Event(
        type=draw(st.sampled_from(EventType) | texts),
        conversation=draw(conversation_ids),
        offset=draw(st.none() | st.integers(1, MAX_OFFSET)),
        at_ms=draw(at_ms),
        actor=draw(author),
        message=message,
        change=change,
        data_json=data_json,
    )


def message_event(offset: int, text: str = "", conversation: str = "room") -> Event:
    """A plain message event at an offset, the same every time."""
    author, where, at_ms = Author("ada", "Ada"), ConversationId(conversation), offset % LAST_MS
    message = Message(uuid7(offset, offset), where, offset, author, text, at_ms)
    return Event(EventType.MESSAGE_CREATED, where, offset, at_ms, author, message=message)
