"""The file that credentials are kept in: by server one login and the tokens of guests, and which server was signed in to last.

Only the user can read it (0600, in a directory with 0700); one that others can read is refused, not used. It is replaced as a
whole, and processes that change it take turns. A kept token is only ever sent to the URL that it came from. No password is kept.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from .refusals import TalkError

MAX_NAMES: Final = 64
"""Guests kept for one server; the oldest goes."""
_MAX_FILE_BYTES: Final = 4 * 1024 * 1024


class Login(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """An account that has signed in.

    Attributes:
        token: of the session, or an API key.
        who: the user name, or the name where there is none.
        role: on the server, when it signed in: admin, member or guest.
        expires_at: as the server said; None for no end.
        is_key: an API key was given, which signing out does not end.
    """

    token: str
    who: str
    role: str
    expires_at: str | None = None
    is_key: bool = False

    def __repr__(self) -> str:
        return f"Login(who={self.who!r})"  # without the token


class _Server(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    login: Login | None = None
    guests: dict[str, str] = msgspec.field(default_factory=dict)


class _Kept(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    servers: dict[str, _Server] = msgspec.field(default_factory=dict)
    last: str | None = None

    def at(self, url: str) -> _Server:
        return self.servers.setdefault(url, _Server())


class CredentialFile:
    """The file at one path; it need not exist."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def find(self, url: str, name: str) -> str | None:
        """The token of a guest, or None.

        Raises:
            TalkError: the file is not ours alone, or not what we wrote.
        """
        return self._read().at(url).guests.get(name)

    def guests(self, url: str) -> tuple[str, ...]:
        """The names of the guests that are kept for a server, the newest last; raises as `find`."""
        return tuple(self._read().at(url).guests)

    def login(self, url: str) -> Login | None:
        """Who is signed in at a server; raises as `find`."""
        return self._read().at(url).login

    def last(self) -> str | None:
        """The URL that was signed in to last, and not signed out of; raises as `find`."""
        return self._read().last

    def keep(self, url: str, name: str, token: str) -> None:
        """Keep a guest's token, in place of an earlier one of the same guest.

        Raises:
            OSError: it cannot be written.
            TalkError: as `find`.
        """
        with self._changing() as kept:
            guests = kept.at(url).guests
            guests.pop(name, None)
            guests[name] = token
            kept.at(url).guests = dict(list(guests.items())[-MAX_NAMES:])

    def keep_login(self, url: str, login: Login) -> None:
        """Keep a login in place of the one before; raises as `keep`."""
        with self._changing() as kept:
            kept.at(url).login = login
            kept.last = url

    def keep_upgraded(self, url: str, name: str, login: Login) -> None:
        """Keep the login of an account that was a guest by this name, which there is no more; raises as `keep`."""
        with self._changing() as kept:
            kept.at(url).guests.pop(name, None)
            kept.at(url).login = login
            kept.last = url

    def forget_login(self, url: str) -> None:
        """Keep the login at a server no longer; raises as `keep`."""
        with self._changing() as kept:
            kept.at(url).login = None
            if not kept.at(url).guests:
                del kept.servers[url]
            if kept.last == url:
                kept.last = None

    @contextmanager
    def _changing(self) -> Iterator[_Kept]:
        """What is kept, to be changed and then written, while no other process does the same."""
        folder = self.path.parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            kept = self._read()
            yield kept
            self._write(kept)
        finally:
            os.close(lock)

    def _write(self, kept: _Kept) -> None:
        descriptor, temporary = tempfile.mkstemp(dir=self.path.parent, prefix=".credentials-")  # made with 0600
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(kept)))
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(self.path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                Path(temporary).unlink()
            raise

    def _read(self) -> _Kept:
        try:
            with self.path.open("rb") as file:
                status = os.fstat(file.fileno())
                if status.st_uid != os.geteuid() or status.st_mode & 0o077:
                    raise TalkError(f"{self.path} holds tokens and is not yours alone: chmod 600 it, or remove it")
                return _decoded(file.read(_MAX_FILE_BYTES))
        except FileNotFoundError:
            return _Kept()
        except OSError as error:
            raise TalkError(f"cannot read {self.path}: {error.strerror}") from error
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise TalkError(f"{self.path} is not a file of tokens: remove it") from error


def _decoded(data: bytes) -> _Kept:
    """What is kept, also as it was before there were logins: guests' tokens by URL and name."""
    try:
        return msgspec.json.decode(data, type=_Kept)
    except msgspec.ValidationError:
        guests = msgspec.json.decode(data, type=dict[str, dict[str, str]])
        return _Kept({url: _Server(guests=names) for url, names in guests.items()})
