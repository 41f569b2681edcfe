"""Who talks: a token that was given, an account that has signed in, a guest of the server's making, or the operator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import attrs

from .client import Client
from .credential_file import CredentialFile, Login
from .refusals import NotSignedIn, Refused, TalkError

_UNAUTHENTICATED: Final = 401
_FORBIDDEN: Final = 403


class Identity(Protocol):
    """What the commands need of a credential."""

    async def token(self) -> str:
        """The token to send; the first call may ask the server for one.

        Raises:
            TalkError: there is none to be had.
        """
        ...

    def replace(self) -> bool:
        """The server did not know the token. Whether the next `token` gives another one, worth a try."""
        ...

    def advice(self, status: int) -> str | None:
        """What to do after the server has refused with this status, where the credential is the reason."""
        ...


@attrs.frozen
class GivenToken:
    """A token from the command line, the environment or a file.

    Args:
        advised: what to do after a refusal, by status.

    Raises:
        TalkError: it cannot be one.
    """

    value: str = attrs.field(repr=False)
    advised: dict[int, str] = attrs.Factory(dict)

    def __attrs_post_init__(self) -> None:
        if not (self.value.isascii() and self.value.isprintable()) or not self.value or " " in self.value:
            raise TalkError("a token is printable ASCII without spaces")

    async def token(self) -> str:
        """The given one."""
        return self.value

    def replace(self) -> bool:
        """There is no other."""
        return False

    def advice(self, status: int) -> str | None:
        """As given."""
        return self.advised.get(status)


@attrs.frozen
class SignedIn:
    """An account that `hubbub login` has signed in."""

    login: Login

    async def token(self) -> str:
        """The kept one."""
        return self.login.token

    def replace(self) -> bool:
        """Only the person can sign in again."""
        return False

    def advice(self, status: int) -> str | None:
        """Sign in again, where the session is over."""
        if status == _UNAUTHENTICATED:
            return f"the login of {self.login.who} is over, sign in again with `hubbub login`"
        return None


class Guest:
    """A guest by name: the kept one, else a fresh one. A kept token that the server does not know is replaced once.

    Args:
        client: of the server that makes guests.
        name: what others see.
        file: where the token is kept.
        warn: tells the person that it could not be kept.
    """

    def __init__(self, client: Client, name: str, file: CredentialFile, warn: Callable[[str], None]) -> None:
        self._client = client
        self._name = name
        self._file = file
        self._warn = warn
        self._token = file.find(client.url, name)
        self._may_replace = self._token is not None

    @property
    def known(self) -> bool:
        """Whether there is a token without asking for a fresh guest."""
        return self._token is not None

    async def token(self) -> str:
        """The kept token, or that of a fresh guest."""
        if self._token is None:
            self._token = await self._become()
            self._may_replace = False
        return self._token

    def replace(self) -> bool:
        """Forget a kept token; not a fresh one, or a broken server would be asked for guests without end."""
        replaced, self._may_replace = self._may_replace, False
        if replaced:
            self._token = None
        return replaced

    def advice(self, status: int) -> str | None:
        """An account may be allowed what a guest is not."""
        if status == _FORBIDDEN:
            return "you are a guest here; sign in with `hubbub login`, or make an account with `hubbub signup`"
        return None

    async def _become(self) -> str:
        try:
            token = await self._client.become_guest(self._name)
        except Refused as error:
            if error.status != _FORBIDDEN:
                raise
            raise NotSignedIn(
                f"{self._client.url} admits no guests: sign in with `hubbub login`, or give a token in HUBBUB_TOKEN"
            ) from error
        try:
            self._file.keep(self._client.url, self._name, token)
        except OSError as error:
            self._warn(f"cannot keep the guest token in {self._file.path}: {error.strerror}")
        return token
