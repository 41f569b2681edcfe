"""Who may do what: every combination against the written table."""

import itertools

import pytest

from hubbub.engine.core.errors import Conflict, Forbidden, NotFound
from hubbub.engine.core.ids import ConversationId
from hubbub.engine.core.messages import Author, Principal, Record, Visibility
from hubbub.engine.core.permissions import Verb, check

OWNER = Principal(Author("owner", "Owner"))
STRANGER = Principal(Author("stranger", "owner"))  # shows the owner's id as its name, which must not help
EMBEDDER = Principal(Author("app", "App"), all_powerful=True)

# (visibility, archived): what a stranger meets for read, post, signal, manage; None passes.
STRANGERS = {
    (Visibility.PUBLIC, False): (None, None, None, Forbidden),
    (Visibility.PUBLIC, True): (None, Conflict, Conflict, Forbidden),
    (Visibility.PRIVATE, False): (NotFound,) * 4,
    (Visibility.PRIVATE, True): (NotFound,) * 4,
}
# archived: what the owner and the embedding program meet, whatever the visibility.
OWNERS = {False: (None,) * 4, True: (None, Conflict, Conflict, None)}
VERBS = (Verb.READ, Verb.POST, Verb.SIGNAL, Verb.MANAGE)


@pytest.mark.parametrize("who", [OWNER, STRANGER, EMBEDDER], ids=lambda who: who.id)
@pytest.mark.parametrize(("visibility", "archived"), list(itertools.product(Visibility, [False, True])))
@pytest.mark.parametrize("place", range(4), ids=lambda place: VERBS[place].value)
def test_the_table(who: Principal, visibility: Visibility, archived: bool, place: int) -> None:
    """Each principal may do exactly what the table says in each kind of conversation."""
    record = Record(ConversationId("room"), "", visibility, "owner", "e", 0, 0, archived=archived)
    expected = STRANGERS[visibility, archived][place] if who is STRANGER else OWNERS[archived][place]
    if expected is None:
        check(who, VERBS[place], record)
    else:
        with pytest.raises(expected):
            check(who, VERBS[place], record)


def test_the_table_has_every_verb() -> None:
    """A new verb must be given its column."""
    assert set(VERBS) == set(Verb)


def test_a_hidden_conversation_sounds_like_none() -> None:
    """What a stranger is told names neither the owner nor the title."""
    record = Record(ConversationId("room"), "secret title", Visibility.PRIVATE, "owner", "e", 0, 0)
    with pytest.raises(NotFound) as caught:
        check(STRANGER, Verb.READ, record)
    assert str(caught.value) == "no such conversation"
