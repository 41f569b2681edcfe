"""Tests of `hubbub login`, `signup`, `logout` and `me` against a real server."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import stat
import subprocess
import sys

import pytest

from .conftest import PASSWORD, Place

pytestmark = pytest.mark.server


def test_the_first_administrator_is_made_by_the_link_once(place: Place) -> None:
    """The link that the server has printed makes one; after that it is refused."""
    assert place.stranger("root").reads("me")[0]["user"]["role"] == "admin"
    late = place.stranger("late")
    said = late.fails(
        1, "signup", "late", "--url", place.url, "--setup", place.setup_link, "--password-file", "-", stdin=PASSWORD
    )
    assert said.count("\n") == 1
    assert not late.credentials.exists()


def test_the_secret_of_a_link_goes_to_its_own_server(place: Place) -> None:
    """Where none is named the link's server is asked; another one that is named is refused, and told nothing."""
    late = place.stranger("late")
    assert "set up already" in late.fails(
        1, "signup", "late", "--setup", place.setup_link, "--password-file", "-", stdin=PASSWORD
    )
    other = late.fails(
        2, "signup", "x", "--url", "http://127.0.0.1:9", "--setup", place.setup_link, "--password-file", "-", stdin="x"
    )
    assert f"the link is of {place.url}" in other


def test_an_invitation_comes_by_a_pipe(place: Place) -> None:
    """ "-" is standard input where nobody types; the password is its next line."""
    said = place.stranger("piped").fails(
        1,
        *("signup", "piped", "--url", place.url, "--invitation", "-", "--password-file", "-"),
        stdin=f"hbi_none\n{PASSWORD}",
    )
    assert "no terminal" not in said


def test_a_login_is_kept_for_its_server_and_asked_where_none_is_named(place: Place) -> None:
    """Only the user can read the file, no password is in it, and `--url` is needed once."""
    ada = place.person("ada")
    assert stat.S_IMODE(ada.credentials.stat().st_mode) == 0o600
    assert PASSWORD not in ada.credentials.read_text()
    [me] = ada.reads("me")
    assert (me["user"]["username"], me["url"]) == ("ada", place.url)
    assert "ada" in ada.does("me")


def test_a_file_that_others_can_read_is_refused(place: Place) -> None:
    """Until it is mended nothing is sent."""
    zoe = place.person("zoe")
    zoe.credentials.chmod(0o644)
    assert "chmod 600" in zoe.fails(1, "me", "--url", place.url)
    zoe.credentials.chmod(0o600)
    zoe.does("me")


def test_logging_out_ends_the_session_and_forgets_it(place: Place) -> None:
    """The token is good no more, here and at the server; signing in again needs the password."""
    bea = place.person("bea")
    token = json.loads(bea.credentials.read_text())["servers"][place.url]["login"]["token"]
    assert f"out of {place.url}" in bea.does("logout")
    assert token not in bea.credentials.read_text()
    assert "is over" in bea.fails(77, "me", "--url", place.url, HUBBUB_TOKEN=token)
    assert "hubbub login" in bea.fails(77, "me", "--url", place.url)
    assert "nobody has signed in" in bea.fails(77, "logout", "--url", place.url)
    said = bea.does("login", "bea", "--url", place.url, "--password-file", "-", stdin=PASSWORD + "\n")
    assert said.startswith(f"signed in to {place.url} as bea (member)")


def test_a_wrong_password_changes_nothing(place: Place) -> None:
    """Exit code 77; who was signed in still is, and the password is not repeated."""
    cleo = place.person("cleo")
    before = cleo.credentials.read_text()
    said = cleo.fails(77, "login", "cleo", "--password-file", "-", stdin="not this one")
    assert "not this one" not in said
    assert cleo.credentials.read_text() == before


def test_a_session_that_was_ended_elsewhere_says_what_to_do(place: Place) -> None:
    """The other session's end is told as such, with the command that helps."""
    dora = place.person("dora")
    first = dora.credentials.read_text()
    dora.does("login", "dora", "--password-file", "-", stdin=PASSWORD)
    assert len(dora.reads("me", "sessions")) == 2
    dora.does("me", "end-session", "--others")
    assert [session["current"] for session in dora.reads("me", "sessions")] == [True]
    dora.credentials.write_text(first)
    assert "sign in again with `hubbub login`" in dora.fails(77, "rooms")
    dora.does("logout")  # of what is over already


def test_a_key_signs_a_machine_in(place: Place) -> None:
    """`--token-file` checks it and keeps it; logging out forgets it and does not end it."""
    eve = place.person("eve")
    key = eve.does("keys", "create", "machine").strip()
    machine = place.stranger("machine-of-eve")
    machine.does("login", "--url", place.url, "--token-file", "-", stdin=key)
    assert machine.reads("me")[0]["scopes"] == ["read", "write"]
    machine.fails(77, "keys")
    machine.does("logout")
    assert machine.does("me", "--url", place.url, HUBBUB_TOKEN=key)
    assert "unknown" in machine.fails(77, "login", "--url", place.url, "--token-file", "-", stdin="hbk_" + "x" * 43)


def test_a_name_and_a_password_are_changed(place: Place, tmp_path) -> None:
    """The new password is good, the former is not."""
    fay = place.person("fay")
    assert fay.does("me", "rename", "Fay Ray") == "you are Fay Ray now\n"
    present = tmp_path / "present"
    present.write_text(PASSWORD + "\n")
    fay.does("me", "password", "--present-file", str(present), "--password-file", "-", stdin="another good one\n")
    fay.fails(77, "login", "fay", "--password-file", str(present))
    fay.does("login", "fay", "--password-file", "-", stdin="another good one")


@pytest.mark.parametrize(
    "args",
    [
        ("login", "ada"),
        ("login",),
        ("login", "ada", "--token-file", "-"),
        ("signup", "ada", "--setup", "x", "--invitation", "y", "--password-file", "-"),
        ("me", "end-session"),
        ("me", "end-session", "--others", "x"),
    ],
)
def test_wrong_usage_is_told_apart(place: Place, args: tuple[str, ...]) -> None:
    """Exit code 2; where nobody can be asked, the way to say it is named."""
    said = place.stranger("nobody").fails(2, *args, "--url", place.url)
    assert "Error: " in said


def test_an_empty_password_is_none(place: Place) -> None:
    """It is refused before anything is sent."""
    assert "is empty" in place.stranger("nobody").fails(
        1, "login", "ada", "--url", place.url, "--password-file", "-", stdin="\n"
    )


def test_a_password_is_typed_without_being_seen(place: Place) -> None:
    """In a terminal it is asked for, and the terminal shows the question alone; Ctrl-C at the question ends with 130."""
    place.person("gus")
    home = place.stranger("gus-elsewhere").home
    home.mkdir(parents=True)
    for typed, code in ((PASSWORD.encode() + b"\n", 0), (b"\x03", 130)):
        terminal, its_end = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "hubbub", "login", "gus", "--url", place.url],
            stdin=its_end,
            stdout=its_end,
            stderr=its_end,
            env={"HOME": str(home), "PATH": os.defpath, **_python_path()},
            preexec_fn=_own_terminal,
        )
        os.close(its_end)
        try:
            shown = _read_until(terminal, b"Password")
            os.write(terminal, typed)
            shown += _read_until(terminal, None)
            assert process.wait(30) == code, shown
        finally:
            process.kill()
            process.wait()
            os.close(terminal)
        assert PASSWORD.encode() not in shown
        assert b"Traceback" not in shown


def _python_path() -> dict[str, str]:
    found = os.environ.get("PYTHONPATH")  # noqa: TID251  passed on, not read
    return {} if found is None else {"PYTHONPATH": found}


def _own_terminal() -> None:
    """Make standard input the controlling terminal, which is where a password is asked for."""
    import fcntl
    import termios

    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _read_until(terminal: int, wanted: bytes | None) -> bytes:
    shown = b""
    while wanted is None or wanted not in shown:
        assert select.select([terminal], [], [], 30.0)[0], shown
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # its end is closed
            piece = b""
        if not piece:
            break
        shown += piece
    return shown
