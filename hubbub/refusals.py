"""What can go wrong between a command and a server, in words for the person at the terminal."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

import httpx
import msgspec

_PASSING: Final = frozenset({429, 502, 503, 504})


class TalkError(Exception):
    """It could not be done; the text says why, in one line."""


class Unreachable(TalkError):
    """No whole answer came.

    Attributes:
        sent: False when certainly nothing was sent.
        passing: the same request may succeed later; not where the server's certificate is not believed.
    """

    def __init__(self, message: str, *, sent: bool, passing: bool = True) -> None:
        super().__init__(message)
        self.sent = sent
        self.passing = passing


class NotSignedIn(TalkError):
    """There is no credential to be had for what was asked; nothing was sent."""


class Refused(TalkError):
    """The server answered with an error.

    Attributes:
        code: the word for programs, or "" where the server gave none.
        passing: the same request may succeed later.
        settled: what was asked for certainly did not happen.
        retry_after_s: how long the server asks to wait, or None. Whoever waits bounds it (`Backoff`).
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str = "",
        passing: bool = False,
        settled: bool = True,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.passing = passing
        self.settled = settled
        self.retry_after_s = retry_after_s

    @property
    def lacks_scope(self) -> bool:
        """Whether it is the credential that was not made for this, whoever its owner is; the server has no code for that."""
        return self.status == HTTPStatus.FORBIDDEN and "lacks the scope" in str(self)


class _Problem(msgspec.Struct, frozen=True):
    detail: str = ""
    code: str = ""
    problems: list[str] = []
    retry: str | None = None
    retry_after_s: float | None = None


def why_unreachable(error: httpx.RequestError, url: str) -> str:
    """Why a server at `url` cannot be reached, in a few words."""
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    if not isinstance(error, httpx.ConnectError):
        return "the connection broke"
    for cause in _causes(error):
        if isinstance(cause, socket.gaierror):
            return f"unknown host {urlsplit(url).hostname} ({cause.strerror})"
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"the TLS handshake failed: {cause.verify_message} (SSL_CERT_FILE names the certificates to believe,"
                " those of an authority of one's own)"
            )
        if isinstance(cause, ssl.SSLError):
            plain = cause.reason == "WRONG_VERSION_NUMBER"  # what came is no TLS at all
            why = "the port speaks plain HTTP, use http://" if plain else cause.reason
            return f"the TLS handshake failed: {why}"
    return "nobody answers there"


def is_not_believed(error: httpx.RequestError) -> bool:
    """Whether the server's certificate is the reason, which trying again does not mend."""
    return any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause = error.__cause__ or error.__context__
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def refusal(response: httpx.Response, body: bytes) -> Refused:
    """What an answer that is none of success says."""
    status = response.status_code
    try:
        problem = msgspec.json.decode(body, type=_Problem)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        problem = _Problem()
    detail = problem.detail or f"the server answered {status} {response.reason_phrase}".rstrip()
    if problem.problems:
        detail = "; ".join(problem.problems)
    wait_s = problem.retry_after_s
    if wait_s is None:
        header = response.headers.get("retry-after", "")
        wait_s = float(header) if header.isascii() and header.isdigit() and len(header) < 9 else None
    return Refused(
        detail,
        status=status,
        code=problem.code,
        passing=status in _PASSING if problem.retry is None else problem.retry in {"same", "after"},
        settled=status < HTTPStatus.INTERNAL_SERVER_ERROR or problem.retry == "after",
        retry_after_s=None if wait_s is None else max(wait_s, 0.0),
    )
