"""Wrong passwords, counted for each account and the address that they come from.

Whoever tries passwords of one account is slowed down, from each address for itself. So nobody locks anybody else out: the person
whose account it is logs in from elsewhere meanwhile, and what it has open stays. A right password uses nothing up, and what the
store or the load of the server refuses neither; a try counts from its beginning, so that many at once are no way around. Names
that nobody has are counted alike, and tell nothing.

Left out: how often one address may try at all (profile `login`), what is a right password (`identity.accounts`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from ..engine import Forbidden, Unauthenticated
from ..engine.identity import rules
from .limit_settings import Action
from .limits import Limits

_IN_SESSION: Final = "session"
"""Where those are who show a credential of the account already: they share one count, wherever they are."""


@contextmanager
def guessing_login(limits: Limits, username: str, address: str | None) -> Iterator[None]:
    """Check a password for a user name within.

    Args:
        address: the client's key; None for whom limits by address do not hold.

    Raises:
        RateLimited: too many were wrong.
    """
    folded = rules.fold_username(username)
    if address is None or not rules.may_be_username(folded):  # nobody's, and perhaps long: no key
        yield
        return
    with _guessing(limits, folded, address):
        yield


@contextmanager
def guessing_present(limits: Limits, user_id: str) -> Iterator[None]:
    """Check, within, the password of an account that a credential is shown for. Raises as `guessing_login`."""
    with _guessing(limits, user_id, _IN_SESSION):
        yield


@contextmanager
def _guessing(limits: Limits, account: str, place: str) -> Iterator[None]:
    ruling = limits.decide(Action.GUESS, place, account)
    if ruling is not None and (reached := ruling.refusal) is not None:
        raise reached
    is_wrong = False
    try:
        yield
    except (Unauthenticated, Forbidden):
        is_wrong = True
        raise
    finally:
        if not is_wrong:
            limits.give_back(Action.GUESS, place, account)
