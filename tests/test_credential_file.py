"""Tests of hubbub/credential_file.py: where tokens are kept, and who may read them."""

import json
import multiprocessing
import stat
from pathlib import Path

import pytest

from hubbub.credential_file import MAX_NAMES, CredentialFile, Login
from hubbub.refusals import TalkError

URL = "http://127.0.0.1:8000"


@pytest.fixture
def file(tmp_path):
    return CredentialFile(tmp_path / "config" / "hubbub" / "credentials.json")


def test_a_token_is_kept_for_its_url_and_name_alone(file):
    """What was kept is found again by another process, under no other URL or name."""
    assert file.find(URL, "ada") is None
    file.keep(URL, "ada", "t1")
    file.keep(URL, "bob", "t2")
    file.keep(URL, "ada", "t3")
    again = CredentialFile(file.path)
    assert again.find(URL, "ada") == "t3"
    assert again.find(URL, "bob") == "t2"
    assert again.find("http://127.0.0.1:9000", "ada") is None


def test_only_the_user_can_read_it_and_nothing_else_is_left_behind(file):
    """The file has 0600, its directory 0700 also where it was open before, and no temporary file stays."""
    file.path.parent.mkdir(parents=True, mode=0o755)
    file.keep(URL, "ada", "t")
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700
    assert [path.name for path in file.path.parent.iterdir()] == ["credentials.json"]


def test_a_file_that_others_can_read_is_not_used(file):
    """The message names the file and says what to do."""
    file.keep(URL, "ada", "t")
    file.path.chmod(0o640)
    with pytest.raises(TalkError, match="chmod 600"):
        file.find(URL, "ada")


@pytest.mark.parametrize("content", [b"", b"[]", b'{"a": 1}', b"\xff"])
def test_a_file_of_something_else_is_not_overwritten(file, content):
    """Neither finding nor keeping touches a file that is not ours."""
    file.path.parent.mkdir(parents=True)
    file.path.write_bytes(content)
    file.path.chmod(0o600)
    with pytest.raises(TalkError, match="remove it"):
        file.find(URL, "ada")
    with pytest.raises(TalkError, match="remove it"):
        file.keep(URL, "ada", "t")
    assert file.path.read_bytes() == content


def test_names_are_bounded_and_the_oldest_goes(file):
    """A script that makes up names does not fill the disk."""
    for number in range(MAX_NAMES + 3):
        file.keep(URL, f"n{number}", "t")
    kept = json.loads(file.path.read_bytes())["servers"][URL]["guests"]
    assert list(kept) == [f"n{number}" for number in range(3, MAX_NAMES + 3)]


ADA = Login("hbs_secret", "ada", "admin", "2027-01-01T00:00:00.000Z")


def test_a_login_is_kept_beside_the_guests_of_its_server(file):
    """It is found for that server alone, which is the last one; forgetting it keeps the guests."""
    file.keep(URL, "bob", "t")
    file.keep_login(URL, ADA)
    again = CredentialFile(file.path)
    assert (again.login(URL), again.last()) == (ADA, URL)
    assert again.login("http://127.0.0.1:9000") is None
    again.forget_login(URL)
    assert (again.login(URL), again.last(), again.find(URL, "bob")) == (None, None, "t")


def test_signing_out_elsewhere_keeps_the_last_server(file):
    """Only the server that one signs out of is no longer the one that is asked."""
    other = "https://chat.example.org"
    file.keep_login(other, ADA)
    file.keep_login(URL, ADA)
    file.forget_login(other)
    assert file.last() == URL
    assert other not in file.path.read_text()


def test_a_file_from_before_there_were_logins_is_read(file):
    """Its guests are known still, and stay when something else is kept."""
    file.path.parent.mkdir(parents=True)
    file.path.write_text(json.dumps({URL: {"bob": "t"}}))
    file.path.chmod(0o600)
    assert file.find(URL, "bob") == "t"
    file.keep_login(URL, ADA)
    assert (file.find(URL, "bob"), file.login(URL)) == ("t", ADA)


def test_a_login_does_not_show_its_token():
    """Neither in a log nor in an assertion."""
    assert "hbs_secret" not in repr(ADA)


def _keep_many(path: Path, who: str) -> None:
    for number in range(20):
        CredentialFile(path).keep(URL, f"{who}-{number}", "t")


def test_processes_that_change_it_at_once_lose_nothing(file):
    """They take turns: each finds what the other has kept."""
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_keep_many, args=(file.path, who)) for who in ("a", "b")]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    assert all(file.find(URL, f"{who}-{number}") for who in ("a", "b") for number in range(20))
