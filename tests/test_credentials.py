"""Tests of hubbub/credentials.py: where guest tokens are kept, and who may read them."""

import json
import stat

import pytest

from hubbub.client import TalkError
from hubbub.credentials import MAX_NAMES, GivenToken, TokenFile

URL = "http://127.0.0.1:8000"


@pytest.fixture
def file(tmp_path):
    return TokenFile(tmp_path / "config" / "hubbub" / "credentials.json")


def test_a_token_is_kept_for_its_url_and_name_alone(file):
    """What was kept is found again by another process, under no other URL or name."""
    assert file.find(URL, "ada") is None
    file.keep(URL, "ada", "t1")
    file.keep(URL, "bob", "t2")
    file.keep(URL, "ada", "t3")
    again = TokenFile(file.path)
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
    kept = json.loads(file.path.read_bytes())[URL]
    assert list(kept) == [f"n{number}" for number in range(3, MAX_NAMES + 3)]


@pytest.mark.parametrize("token", ["", "a b", "a\nb", "é"])
def test_what_cannot_be_a_token_is_refused_before_it_is_sent(token):
    """A token that no header can carry is a clear error, and is not quoted in it."""
    with pytest.raises(TalkError, match="printable ASCII") as caught:
        GivenToken(token)
    assert not token or token not in str(caught.value)
