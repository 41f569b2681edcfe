"""Tests of `hubbub config get`, `set`, `unset` and `put` against a real server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Place

pytestmark = pytest.mark.server


def test_settings_of_a_running_server(fresh: Place, tmp_path: Path) -> None:
    """Shown, set, taken back; whole files; nothing that somebody else has changed meanwhile is lost."""
    root = fresh.root()
    assert root.does("config", "get", "access.sign_up") == "invite\n"
    assert root.does("config", "get", "access.guests") == "true\n"
    assert root.does("config", "get", "access").splitlines()[0].split("\t")[:2] == ["access.guests", "true"]
    assert root.does("config", "set", "access.guests", "no") == "access.guests\ttrue\tfalse\n"
    row = next(line for line in root.does("config", "get").splitlines() if line.startswith("access.guests"))
    assert "admin" in row
    assert "serve.table.turn_s" in root.does("config", "get", "--all")
    tag = root.reads("config", "get")[0]["tag"]
    assert root.does("config", "unset", "access.guests") == "access.guests\tfalse\ttrue\n"
    file = tmp_path / "live.toml"
    file.write_text("[access]\nsign_up = 'open'\n[limits.login]\nrate = 5\nburst = 5\n")
    assert "have changed" in root.fails(1, "config", "put", str(file), "--tag", tag)
    assert root.does("config", "get", "access.sign_up") == "invite\n"
    put = root.does("config", "put", str(file)).splitlines()
    assert 'access.sign_up\t"invite"\t"open"' in put
    assert (
        root.does("config", "put", "-", stdin='{"access": {"sign_up": null}}') == 'access.sign_up\t"open"\t"invite"\n'
    )


def test_a_limit_that_an_administrator_has_set_stands_above_the_setting(place: Place) -> None:
    """That is said, with the way back, for every way to change settings; and not of another limit."""
    root = place.root()
    root.does("limits", "set", "create", "--rate", "7")
    for args in (
        ("set", "limits.create.rate", "5"),
        ("unset", "limits.create.rate"),
        ("set", "limits.create.rate", "5", "--json"),
    ):
        assert "`hubbub limits reset create`" in root.run("config", *args).stderr
    assert root.run("config", "set", "limits.read.rate", "9").stderr == ""
    root.does("limits", "reset", "create")
    assert root.run("config", "unset", "limits.create.rate").stderr == ""
    root.does("config", "unset", "limits.read.rate")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("set", "access.guest", "true"), "did you mean 'access.guests'"),
        (("set", "access.guests", "perhaps"), "takes true or false"),
        (("get", "access.guest"), "did you mean 'access.guests'"),
        (("set", "serve.port", "9"), "serve.port"),
        (("put", "/nowhere/at/all"), "cannot read"),
        (("put", "-"), "neither TOML nor JSON"),
    ],
)
def test_settings_that_cannot_be(place: Place, args: tuple[str, ...], said: str) -> None:
    """Refused in words, and nothing has changed."""
    assert said in place.stranger("root").fails(1, "config", *args, stdin="[access")


@pytest.mark.parametrize("above", ["1", "null"])
def test_a_setting_is_no_table_of_others(place: Place, above: str) -> None:
    """A file that says both is refused in words, and nothing has changed."""
    both = f'{{"access": {above}, "access.sign_up": "open"}}'
    assert "cannot be both" in place.stranger("root").fails(1, "config", "put", "-", stdin=both)


def test_only_administrators_change_settings(place: Place) -> None:
    """Others are told so."""
    ada = place.person("ada")
    token = json.loads(ada.credentials.read_text())["servers"][place.url]["login"]["token"]
    for args in (("get",), ("set", "access.guests", "true"), ("unset", "access.guests")):
        assert "administrator" in ada.fails(77, "config", *args, "--token", token)
