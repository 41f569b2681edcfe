"""The one JSON of an event equals a naive model of it, and whatever bytes arrive become an object or a typed error."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import attrs
import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hubbub.engine.core.authors import Author
from hubbub.engine.core.codec import (
    MAX_DEPTH,
    author_json,
    change_json,
    decode_object,
    encode_json,
    event_json,
    get_bool,
    get_int,
    get_text,
    message_json,
    record_json,
    require_text,
    rfc3339,
    storable_text,
)
from hubbub.engine.core.errors import InvalidCommand, Unprocessable
from hubbub.engine.core.kinds import Visibility
from hubbub.engine.core.messages import ConversationChange, Event, Message, Record

from .strategies import (
    LAST_MS,
    LONE_SURROGATES,
    any_texts,
    authors,
    changes,
    conversation_ids,
    events,
    json_objects,
    json_values,
    message_event,
    messages,
    offsets,
    texts,
    times_ms,
)

Model = dict[str, Any]


def model_time(unix_ms: int) -> str:
    """The same moment by way of the standard library."""
    seconds, ms = divmod(unix_ms, 1000)
    moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=ms * 1000)
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def model_author(author: Author) -> Model:
    """An author as a naive dict."""
    return {"id": author.id, "name": author.name, "kind": author.kind}


def model_message(message: Message) -> Model:
    """A message as a naive dict, its keys in the documented order."""
    model: Model = {
        "id": message.id,
        "conversation": message.conversation,
        "offset": message.offset,
        "author": model_author(message.author),
        "text": message.text,
    }
    if message.reply_to is not None:
        model["reply_to"] = message.reply_to
    if message.meta_json is not None:
        model["meta"] = json.loads(message.meta_json)
    return model | {"created_at": model_time(message.created_at_ms), "revision": message.revision}


def model_change(change: ConversationChange) -> Model:
    """A change without what it left alone."""
    return {name: value for name, value in attrs.asdict(change).items() if value is not None}


def model_event(event: Event) -> Model:
    """An event as a naive dict, its keys in the documented order."""
    model: Model = {"type": event.type, "conversation": event.conversation}
    if event.offset is not None:
        model["offset"] = event.offset
    model |= {"at": model_time(event.at_ms), "actor": model_author(event.actor)}
    if event.message is not None:
        model["message"] = model_message(event.message)
    elif event.change is not None:
        model["changes"] = model_change(event.change)
    elif event.data_json is not None:
        model["data"] = json.loads(event.data_json)
    return model


def canonical(data: bytes) -> str:
    """Parsed and printed again, so that keys, their order and every value are compared, and escapes are not."""
    return json.dumps(json.loads(data))


@given(events())
@example(message_event(1, '\u2028\u2029\x00\x1f\x7f"\\</script>'))
def test_event_json_equals_the_model(event: Event) -> None:
    """Every event is valid UTF-8 JSON on one line, with the model's keys, order and values."""
    data = event_json(event)
    assert canonical(data) == json.dumps(model_event(event))
    assert b"\n" not in data
    assert b"\r" not in data


@given(events())
def test_event_json_repeats_itself(event: Event) -> None:
    """A replay gives the bytes that were sent live, also for an equal event loaded anew from the store."""
    assert event_json(event) == event_json(msgspec.structs.replace(event, actor=msgspec.structs.replace(event.actor)))


@given(messages)
def test_message_json_equals_the_model_and_the_part_of_its_event(message: Message) -> None:
    """REST shows a message with the same bytes that stand in its event."""
    data = message_json(message)
    assert canonical(data) == json.dumps(model_message(message))
    event = Event(
        "message.created", message.conversation, message.offset, message.created_at_ms, message.author, message
    )
    assert event_json(event).endswith(b',"message":' + data + b"}")


@given(messages, authors, times_ms)
def test_an_event_by_another_actor_at_another_time_shows_both(message: Message, actor: Author, at_ms: int) -> None:
    """Actor and author, and the two times, are not mixed up when they differ."""
    shown = json.loads(event_json(Event("message.created", message.conversation, 1, at_ms, actor, message)))
    assert shown["actor"] == model_author(actor)
    assert shown["at"] == model_time(at_ms)
    assert shown["message"]["author"] == model_author(message.author)
    assert shown["message"]["created_at"] == model_time(message.created_at_ms)


@given(authors, changes)
def test_small_parts_equal_the_model(author: Author, change: ConversationChange) -> None:
    """Authors and changes alone are the model's JSON, too."""
    assert canonical(author_json(author)) == json.dumps(model_author(author))
    assert json.loads(change_json(change)) == model_change(change)


@given(
    st.builds(
        Record,
        id=conversation_ids,
        title=texts,
        visibility=st.sampled_from(Visibility),
        owner=texts,
        epoch=texts,
        offset=offsets,
        created_at_ms=times_ms,
        archived=st.booleans(),
    )
)
def test_record_json_shows_every_field(record: Record) -> None:
    """A conversation shows what it holds, with its time in words."""
    fields = attrs.asdict(record)
    del fields["members"]  # they have an answer of their own
    del fields["request_id"]  # for operators, and shown to no client
    del fields["blockers"]  # nobody is told
    assert json.loads(record_json(record)) == fields | {"created_at": model_time(fields.pop("created_at_ms"))} | fields


@given(times_ms)
@example(0)
@example(999)
@example(LAST_MS)
@example(951_782_400_000)  # 29 February 2000
def test_rfc3339_names_the_same_moment(unix_ms: int) -> None:
    """The standard library reads the same milliseconds back, and the text has its one fixed form."""
    text = rfc3339(unix_ms)
    assert text == model_time(unix_ms)
    delta = datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)
    assert delta.days * 86_400_000 + delta.seconds * 1000 + delta.microseconds // 1000 == unix_ms


@given(st.lists(times_ms, min_size=2, max_size=20))
def test_rfc3339_sorts_as_time_does(moments: list[int]) -> None:
    """Sorting the texts sorts the moments."""
    assert [rfc3339(ms) for ms in sorted(moments)] == sorted(rfc3339(ms) for ms in moments)


@given(json_objects)
def test_json_round_trip(value: Model) -> None:
    """What is encoded is decoded to the same object."""
    assert decode_object(encode_json(value)) == value


@given(
    st.binary(max_size=40)
    | any_texts.map(lambda text: text.encode("utf-8", "surrogatepass"))
    | json_values.map(encode_json)
)
def test_any_bytes_become_an_object_or_a_typed_error(data: bytes) -> None:
    """No input raises anything but the two documented errors, and what passes can be encoded again."""
    try:
        value = decode_object(data)
    except (InvalidCommand, Unprocessable):
        return
    assert isinstance(value, dict)
    assert json.loads(encode_json(value)) == json.loads(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"null",
        b"[]",
        b'"a"',
        b"{",
        b"{}{}",
        b"{} x",
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":1e999}',
        b'{"a":01}',
        b'{"a":' + b"9" * 10_000 + b"}",
        b"{'a':1}",
        b'{"a":"\x01"}',
        b'{"a":"\xff"}',
        b'{"a":"\xed\xa0\x80"}',
        b"\xef\xbb\xbf{}",
        b'{"a":1}'.decode().encode("utf-16"),
        b"\x00" * 100,
        b'{"a":"\\ud83d\\ude00","n":1e999}',
    ],
    ids=lambda data: repr(data[:20]),
)
def test_what_is_no_json_object_is_refused_without_quoting_it(data: bytes) -> None:
    """Other JSON, near-JSON and garbage get one constant sentence."""
    with pytest.raises(InvalidCommand, match=r"^a JSON object is expected$") as caught:
        decode_object(data)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("escape", [r"\ud800", r"\uDC00x", r"\ud800\u0041", r"\udc00\ud800", r"ok \uDBFF"])
def test_a_lone_surrogate_escape_is_unprocessable(escape: str) -> None:
    """Well-formed JSON with a text that UTF-8 cannot carry is told apart from malformed JSON."""
    with pytest.raises(Unprocessable):
        decode_object(b'{"text":"%b"}' % escape.encode())


def test_a_surrogate_pair_is_one_character() -> None:
    """An escaped emoji is a text like any other."""
    assert decode_object(rb'{"text":"\ud83d\ude00"}') == {"text": "\U0001f600"}


def nested(levels: int, opening: bytes, closing: bytes) -> bytes:
    """An object with so many levels in all."""
    return b'{"a":' + opening * (levels - 1) + b"0" + closing * (levels - 1) + b"}"


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}"), (b'[0,{"b":0,"a":', b"}]")])
def test_nesting_is_bounded(opening: bytes, closing: bytes) -> None:
    """Depth up to the limit passes; one more level, and a hundred thousand more, are refused alike."""
    per_round = opening.count(b"[") + opening.count(b"{")
    rounds = (MAX_DEPTH - 1) // per_round
    assert encode_json(decode_object(nested(rounds + 1, opening, closing)))
    for too_deep in (rounds + 2, 500, 100_000):
        with pytest.raises(InvalidCommand, match="nested too deeply"):
            decode_object(nested(too_deep + 1, opening, closing))


def test_many_brackets_are_not_depth() -> None:
    """Width and brackets inside texts do not count as nesting."""
    wide = {"text": "[{" * 100, "list": [[] for _ in range(100)]}
    assert decode_object(encode_json(wide)) == wide


FIELDS = st.fixed_dictionaries({}, optional={"x": json_values})


@pytest.mark.parametrize(("get", "kind"), [(get_text, str), (get_bool, bool)])
@given(fields=FIELDS)
def test_optional_fields_are_their_type_or_refused(get: Callable[..., object], kind: type, fields: Model) -> None:
    """Absent and null read as None, the right type as itself, everything else is refused."""
    value = fields.get("x")
    if value is None or type(value) is kind:
        assert get(fields, "x") is value
    else:
        with pytest.raises(InvalidCommand, match="'x'"):
            get(fields, "x")


@given(
    FIELDS | st.fixed_dictionaries({"x": st.sampled_from([0, -1, 2**63 - 1, 2**63, 1.0, 1.5, 1e300, True, "1", -0.0])})
)
def test_whole_numbers_are_in_range_and_no_booleans(fields: Model) -> None:
    """A number is taken from 0 to 2**63 - 1, 5.0 as 5; fractions and booleans are not whole numbers."""
    value = fields.get("x")
    whole = type(value) is int or (type(value) is float and value.is_integer())
    if value is None:
        assert get_int(fields, "x") is None
    elif whole and 0 <= value < 2**63:
        found = get_int(fields, "x")
        assert (type(found), found) == (int, value)
    else:
        with pytest.raises(InvalidCommand, match="'x'"):
            get_int(fields, "x")


@given(FIELDS)
def test_required_text_is_there(fields: Model) -> None:
    """A required text is a text, the empty one included."""
    if isinstance(fields.get("x"), str):
        assert require_text(fields, "x") == fields["x"]
    else:
        with pytest.raises(InvalidCommand, match="'x'"):
            require_text(fields, "x")


@given(any_texts, st.integers(0, 100))
def test_storable_text_is_measured_or_refused(text: str, limit_bytes: int) -> None:
    """A text within the limit is measured in UTF-8 bytes or refused; one beyond is at least reported as beyond."""
    storable = "\x00" not in text and not set(text) & set(LONE_SURROGATES)
    try:
        size = storable_text(text, limit_bytes, "text")
    except Unprocessable:
        assert not storable
        return
    if size > limit_bytes:
        assert len(text.encode("utf-8", "surrogatepass")) > limit_bytes
    else:
        assert storable
        assert size == len(text.encode())
        assert encode_json(text)
