"""Tests of `hubbub rooms`, `members` and `invites` against a real server."""

from __future__ import annotations

import json

import pytest

from .conftest import Person, Place

pytestmark = pytest.mark.server


def user_id(place: Place, name: str) -> str:
    """Of somebody who has signed in."""
    return place.person(name).reads("me")[0]["user"]["id"]


def guest_token(guest: Person, place: Place) -> str:
    """Of the one guest that somebody is."""
    [token] = json.loads(guest.credentials.read_text())["servers"][place.url]["guests"].values()
    return str(token)


def test_a_room_is_made_changed_and_listed(place: Place) -> None:
    """What was said is what is shown, in lines and as JSON."""
    ada = place.person("ada")
    assert ada.does("rooms", "create", "yard", "--title", "Yard") == "yard\n"
    assert ada.reads("rooms", "show", "yard")[0]["visibility"] == "private"
    [room] = ada.reads("rooms", "change", "yard", "--public", "--slow", "1m", "--title", "The yard")
    assert (room["visibility"], room["slow_s"], room["title"]) == ("public", 60, "The yard")
    line = next(line for line in ada.does("rooms", "--all").splitlines() if line.startswith("yard\t"))
    assert line.split("\t")[:4] == ["yard", "The yard", "room", "public"]
    assert "archived\tyes" in ada.does("rooms", "change", "yard", "--archive")
    assert "exists" in ada.fails(1, "rooms", "create", "yard")
    [made] = ada.reads("rooms", "create")
    assert made["owner"] == user_id(place, "ada")


def test_a_list_is_read_to_its_end_or_says_that_there_is_more(place: Place) -> None:
    """Pages are joined; without --all a note names it."""
    ben = place.person("ben")
    for number in range(5):
        ben.does("rooms", "create", f"ben-{number}")
    limited = ben.run("rooms", "--limit", "2", "--json")
    assert len(limited.stdout.splitlines()) == 2
    assert "--all" in limited.stderr
    whole = [room["id"] for room in ben.reads("rooms", "--all")]
    assert {f"ben-{number}" for number in range(5)} <= set(whole)
    assert len(whole) == len(set(whole))


def test_pages_are_joined_without_loss_or_repetition(place: Place, monkeypatch) -> None:
    """With pages of two, every room once and in order."""
    carl = place.person("carl")
    for number in range(7):
        carl.does("rooms", "create", f"carl-{number}")
    monkeypatch.setattr("hubbub.commands.server.PAGE_ITEMS", 2)
    found = [room["id"] for room in carl.reads("rooms", "--all") if room["id"].startswith("carl-")]
    assert found == [f"carl-{number}" for number in range(7)]


def test_members_come_and_go(place: Place) -> None:
    """Add, role, mute, ban and back; each is seen in the lists."""
    ada, bob = place.person("ada"), user_id(place, "bob")
    ada.does("rooms", "create", "club")
    ada.does("members", "add", "club", bob, "--role", "moderator")
    assert {row["user"]["name"]: row["role"] for row in ada.reads("members", "club")} == {
        "ada": "owner",
        "bob": "moderator",
    }
    said = ada.does("members", "mute", "club", bob, "15m")
    [until] = [row["muted_until"] for row in ada.reads("members", "club") if row["user"]["id"] == bob]
    assert said == f"muted {bob} in club until {until}\n"
    assert "muted" in place.person("bob").fails(77, "post", "club", "hi")
    ada.does("members", "unmute", "club", bob)
    place.person("bob").does("post", "club", "hi")
    ada.does("members", "ban", "club", bob)
    assert [row["user"]["id"] for row in ada.reads("members", "bans", "club")] == [bob]
    assert place.person("bob").fails(1, "rooms", "show", "club") == "hubbub: no such conversation\n"
    ada.does("members", "unban", "club", bob)
    assert ada.does("members", "bans", "club") == ""
    assert "last owner" in ada.fails(1, "rooms", "leave", "club")
    assert "no length of time" in ada.fails(2, "members", "mute", "club", bob, "soon")


def test_people_are_named_as_they_sign_in(place: Place) -> None:
    """With `@` or without; the id goes on working, and what follows `id:` is one whatever it looks like."""
    ada, bob = place.person("ada"), user_id(place, "bob")
    ada.does("rooms", "create", "named")
    assert ada.does("members", "add", "named", "@Bob") == "@Bob is member of named\n"
    assert ada.reads("members", "add", "named", "bob", "--role", "moderator")[0]["user"]["id"] == bob
    assert ada.reads("members", "remove", "named", "bob") == [{"room": "named", "user": bob}]
    ada.does("members", "ban", "named", "id:bobby")
    ada.does("members", "ban", "named", "jwt:bob")
    assert [row["user"]["id"] for row in ada.reads("members", "bans", "named")] == ["bobby", "jwt:bob"]
    elsewhere = place.stranger("elsewhere")
    elsewhere.does("rooms", "--url", place.url)
    guest = elsewhere.reads("me", "--url", place.url)[0]["user"]["id"]
    assert guest.startswith("guest-")
    ada.does("members", "ban", "named", guest)
    assert guest in [row["user"]["id"] for row in ada.reads("members", "bans", "named")]
    assert place.root().reads("users", "show", guest)[0]["role"] == "guest"
    direct = ada.reads("rooms", "create", "--with", "@bob")[0]["id"]
    assert ada.reads("rooms", "create", "--with", bob)[0]["id"] == direct


def test_who_cannot_be_told_is_refused_and_nothing_is_done(place: Place) -> None:
    """An unknown name, and one that several in the room have; whoever is alone with a name is found by it."""
    ada = place.person("ada")
    ada.does("rooms", "create", "twins", "--public")
    ids = []
    for number in (1, 2):
        twin = place.stranger(f"twin-{number}")
        twin.does("rooms", "join", "twins", "--url", place.url, "--name", "Castor" if number == 1 else "Twin")
        ids.append(twin.reads("me", "--url", place.url, "--token", guest_token(twin, place))[0]["user"]["id"])
    assert "no user @Twin" in ada.fails(1, "members", "ban", "twins", "@Twin")
    assert "nobody in twins" in ada.fails(1, "members", "ban", "twins", "nobody.here")
    third = place.stranger("twin-3")
    third.does("rooms", "join", "twins", "--url", place.url, "--name", "Twin")
    said = ada.fails(1, "members", "ban", "twins", "Twin")
    assert "2 people" in said
    assert ids[1] in said
    assert ada.does("members", "bans", "twins") == ""
    assert ids[0] in ada.fails(1, "members", "add", "twins", "Castor", "--role", "moderator")
    assert {row["role"] for row in ada.reads("members", "twins") if row["user"]["id"] == ids[0]} == {"member"}
    ada.does("members", "ban", "twins", "Castor")
    assert [row["user"]["id"] for row in ada.reads("members", "bans", "twins")] == [ids[0]]
    ada.does("members", "unban", "twins", "Castor")


def test_who_wrote_lately_is_found_by_name_without_being_a_member(place: Place) -> None:
    """To be muted, banned or blocked, not to get a role; where two are called so, neither, and the ids say which."""
    ada = place.person("ada")
    ada.does("rooms", "create", "square", "--public")
    passing = [place.stranger(f"passing-{number}") for number in (1, 2)]
    passing[0].does("post", "square", "hi", "--url", place.url, "--name", "Zedekiah")
    first = passing[0].reads("me", "--url", place.url, "--token", guest_token(passing[0], place))[0]["user"]["id"]
    assert first in ada.fails(1, "members", "add", "square", "Zedekiah")
    assert ada.reads("members", "mute", "square", "Zedekiah", "1m")[0]["user"]["id"] == first
    ada.does("members", "unmute", "square", "Zedekiah")
    assert ada.reads("blocks", "add", "--room", "square", "Zedekiah")[0]["user"]["id"] == first
    ada.does("blocks", "remove", first)
    passing[1].does("post", "square", "hi", "--url", place.url, "--name", "Zedekiah")
    second = passing[1].reads("me", "--url", place.url, "--token", guest_token(passing[1], place))[0]["user"]["id"]
    said = ada.fails(1, "members", "ban", "square", "Zedekiah")
    assert first in said
    assert second in said
    ada.does("members", "ban", "square", second)
    assert "newest 100" in ada.fails(1, "members", "ban", "square", "Zoebelle")
    assert "no user 'Zoebelle'" in ada.fails(1, "blocks", "add", "Zoebelle", "--room", "square")


def test_a_guest_names_people_by_id(place: Place) -> None:
    """Guests look nobody up; what they see of a room they may use."""
    guest = place.stranger("hostess")
    guest.does("rooms", "create", "guests-own", "--url", place.url)
    said = guest.fails(1, "members", "add", "guests-own", "ada", "--url", place.url)
    assert "guests may not" in said
    guest.does("members", "add", "guests-own", user_id(place, "ada"), "--url", place.url)
    guest.does("members", "mute", "guests-own", "ada", "1m", "--url", place.url)


def test_a_public_room_is_joined_and_left(place: Place) -> None:
    """By whoever is signed in."""
    bob = place.person("bob")
    assert bob.does("rooms", "join", "lobby") == "joined lobby as member\n"
    assert bob.does("rooms", "leave", "lobby") == "left lobby\n"


def test_an_invite_is_good_once(place: Place) -> None:
    """Its secret alone is on standard output; who has it joins, and nobody after."""
    ada, cora = place.person("ada"), place.person("cora")
    ada.does("rooms", "create", "den", "--title", "The den")
    made = ada.run("invites", "create", "den", "--ttl", "2d", "--for", "@cora")
    secret = made.stdout.strip()
    assert "good once" in made.stderr
    assert secret not in made.stderr
    assert cora.reads("invites", "show", secret)[0]["title"] == "The den"
    assert cora.does("invites", "accept", secret) == "joined den as member\n"
    assert "for another account" in place.person("bob").fails(77, "invites", "accept", secret)
    [invite] = ada.reads("invites", "den")
    assert invite["state"] == "accepted"
    again = ada.reads("invites", "create", "den")[0]
    ada.does("invites", "revoke", "den", again["id"])
    assert [row["state"] for row in ada.reads("invites", "den") if row["id"] == again["id"]] == ["revoked"]


def test_a_guest_sees_what_is_public_and_is_told_where_an_account_is_needed(place: Place) -> None:
    """The guest is made at the first command and kept; what needs an account names the way to one."""
    guest = place.stranger("passer-by")
    assert "lobby" in guest.does("rooms", "--url", place.url)
    assert guest.reads("me", "--url", place.url)[0]["user"]["kind"] == "guest"
    assert "hubbub signup" in guest.fails(77, "keys", "--url", place.url)


def test_names_cannot_act_on_a_terminal(place: Place) -> None:
    """What a stranger calls a room is shown with escapes, on one line."""
    ada = place.person("ada")
    ada.does("rooms", "create", "evil", "--public", "--title", "a\u202eb\tc")
    line = next(line for line in ada.does("rooms", "--all").splitlines() if line.startswith("evil"))
    assert "a\\u202eb\\x09c" in line
    assert ada.run("rooms", "--all", "--json").stdout.isascii()
