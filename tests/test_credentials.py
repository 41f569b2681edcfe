"""Tests of hubbub/credentials.py: tokens that were given."""

import pytest

from hubbub.credentials import GivenToken
from hubbub.refusals import TalkError


@pytest.mark.parametrize("token", ["", "a b", "a\nb", "é"])
def test_what_cannot_be_a_token_is_refused_before_it_is_sent(token):
    """A token that no header can carry is a clear error, and is not quoted in it."""
    with pytest.raises(TalkError, match="printable ASCII") as caught:
        GivenToken(token)
    assert not token or token not in str(caught.value)
