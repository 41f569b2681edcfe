"""Who may do what: every standing and verb against the written table, which is written here once more."""

import itertools

import attrs
import pytest

from hubbub.engine.core.authors import Author
from hubbub.engine.core.errors import Conflict, EngineError, Forbidden, NotFound, Unauthenticated
from hubbub.engine.core.ids import ConversationId
from hubbub.engine.core.kinds import ConversationKind, Visibility
from hubbub.engine.core.members import Member, Role
from hubbub.engine.core.messages import Record
from hubbub.engine.core.permissions import SCOPE_OF, Access, Verb, check, may_call, rank_of
from hubbub.engine.core.principals import ALL_SCOPES, Principal, Scope, ServerRole

ROOM = ConversationId("room")


def person(name: str, **more: object) -> Principal:
    return Principal(Author(name, "owner"), **more)  # type: ignore[arg-type]  # shows the owner's id as its name, which must not help


PEOPLE = {
    "owner": person("owner"),
    "moderator": person("moderator"),
    "member": person("member"),
    "viewer": person("viewer"),
    "banned": person("banned"),
    "muted": person("muted"),
    "stranger": person("stranger"),
    "guest": person("g", role=ServerRole.GUEST),
    "granted": person("granted", grants=frozenset({ROOM})),
    "admin": person("admin", role=ServerRole.ADMIN),
    "unscoped": person("unscoped", role=ServerRole.ADMIN, scopes=ALL_SCOPES - {Scope.ADMIN}),
    "app": person("app", all_powerful=True),
}
MEMBERS = {
    **{role.value: Member(Author(role.value, role.value), role, 1) for role in Role},
    "banned": Member(Author("banned", "b"), Role.MEMBER, 0, banned=True),
    "muted": Member(Author("muted", "m"), Role.MEMBER, 1, muted_until_ms=1000),
}
VERBS = ("read", "post", "signal", "join", "leave", "hide", "invite", "moderate", "manage")
# y passes; f, n, c: Forbidden, NotFound, Conflict
ROOMS = {
    Visibility.PUBLIC: {
        "owner": "yyyyyyyyy",
        "moderator": "yyyyyyyyf",
        "member": "yyyyyyfff",
        "viewer": "yffyyyfff",
        "banned": "fffffffff",
        "muted": "yffyyyfff",
        "stranger": "yyyyfffff",
        "guest": "yyyyfffff",
        "granted": "yyyyfffff",
        "admin": "yyyyyyyyy",
        "unscoped": "yyyyfffff",
        "app": "yyyyyyyyy",
    },
    Visibility.PRIVATE: {
        "owner": "yyyyyyyyy",
        "moderator": "yyyyyyyyf",
        "member": "yyyyyyfff",
        "viewer": "yffyyyfff",
        "banned": "nnnnnnnnn",
        "muted": "yffyyyfff",
        "stranger": "nnnnnnnnn",
        "guest": "nnnnnnnnn",
        "granted": "yffffffff",
        "admin": "yyyyyyyyy",
        "unscoped": "nnnnnnnnn",
        "app": "yyyyyyyyy",
    },
}
MET = {"f": Forbidden, "n": NotFound, "c": Conflict}


def record_of(visibility: Visibility, **more: object) -> Record:
    return Record(ROOM, "secret title", visibility, "owner", "e", 0, 0, members=MEMBERS, **more)  # type: ignore[arg-type]


def met(who: Principal, verb: str, record: Record) -> str:
    """What happens, as a letter of the table."""
    try:
        check(who, Verb(verb), record, 999)
    except EngineError as error:
        return next(letter for letter, kind in MET.items() if type(error) is kind)
    return "y"


@pytest.mark.parametrize("who", PEOPLE)
@pytest.mark.parametrize("visibility", Visibility)
def test_the_table(who: str, visibility: Visibility) -> None:
    """Each principal may do exactly what the table says."""
    found = "".join(met(PEOPLE[who], verb, record_of(visibility)) for verb in VERBS)
    assert found == ROOMS[visibility][who]


def test_the_table_has_every_verb() -> None:
    """A new verb must be given its column."""
    assert {Verb(verb) for verb in VERBS} == set(Verb)


@pytest.mark.parametrize(("who", "visibility"), list(itertools.product(PEOPLE, Visibility)))
def test_an_archived_conversation_takes_nothing(who: str, visibility: Visibility) -> None:
    """Who could speak meets a conflict; everything else is as before."""
    record = record_of(visibility, archived=True)
    for verb, letter in zip(VERBS, ROOMS[visibility][who], strict=True):
        archived = verb in ("post", "signal") and (letter == "y" or (who == "muted" and letter == "f"))
        assert met(PEOPLE[who], verb, record) == ("c" if archived else letter)


@pytest.mark.parametrize(
    ("who", "letters"), [("owner", "yy"), ("moderator", "yy"), ("member", "ff"), ("stranger", "ff"), ("admin", "yy")]
)
def test_in_an_announcement_those_in_office_speak(who: str, letters: str) -> None:
    """The others read."""
    record = record_of(Visibility.PUBLIC, kind=ConversationKind.ANNOUNCEMENT)
    assert met(PEOPLE[who], "post", record) + met(PEOPLE[who], "signal", record) == letters
    assert met(PEOPLE[who], "read", record) == "y"


def test_a_direct_conversation_is_for_two() -> None:
    """Not even an admin reads it, and nobody joins, leaves or is brought in."""
    two = {name: Member(Author(name, name), Role.MEMBER, 1) for name in ("member", "other")}
    record = attrs.evolve(record_of(Visibility.PRIVATE, kind=ConversationKind.DIRECT), members=two)
    assert [met(PEOPLE["member"], verb, record) for verb in VERBS] == list("yyyccyfff")
    for who in ("stranger", "admin", "granted", "guest"):
        expected = "yffffffff" if who == "granted" else "nnnnnnnnn"
        assert "".join(met(PEOPLE[who], verb, record) for verb in VERBS) == expected


@pytest.mark.parametrize("blockers", [{"member"}, {"other"}, {"member", "other"}])
def test_a_block_silences_both_of_a_direct_conversation(blockers: set[str]) -> None:
    """It hides nothing, restrains no embedding program, and in any other conversation means nothing."""
    two = {name: Member(Author(name, name), Role.MEMBER, 1) for name in ("member", "other")}
    direct = attrs.evolve(record_of(Visibility.PRIVATE, kind=ConversationKind.DIRECT), members=two)
    record = attrs.evolve(direct, blockers=frozenset(blockers))
    for who in (PEOPLE["member"], person("other")):
        assert "".join(met(who, verb, record) for verb in VERBS) == "yffccyfff"
        with pytest.raises(Forbidden) as caught:
            check(who, Verb.POST, record)
        assert ("block" in str(caught.value)) == (who.id in blockers)
    assert met(PEOPLE["app"], "post", record) == "y"
    room = attrs.evolve(record_of(Visibility.PUBLIC), blockers=frozenset(blockers))
    assert "".join(met(PEOPLE["member"], verb, room) for verb in VERBS) == ROOMS[Visibility.PUBLIC]["member"]


def test_a_mute_ends_by_itself() -> None:
    """The millisecond in which it ends is free."""
    check(PEOPLE["muted"], Verb.POST, record_of(Visibility.PUBLIC), 1000)


@pytest.mark.parametrize("verb", Verb)
def test_a_credential_without_the_scope_is_refused(verb: Verb) -> None:
    """Whatever its principal may do; but what is hidden stays hidden."""
    scopes = ALL_SCOPES - {SCOPE_OF[verb]}
    record = record_of(Visibility.PRIVATE)
    with pytest.raises(Forbidden, match="scope"):
        check(person("owner", scopes=scopes), verb, record)
    with pytest.raises(NotFound):
        check(person("stranger", scopes=scopes), verb, record)


def test_a_hidden_conversation_sounds_like_none() -> None:
    """What a stranger is told names neither the owner nor the title."""
    with pytest.raises(NotFound) as caught:
        check(PEOPLE["stranger"], Verb.READ, record_of(Visibility.PRIVATE))
    assert str(caught.value) == "no such conversation"


@pytest.mark.parametrize("row", ["viewer", "member", "moderator", "banned", "muted"])
@pytest.mark.parametrize("visibility", Visibility)
def test_no_owner_makes_an_admin_less(row: str, visibility: Visibility) -> None:
    """An admin whom an owner made a viewer, or banned, still stands as an owner; without the scope it is what it was made."""
    record = record_of(visibility)
    admin = person(row, role=ServerRole.ADMIN)
    muted = row == "muted"
    assert "".join(met(admin, verb, record) for verb in VERBS) == ("yffyyyyyy" if muted else "yyyyyyyyy")
    assert rank_of(admin, record) == 4
    key = person(row, role=ServerRole.ADMIN, scopes=ALL_SCOPES - {Scope.ADMIN})
    assert "".join(met(key, verb, record) for verb in VERBS) == ROOMS[visibility][row]


def test_ranks() -> None:
    """Those whom no rule restrains stand above the owners."""
    record = record_of(Visibility.PUBLIC)
    ranks = {who: rank_of(principal, record) for who, principal in PEOPLE.items()}
    assert (ranks["app"], ranks["admin"], ranks["owner"], ranks["moderator"]) == (4, 4, 3, 2)
    assert {ranks[who] for who in ("member", "viewer", "stranger", "banned", "unscoped")} == {0}


@pytest.mark.parametrize(
    ("who", "letters"),
    [(None, "yuuu"), ("guest", "yyff"), ("stranger", "yyyf"), ("admin", "yyyy"), ("unscoped", "yyyy")],
)
def test_routes(who: str | None, letters: str) -> None:
    """What a route asks of a caller."""
    principal = None if who is None else PEOPLE[who]
    kinds = {None: "y", Unauthenticated: "u", Forbidden: "f"}
    found = [may_call(principal, access, Scope.READ) for access in Access]
    assert "".join(kinds[None if error is None else type(error)] for error in found) == letters


@pytest.mark.parametrize("scope", Scope)
def test_a_route_needs_its_scope(scope: Scope) -> None:
    """A key that reads does not write, and an admin's key without the scope is no admin's."""
    admin = person("a", role=ServerRole.ADMIN, scopes=ALL_SCOPES - {scope})
    assert isinstance(may_call(admin, Access.PRINCIPAL, scope), Forbidden)
    assert may_call(admin, Access.ANYONE, scope) is None
