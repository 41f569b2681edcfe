"""The session: whatever a client sends becomes a command within the limits, or a typed error that changes nothing."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from hubbub.engine.core.authors import Author
from hubbub.engine.core.codec import encode_json, event_json, record_json
from hubbub.engine.core.compose import Stamp, compose_post, compose_record, encode_meta
from hubbub.engine.core.config import ConversationSettings
from hubbub.engine.core.errors import (
    AlreadySubscribed,
    EngineError,
    InvalidCommand,
    LimitExceeded,
    PayloadTooLarge,
    Unauthenticated,
    Unprocessable,
)
from hubbub.engine.core.ids import ConversationId
from hubbub.engine.core.kinds import EventType, Visibility
from hubbub.engine.core.members import MemberAction, MemberChange
from hubbub.engine.core.messages import Ack, Draft, Event, Record
from hubbub.engine.core.outcomes import event_of
from hubbub.engine.core.permissions import Verb
from hubbub.engine.core.principals import Principal
from hubbub.engine.core.session import Session, SessionSettings
from hubbub.engine.core.subscriber import Subscriber

from .strategies import any_texts, conversation_ids, json_objects, json_values, texts, uuids

ADA = Principal(Author("ada", "Ada"))
BOUNDS = ConversationSettings(text_bytes=60, meta_bytes=80, title_chars=20)
SETTINGS = SessionSettings(subscriptions=3, history_items=10, history_default_items=5, conversation=BOUNDS)
STAMP = Stamp(id="0192f0c1-2345-7abc-8def-0123456789ab", at_ms=1, deadline=10.0)
CLIENT_FAULTS = (InvalidCommand, Unprocessable, PayloadTooLarge)

bodies = st.fixed_dictionaries(
    {},
    optional={
        "text": any_texts | json_values,
        "reply_to": uuids | any_texts | json_values,
        "meta": json_objects | json_values,
        "idempotency_key": st.text("k!~9", min_size=1, max_size=9) | any_texts | json_values,
        "other": json_values,
    },
)


def unheard(answer: Ack | Record | EngineError) -> None:
    """A reply that nothing here may call."""
    pytest.fail(f"answered while composing: {answer}")


def client() -> Session:
    """A session that has authenticated."""
    return Session(SETTINGS, ADA)


@given(conversation_ids | any_texts, bodies, st.none() | st.sampled_from(["k", "a b", ""]))
def test_a_post_is_storable_and_showable_or_refused(name: str, body: dict[str, Any], key: str | None) -> None:
    """What passes is within every limit, and its event is valid JSON with the poster's words; the rest is a client's error."""
    try:
        conversation, submit = client().post(name, body, STAMP, unheard, key=key)
    except CLIENT_FAULTS:
        return
    row = submit.row
    assert (conversation, row.conversation, submit.verb) == (name, name, Verb.POST)
    assert (row.id, row.at_ms, submit.deadline, row.actor) == (STAMP.id, 1, 10.0, ADA.author)
    assert 1 <= len(row.text.encode()) <= BOUNDS.text_bytes
    assert "\x00" not in row.text
    shown = json.loads(event_json(event_of(row, 1)))["message"]
    assert shown["text"] == body["text"]
    assert shown.get("reply_to") == body.get("reply_to")
    if body.get("meta") is not None:
        assert shown["meta"] == body["meta"]
        assert row.meta_json is not None
        assert len(row.meta_json) <= BOUNDS.meta_bytes
    wanted = key if key is not None else body.get("idempotency_key")
    assert row.key == wanted
    assert bool(row.digest) == (wanted is not None)


@given(texts.filter(bool), st.none() | uuids, st.none() | json_objects)
def test_the_digest_tells_bodies_apart(text: str, reply_to: str | None, meta: dict[str, Any] | None) -> None:
    """The same body gives the same digest, and a change of any part another one."""

    def digest(**fields: Any) -> bytes:
        body = {"text": text, "reply_to": reply_to, "meta": meta, "idempotency_key": "k"} | fields
        session = Session(SessionSettings(), ADA)
        return session.post("room", body, STAMP, unheard)[1].row.digest

    if "\x00" in text or "\\u0000" in json.dumps([meta]):
        return
    same = digest()
    assert digest() == same
    others = [digest(text=text + "x"), digest(reply_to=STAMP.id), digest(meta={"other": text})]
    assert len({same, *others}) == 4
    assert digest(text=text, idempotency_key="k2") == same


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({}, InvalidCommand),
        ({"text": None}, InvalidCommand),
        ({"text": 5}, InvalidCommand),
        ({"text": ""}, Unprocessable),
        ({"text": "a\x00"}, Unprocessable),
        ({"text": "a\ud800"}, Unprocessable),
        ({"text": "x" * 61}, PayloadTooLarge),
        ({"text": "é" * 31}, PayloadTooLarge),
        ({"text": "a", "reply_to": "x"}, InvalidCommand),
        ({"text": "a", "reply_to": '","text":"forged'}, InvalidCommand),
        ({"text": "a", "meta": []}, InvalidCommand),
        ({"text": "a", "meta": {"a": "x" * 80}}, PayloadTooLarge),
        ({"text": "a", "meta": {"a": "\x00"}}, Unprocessable),
        ({"text": "a", "meta": {"\x00": 1}}, Unprocessable),
        ({"text": "a", "idempotency_key": ""}, InvalidCommand),
        ({"text": "a", "idempotency_key": "é"}, InvalidCommand),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_each_refusal_is_the_documented_one(body: dict[str, Any], error: type[EngineError]) -> None:
    """Malformed is 400, not acceptable is 422, too large is 413."""
    with pytest.raises(error):
        client().post("room", body, STAMP, unheard)


def test_what_is_composed_says_by_which_request_it_came() -> None:
    """A post, a change and a change of a membership; and an event that is made of one does not."""
    session, stamp = client(), msgspec.structs.replace(STAMP, request_id="asked-1")
    wish = MemberChange(user=ADA.author, action=MemberAction.JOIN)
    composed = [
        session.post("room", {"text": "hi"}, stamp, unheard),
        session.update("room", {"title": "new"}, stamp, unheard),
        session.change_member("room", wish, stamp, unheard),
    ]
    assert [submit.row.request_id for _, submit in composed] == ["asked-1"] * 3
    assert b"asked-1" not in event_json(event_of(composed[0][1].row, 1))
    assert session.post("room", {"text": "hi"}, STAMP, unheard)[1].row.request_id is None


def test_two_keys_must_agree() -> None:
    """A key beside the body and one inside are the same or an error."""
    body = {"text": "a", "idempotency_key": "k"}
    assert client().post("room", body, STAMP, unheard, key="k")[1].row.key == "k"
    with pytest.raises(InvalidCommand):
        client().post("room", body, STAMP, unheard, key="other")


@pytest.mark.parametrize(
    "author", [Author("", "x"), Author("x", ""), Author("x", "\ud800"), Author("\x00", "x"), Author("x" * 2000, "x")]
)
def test_an_embedders_author_must_be_showable(author: Author) -> None:
    """An author who could not be encoded or stored is refused before the row exists."""
    with pytest.raises(Unprocessable):
        compose_post(BOUNDS, ADA, "room", Draft(text="a", author=author), STAMP, unheard)


@pytest.mark.parametrize("value", ["\\u0000", "\\\\u0000", "\\", "u0000", "\\\\", "\\\\\\u0000", '"\\u0000"'])
def test_meta_may_speak_of_nul_without_holding_one(value: str) -> None:
    """A text of backslashes and u0000 is no NUL; a NUL behind any number of backslashes is."""
    assert json.loads(encode_meta({"a": value}, 100)) == {"a": value}
    with pytest.raises(Unprocessable):
        encode_meta({"a": value + "\x00"}, 100)


def test_an_embedders_meta_that_json_cannot_carry_is_refused() -> None:
    """Foreign objects, lone surrogates, keys that are no texts and cycles are typed errors."""
    cycle: dict[str, Any] = {}
    cycle["self"] = cycle
    for meta in ({"a": object()}, {"a": "\ud800"}, {"\udfff": 1}, {None: 1}, cycle):
        with pytest.raises(Unprocessable):
            encode_meta(meta, 1000)  # type: ignore[arg-type]


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "title": any_texts | json_values,
            "visibility": st.sampled_from(["public", "private", "secret"]) | json_values,
            "archived": st.booleans() | json_values,
        },
    )
)
def test_a_change_is_what_was_asked_or_refused(body: dict[str, Any]) -> None:
    """A change carries exactly the given fields, is not empty, and archives under its own type."""
    try:
        _, submit = client().update("room", body, STAMP, unheard)
    except CLIENT_FAULTS:
        return
    row = submit.row
    assert row.change is not None
    asked = {name: value for name, value in body.items() if value is not None}
    assert json.loads(event_json(event_of(row, 1)))["changes"] == asked != {}
    assert submit.verb is Verb.MANAGE
    assert row.type == (EventType.CONVERSATION_ARCHIVED if body.get("archived") else EventType.CONVERSATION_UPDATED)


@given(
    st.fixed_dictionaries(
        {}, optional={"id": conversation_ids | any_texts, "title": any_texts, "visibility": any_texts}
    )
)
def test_a_new_conversation_is_private_unless_said_otherwise(body: dict[str, Any]) -> None:
    """Its record can be shown, belongs to who made it, and starts at 0."""
    try:
        record = compose_record(body, ADA, BOUNDS, fresh_id=STAMP.id, epoch="e", at_ms=5)
    except CLIENT_FAULTS:
        return
    assert record.visibility is Visibility(body.get("visibility", "private"))
    assert (record.owner, record.offset, record.archived) == ("ada", 0, False)
    assert json.loads(record_json(record))["title"] == body.get("title", record.id)


maybe_offset = st.none() | st.integers(0, 100)


@given(maybe_offset, maybe_offset, st.none() | uuids | any_texts, st.none() | st.integers(-5, 20))
def test_history_is_bounded(after: int | None, before: int | None, around: str | None, limit: int | None) -> None:
    """At most one bound, and a limit within the allowed, or the default."""
    asked = {"after": after, "before": before, "around": around, "limit": limit}
    try:
        _, command = client().history("room", **asked, reply=lambda _page: None)
    except InvalidCommand:
        return
    assert sum(bound is not None for bound in (after, before, around)) <= 1
    assert command.limit == (5 if limit is None else limit)
    assert 1 <= command.limit <= 10


@given(st.integers(-(2**70), 2**70), st.booleans())
def test_replay_is_bounded(limit: int, reverse: bool) -> None:
    """Whatever limit is asked for, a page is no longer than the allowed; 0 stays 0."""
    _, command = client().replay("room", None, limit=limit, reverse=reverse, reply=lambda _page: None)
    assert command.limit == (limit if 0 <= limit <= 10 else 10)


def test_nothing_passes_before_authentication() -> None:
    """Every verb of a session without a principal is refused."""
    nobody = Session(SETTINGS)
    made: list[Principal] = []
    verbs = (
        lambda: nobody.follow("room", None, made.append, 0, lambda _: None),  # type: ignore[arg-type]
        lambda: nobody.post("room", {"text": "a"}, STAMP, unheard),
        lambda: nobody.update("room", {"title": "a"}, STAMP, unheard),
        lambda: nobody.history("room", after=None, before=None, around=None, limit=None, reply=lambda _: None),
        lambda: nobody.replay("room", None, limit=1, reverse=False, reply=lambda _: None),
        lambda: nobody.describe("room", lambda _: None),
        lambda: nobody.presence("room", lambda _: None),
        lambda: nobody.presence_counts("room", lambda _: None),
        lambda: nobody.typing("room", 1, lambda _: None),
    )
    for verb in verbs:
        with pytest.raises(Unauthenticated):
            verb()
    assert (made, nobody.following) == ([], {})


def test_counting_who_is_there_lists_nobody() -> None:
    """What is only counted is not gathered: a room of thousands answers as fast as one of two."""
    _, listed = client().presence("room", lambda _: None)
    _, counted = client().presence_counts("room", lambda _: None)
    assert (listed.limit, counted.limit) == (SETTINGS.presence_items, 0)


def test_typing_says_how_long_it_stands() -> None:
    """The event is ephemeral and carries its own end."""
    _, signal = client().typing("room", 1, lambda _: None)
    event = Event(signal.type, ConversationId("room"), None, signal.at_ms, ADA.author, data_json=signal.data_json)
    shown = json.loads(event_json(event))
    assert "offset" not in shown
    assert shown["data"] == {"expires_in_ms": 6000}
    assert encode_json(shown)


class Wire:
    """A format and an outlet that are never used here."""

    name = "none"

    def encode(self, event: Event, body: bytes) -> bytes:
        """Nothing."""
        return b""

    def push(self, data: bytes) -> bool:
        """Nothing is taken."""
        return False

    def fell_behind(self, subscriber: Subscriber) -> None:
        """Nothing to do."""

    def cut_off(self, subscriber: Subscriber, code: str) -> None:
        """Nothing to do."""


class FollowMachine(RuleBasedStateMachine):
    """A client follows and unfollows, against a plain dict."""

    def __init__(self) -> None:
        super().__init__()
        self.session = client()
        self.model: dict[str, Subscriber] = {}

    @rule(name=st.sampled_from(["a", "b", "c", "d", "e", "no good", ""]))
    def follow(self, name: str) -> None:
        """A join is composed, or refused with the first reason that holds; a refusal makes no subscriber."""
        made: list[Subscriber] = []

        def make(principal: Principal) -> Subscriber:
            made.append(Subscriber(Wire(), Wire(), principal, "c"))
            return made[-1]

        expected: type[EngineError] | None = None
        if name in {"no good", ""}:
            expected = InvalidCommand
        elif name in self.model:
            expected = AlreadySubscribed
        elif len(self.model) == SETTINGS.subscriptions:
            expected = LimitExceeded
        if expected is not None:
            with pytest.raises(expected):
                self.session.follow(name, None, make, 0, lambda _: None)
            assert made == []
            return
        conversation, join = self.session.follow(name, None, make, 100, lambda _: None)
        assert (conversation, join.subscriber, join.page_bytes) == (name, made[0], 100)
        self.model[name] = made[0]

    @rule(name=st.sampled_from(["a", "b", "c", "d", "e", "no good"]))
    def unfollow(self, name: str) -> None:
        """The subscriber is given back once."""
        assert self.session.unfollow(name) is self.model.pop(name, None)

    @invariant()
    def same(self) -> None:
        """The session follows what the model does, within the bound."""
        assert self.session.following == self.model
        assert len(self.session.following) <= SETTINGS.subscriptions


TestFollowMachine = FollowMachine.TestCase
