"""Who talks: a token that was given, or a guest of the server's making whose token is kept for the next time.

Guest tokens are kept in one JSON file, ``{url: {name: token}}``, that only the user can read (0600, in a directory with 0700)
and that is replaced as a whole. Of two processes that replace it at once the last one wins; the loser's guest is made anew
next time. A kept token is only ever sent to the URL that it came from.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

import attrs
import msgspec

from .client import Client, Refused, TalkError

Tokens = dict[str, dict[str, str]]

MAX_NAMES: Final = 64  # per server; the oldest goes
_MAX_FILE_BYTES: Final = 4 * 1024 * 1024


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


@attrs.frozen
class GivenToken:
    """A token from the command line or the environment.

    Raises:
        TalkError: it cannot be one.
    """

    value: str = attrs.field(repr=False)

    def __attrs_post_init__(self) -> None:
        if not (self.value.isascii() and self.value.isprintable()) or not self.value or " " in self.value:
            raise TalkError("a token is printable ASCII without spaces")

    async def token(self) -> str:
        """The given one."""
        return self.value

    def replace(self) -> bool:
        """There is no other."""
        return False


class TokenFile:
    """The file that guest tokens are kept in."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def find(self, url: str, name: str) -> str | None:
        """The token of a guest, or None.

        Raises:
            TalkError: the file is not ours alone, or not what we wrote.
        """
        return self._read().get(url, {}).get(name)

    def keep(self, url: str, name: str, token: str) -> None:
        """Keep a token, in place of an earlier one of the same guest.

        Raises:
            OSError: it cannot be written.
            TalkError: as `find`.
        """
        tokens = self._read()
        names = tokens.setdefault(url, {})
        names.pop(name, None)
        names[name] = token
        tokens[url] = dict(list(names.items())[-MAX_NAMES:])
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path.parent.chmod(0o700)
        descriptor, temporary = tempfile.mkstemp(dir=self.path.parent, prefix=".credentials-")  # made with 0600
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(tokens)))
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(self.path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                Path(temporary).unlink()
            raise

    def _read(self) -> Tokens:
        try:
            with self.path.open("rb") as file:
                status = os.fstat(file.fileno())
                if status.st_uid != os.geteuid() or status.st_mode & 0o077:
                    raise TalkError(f"{self.path} holds tokens and is not yours alone: chmod 600 it, or remove it")
                return msgspec.json.decode(file.read(_MAX_FILE_BYTES), type=Tokens)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise TalkError(f"cannot read {self.path}: {error.strerror}") from error
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise TalkError(f"{self.path} is not a file of tokens: remove it") from error


class Guest:
    """A guest by name: the kept one, else a fresh one. A kept token that the server does not know is replaced once.

    Args:
        client: of the server that makes guests.
        name: what others see.
        file: where the token is kept.
        warn: tells the person that it could not be kept.
    """

    def __init__(self, client: Client, name: str, file: TokenFile, warn: Callable[[str], None]) -> None:
        self._client = client
        self._name = name
        self._file = file
        self._warn = warn
        self._token = file.find(client.url, name)
        self._may_replace = self._token is not None

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

    async def _become(self) -> str:
        try:
            token = await self._client.become_guest(self._name)
        except Refused as error:
            if error.status != 403:
                raise
            raise TalkError(
                f"{self._client.url} admits no guests: give a token with --token or in HUBBUB_TOKEN"
            ) from error
        try:
            self._file.keep(self._client.url, self._name, token)
        except OSError as error:
            self._warn(f"cannot keep the guest token in {self._file.path}: {error.strerror}")
        return token
