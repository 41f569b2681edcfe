"""Who may open a connection of the Centrifugal protocol, decided from its request alone: a refusal is an HTTP answer.

A credential in the request is checked before it is accepted. Without one the connection opens, and its first command brings one.
A browser lets pages of any origin open WebSockets, so the origin is checked here. Our own page may come with the session cookie.
Pages of origins that the operator has named bring a token; their cookie counts only where that was allowed, too. Others get 403.
"""

from __future__ import annotations

from collections.abc import Callable

from ..engine import EngineError
from ..engine.core.errors import ClientError
from .answers import problem, problem_of
from .api import Api
from .auth import Credential
from .credentials import bearer_of, cookie_of, foreign_origin, same_origin
from .http_message import RequestHead, Response


def _is_ours(head: RequestHead) -> bool:
    """Whether our own page, or a program, sends this. Browsers tell the origin of every POST and of every WebSocket, so a POST
    without one says nothing; a page that opens an event stream of its own host tells none."""
    return same_origin(head) if head.method == "POST" else not foreign_origin(head)


def admit(
    head: RequestHead, api: Api, accept: Callable[[Credential | None], None], refuse: Callable[[Response], None]
) -> None:
    """Decide, now or later, and call one of the two once.

    Args:
        head: a request that opens a connection of its transport rightly.
        api: what transports share.
        accept: gets the credential that came along, if any.
        refuse: gets the answer.
    """
    if not api.lets_in(head):
        refuse(problem(403, "forbidden", "pages of this origin may not connect"))
        return

    def checked_bearer(found: Credential | EngineError) -> None:
        if isinstance(found, EngineError):
            refuse(problem_of(found))
        else:
            accept(found)

    def checked_cookie(found: Credential | EngineError) -> None:
        if isinstance(found, ClientError):
            accept(None)  # an old cookie is no reason to refuse: the connect command may still bring a token
        else:
            checked_bearer(found)

    bearer, cookie = bearer_of(head), cookie_of(head)
    if bearer is not None:
        api.auth.check(bearer, checked_bearer)
    elif cookie is not None and (_is_ours(head) or api.manners.trusts_page(head)):
        api.auth.check(cookie, checked_cookie)
    else:
        accept(None)
