"""Looking somebody up by user name, so that people can be named as they sign in, and not by an id alone.

It takes the whole name and no part of it: nobody reads through who has an account. Left out: searching, which is for
administrators (`user_calls`).
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from ..engine import NotFound
from ..engine.core import codec
from ..engine.core.permissions import Access
from ..engine.core.principals import Scope
from ..engine.identity import rules
from .answers import json_response
from .api import Api
from .call import Call
from .http_message import Response
from .http_route import Respond
from .openapi import shapes
from .openapi.doc import Doc
from .openapi.shapes_identity import Username
from .routes import Route


def find_person(api: Api, call: Call, respond: Respond) -> None:
    """Find somebody by the whole user name.

    For whoever has an account. Who is disabled or deleted is not found.
    """
    username = rules.fold_username(call.params["username"])

    async def look() -> Response:
        user = await api.accounts.store.find_username(username) if rules.may_be_username(username) else None
        if user is None or not user.active:
            raise NotFound("no such user")
        return json_response(HTTPStatus.OK.value, codec.author_json(user.author))

    api.later(look, respond)


DIRECTORY_ROUTES: Final = (
    Route(
        method="GET",
        path="/api/v1/users/{username}",
        endpoint=find_person,
        access=Access.ACCOUNT,
        scope=Scope.READ,
        doc=Doc(tag="Identity", params={"username": Username}, answer=shapes.Author, problems=("not_found",)),
    ),
)
