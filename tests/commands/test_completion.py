"""Tests of what a shell is offered for the name of a room, and for somebody in the list of blocks."""

from __future__ import annotations

import click
import pytest

from hubbub.commands.completion import complete_blocked, complete_rooms
from hubbub.commands.talk import post

from .conftest import NOTHING_SAID, Place


def offered(home, monkeypatch, incomplete: str, *, complete=complete_rooms, **params: str) -> list[str]:
    """The names that are offered to somebody with this home."""
    for name, value in {**NOTHING_SAID, "HOME": str(home)}.items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    context = click.Context(post)
    context.params.update(params)
    [conversation] = [param for param in post.params if param.name == "conversation"]
    return [item.value for item in complete(context, conversation, incomplete)]


@pytest.mark.server
def test_rooms_that_begin_so_are_offered(place: Place, monkeypatch) -> None:
    """Those that somebody who has signed in can see."""
    nia = place.person("nia")
    for name in ("niche", "night", "noon"):
        nia.does("rooms", "create", name)
    assert offered(nia.home, monkeypatch, "ni") == ["niche", "night"]
    assert set(offered(nia.home, monkeypatch, "")) >= {"niche", "night", "noon"}
    assert offered(nia.home, monkeypatch, "no/such") == []


@pytest.mark.server
def test_who_is_blocked_is_offered_by_id(place: Place, monkeypatch) -> None:
    """Those of one's own list that begin so."""
    nell = place.person("nell")
    for name in ("jwt:eve", "jwt:evan", "guest-1"):
        nell.does("blocks", "add", f"id:{name}")
    assert offered(nell.home, monkeypatch, "jwt:", complete=complete_blocked) == ["jwt:evan", "jwt:eve"]
    assert offered(nell.home, monkeypatch, "no/such", complete=complete_blocked) == []


@pytest.mark.server
def test_nobody_becomes_a_guest_by_a_key_press(place: Place, monkeypatch) -> None:
    """Who is not known at the server is offered nothing, and nothing is kept."""
    stranger = place.stranger("presser")
    assert offered(stranger.home, monkeypatch, "lo", url=place.url) == []
    assert not stranger.credentials.exists()


def test_trouble_is_not_told_in_the_middle_of_a_line(tmp_path, monkeypatch, capfd) -> None:
    """No server: nothing is offered and nothing is said."""
    assert offered(tmp_path, monkeypatch, "lo", url="http://127.0.0.1:1", token="t") == []
    assert capfd.readouterr() == ("", "")
