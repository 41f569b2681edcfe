"""The newest pages that are kept, against a model that keeps every page it was given."""

from hypothesis import given
from hypothesis import strategies as st

from hubbub.engine.core.authors import Author
from hubbub.engine.core.codec import page_json
from hubbub.engine.core.ids import ConversationId
from hubbub.engine.core.messages import Message, MessagePage
from hubbub.engine.core.newest import NewestPages

ROOMS = [ConversationId(name) for name in "abcd"]
PLACES = st.tuples(st.sampled_from(ROOMS), st.sampled_from(["e1", "e2"]), st.integers(0, 3), st.integers(1, 2))


def page(text: str) -> MessagePage:
    return MessagePage((Message("m", ROOMS[0], 1, Author("a", "A"), text, 0),), None, None)


@given(st.lists(st.tuples(st.booleans(), PLACES)))
def test_what_is_found_was_kept_for_just_that(steps: list[tuple[bool, tuple[ConversationId, str, int, int]]]) -> None:
    """A page is found only for the conversation, epoch, head and limit it was kept for, and is the last one kept."""
    pages, given_last = NewestPages(max_pages=3, max_bytes=10), {}
    for number, (keeps, place) in enumerate(steps):
        if keeps:
            made = page(str(number))
            pages.keep(*place, made, 10)
            given_last[place[0]] = (place, made)
        found = pages.find(*place)
        if found is not None:
            assert given_last[place[0]] == (place, found)
        elif keeps:
            raise AssertionError("a page is found right after it was kept")
        assert len(pages) <= 3


def test_the_one_that_was_asked_for_longest_ago_gives_way() -> None:
    """Rooms that are read stay; a page over the bound is not kept at all."""
    pages = NewestPages(max_pages=2, max_bytes=10)
    for room in ROOMS[:2]:
        pages.keep(room, "e", 1, 1, page(room), 10)
    assert pages.find(ROOMS[0], "e", 1, 1)
    pages.keep(ROOMS[3], "e", 1, 1, page("long"), 11)
    pages.keep(ROOMS[2], "e", 1, 1, page("c"), 10)
    assert [pages.find(room, "e", 1, 1) is not None for room in ROOMS] == [True, False, True, False]


def test_a_page_is_encoded_once() -> None:
    """The same page gives the same bytes object; an equal page gives equal bytes."""
    made = page("x")
    assert page_json(made) is page_json(made)
    assert page_json(made) == page_json(page("x"))
    assert made == page("x")
