"""Tests of `hubbub blocks` and `hubbub rooms hide` against a real server."""

from __future__ import annotations

import pytest

from .conftest import Place
from .test_rooms import guest_token, user_id

pytestmark = pytest.mark.server


def test_somebody_is_blocked_and_no_longer(place: Place) -> None:
    """Direct messages stop both ways and go on afterwards; the list is one's own; twice is as once."""
    ada, ben = place.person("ada"), place.person("ben")
    direct = ada.reads("rooms", "create", "--with", "ben")[0]["id"]
    assert ada.does("blocks", "add", "@ben") == "blocked @ben\n"
    assert ada.reads("blocks", "add", "ben")[0]["user"]["id"] == user_id(place, "ben")
    assert [row["user"]["name"] for row in ada.reads("blocks")] == ["ben"]
    assert ada.does("blocks").split("\t")[1:3] == ["ben", "user"]
    assert ben.does("blocks", "list") == ""
    assert "you may not" in ben.fails(77, "post", direct, "hello?")
    assert "end the block first" in ada.fails(77, "post", direct, "well")
    assert ada.does("blocks", "remove", "ben") == "ben is not blocked\n"
    assert ada.does("blocks", "remove", "ben") == "ben is not blocked\n"
    ben.does("post", direct, "hello!")


def test_who_cannot_be_blocked_is_told(place: Place) -> None:
    """Nobody of that name, and oneself."""
    ada = place.person("ada")
    assert "no user 'nobody.here'" in ada.fails(1, "blocks", "add", "nobody.here")
    assert "no user 'nobody.here'" in ada.fails(1, "blocks", "remove", "nobody.here")
    assert "nobody blocks oneself" in ada.fails(1, "blocks", "add", "ada")


def test_a_name_of_the_list_ends_the_block_that_it_stands_for(place: Place) -> None:
    """A guest has no user name; where somebody else has it as user name, the id has to say which."""
    ada, eve = place.person("ada"), place.person("eve")
    guest = place.stranger("mallory")
    guest.does("rooms", "join", "lobby", "--url", place.url, "--name", "eve")
    blocked = guest.reads("me", "--url", place.url, "--token", guest_token(guest, place))[0]["user"]["id"]
    ada.does("blocks", "add", blocked)
    ada.does("blocks", "remove", "@eve")
    assert [row["user"]["id"] for row in ada.reads("blocks")] == [blocked]
    assert ada.reads("blocks", "remove", "eve") == [{"user": blocked}]
    ada.does("blocks", "add", blocked)
    ada.does("blocks", "add", "@eve")
    said = ada.fails(1, "blocks", "remove", "eve")
    assert user_id(place, "eve") in said
    assert blocked in said
    assert len(ada.reads("blocks")) == 2
    for one in (blocked, user_id(place, "eve")):
        ada.does("blocks", "remove", one)
    assert eve.does("blocks") == ""


def test_a_guest_blocks_by_id(place: Place) -> None:
    """User names are not told to guests; the list's names are their own."""
    guest, ben = place.stranger("harried"), user_id(place, "ben")
    assert "guests may not" in guest.fails(1, "blocks", "add", "ben", "--url", place.url)
    guest.does("blocks", "add", ben, "--url", place.url)
    assert "you block nobody who is called 'ada'" in guest.fails(1, "blocks", "remove", "ada", "--url", place.url)
    assert guest.reads("blocks", "remove", "ben", "--url", place.url) == [{"user": ben}]


def test_a_direct_conversation_is_hidden_until_it_goes_on(place: Place) -> None:
    """It leaves one's own list and comes back by itself; a room is not hidden."""
    ada, cora = place.person("ada"), place.person("cora")
    direct = ada.reads("rooms", "create", "--with", "cora")[0]["id"]
    cora.does("post", direct, "hi")
    assert cora.does("rooms", "hide", direct) == f"hidden {direct}\n"
    assert direct not in [room["id"] for room in cora.reads("rooms", "--all")]
    assert direct in [room["id"] for room in ada.reads("rooms", "--all")]
    ada.does("post", direct, "hi, too")
    assert direct in [room["id"] for room in cora.reads("rooms", "--all")]
    ada.does("rooms", "create", "shown")
    assert "direct" in ada.fails(1, "rooms", "hide", "shown")
