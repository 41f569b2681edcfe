"""Lifetimes of sessions, guests and invitations have ends that a store can keep."""

import pytest

from hubbub.transport.identity.settings import IdentitySettings


@pytest.mark.parametrize("name", ["session_s", "session_idle_s", "guest_s", "invitation_s"])
@pytest.mark.parametrize("value", [0, 1e300, float("nan"), float("inf")])
def test_a_lifetime_is_neither_nothing_nor_for_ever(name: str, value: float) -> None:
    """Whatever is written there is refused before it is in force, and not at the next login."""
    with pytest.raises(ValueError, match=name):
        IdentitySettings(**{name: value})
