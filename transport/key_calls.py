"""The calls about one's own API keys. A key's secret is shown when it is made and when it is rotated, and never again."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import attrs

from ..engine import InvalidCommand, NotFound
from ..engine.core import codec
from ..engine.core.permissions import Access
from ..engine.core.principals import Scope
from ..engine.identity import rules
from ..engine.identity.records import TokenKind
from .account_calls import BODY_BYTES, own
from .answers import about, json_response
from .api import Api
from .call import Call
from .http_message import Response
from .http_route import Respond
from .identity.answers import NO_CONTENT, key_json
from .identity.tokens import Issued
from .openapi import shapes_identity as shapes
from .openapi.doc import Doc
from .routes import Endpoint, Route

_KEYS: Final = "/api/v1/auth/keys"
_DEFAULT_SCOPES: Final = (Scope.READ.value, Scope.WRITE.value)
_MAX_LIFE_S: Final = 10 * 365 * 86_400
_MAX_OVERLAP_S: Final = 7 * 86_400


def list_keys(api: Api, call: Call, respond: Respond) -> None:
    """List one's own keys, without their secrets."""
    user_id = call.principal.id

    async def read() -> Response:
        found = await api.accounts.store.list_tokens(user_id, TokenKind.KEY)
        return json_response(HTTPStatus.OK.value, codec.encode_json({"keys": [key_json(one) for one in found]}))

    api.later(read, respond)


def show_key(api: Api, call: Call, respond: Respond) -> None:
    """Show one of one's own keys, without its secret."""
    user_id, key_id = call.principal.id, call.params["id"]

    async def read() -> Response:
        found = await api.accounts.token(user_id, TokenKind.KEY, key_id)
        return json_response(HTTPStatus.OK.value, codec.encode_json(key_json(found)))

    api.later(read, respond)


def make_key(api: Api, call: Call, respond: Respond) -> None:
    """Make an API key.

    Its secret is in `key`, shown this once. No key opens more than the credential that makes it.
    """
    fields, credential, settings = call.body(), own(call), call.settings.identity
    label = rules.label(codec.get_text(fields, "label") or "")
    names = fields.get("scopes")
    if names is not None and not isinstance(names, list):
        raise InvalidCommand("'scopes' must be a list")
    scopes = rules.scopes(_DEFAULT_SCOPES if names is None else names, within=credential.principal.scopes)
    life_s = _seconds(fields, "expires_in_s", 60, _MAX_LIFE_S)
    ends = None if life_s is None else api.engine.now_ms() + life_s * 1000

    async def make() -> Response:
        issued = await api.accounts.make_key(credential, label, scopes, ends, settings)
        made = f"{issued.credential.token_id} scopes={','.join(sorted(scopes))}"
        return about(await _shown(api, HTTPStatus.CREATED.value, issued), made)

    api.later(make, respond)


def rotate_key(api: Api, call: Call, respond: Respond) -> None:
    """Give a key another secret.

    The new one is in `key`, shown this once.
    """
    credential, key_id = own(call), call.params["id"]
    fields = call.body() if call.request.body else {}
    overlap_s = _seconds(fields, "overlap_s", 0, _MAX_OVERLAP_S) or 0

    async def rotate() -> Response:
        issued = await api.accounts.rotate_key(credential, key_id, overlap_ms=overlap_s * 1000)
        return await _shown(api, HTTPStatus.OK.value, issued)

    api.later(rotate, respond)


def end_key(api: Api, call: Call, respond: Respond) -> None:
    """Revoke a key, with all that is open under it."""
    user_id, key_id = call.principal.id, call.params["id"]

    async def end() -> Response:
        if not await api.accounts.tokens.end(user_id, kind=TokenKind.KEY, only=key_id):
            raise NotFound("no such key")
        return NO_CONTENT

    api.later(end, respond)


async def _shown(api: Api, status: int, issued: Issued) -> Response:
    record = await api.accounts.token(issued.credential.principal.id, TokenKind.KEY, issued.credential.token_id)
    return json_response(status, codec.encode_json({**key_json(record), "key": issued.token}))


def _seconds(fields: Mapping[str, Any], name: str, least: int, most: int) -> int | None:
    value = codec.get_int(fields, name)
    if value is not None and not least <= value <= most:
        raise InvalidCommand(f"{name!r} must be a whole number from {least} to {most}")
    return value


def _route(method: str, path: str, endpoint: Endpoint, doc: Doc) -> Route:
    return Route(
        method=method,
        path=path,
        endpoint=endpoint,
        access=Access.ACCOUNT,
        scope=Scope.ACCOUNT,
        max_body_bytes=BODY_BYTES if doc.body is not None else 0,
        doc=attrs.evolve(doc, params=shapes.IDS),
    )


_TAG: Final = "API keys"

KEY_ROUTES: Final = (
    _route("GET", _KEYS, list_keys, Doc(tag=_TAG, answer=shapes.Keys)),
    _route(
        "POST",
        _KEYS,
        make_key,
        Doc(tag=_TAG, body=shapes.NewKey, answer=shapes.FreshKey, status=201, problems=("limit_exceeded", "not_found")),
    ),
    _route("GET", _KEYS + "/{id}", show_key, Doc(tag=_TAG, answer=shapes.Key)),
    _route("DELETE", _KEYS + "/{id}", end_key, Doc(tag=_TAG, status=204, problems=("unprocessable",))),
    _route(
        "POST",
        _KEYS + "/{id}/rotate",
        rotate_key,
        Doc(tag=_TAG, body=shapes.Rotation, body_optional=True, answer=shapes.FreshKey),
    ),
)
