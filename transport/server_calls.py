"""GET /health, /health/ready and /api/v1/version: whether the server lives, whether it can commit, which program it is."""

from __future__ import annotations

import platform
from http import HTTPStatus
from typing import Final

import attrs

from ..engine.core import codec
from ..engine.core.permissions import Access
from .answers import json_response
from .api import Api
from .call import Call
from .http_route import Respond
from .limit_settings import Action
from .openapi import shapes
from .openapi.doc import Answer, Doc
from .routes import Route
from .version import version

_OK: Final = HTTPStatus.OK.value


def health(api: Api, call: Call, respond: Respond) -> None:
    """The process lives and answers. Stays 200 while the database is away, and while a new configuration is refused."""
    body: dict[str, object] = {"status": "ok"}
    if api.configuration is not None:
        status = api.configuration.status
        body["config"] = {"generation": status.generation, "reload": "ok" if status.ok else "failed"}
    respond(json_response(_OK, codec.encode_json(body)))


def ready(api: Api, call: Call, respond: Respond) -> None:
    """Whether posts can be committed, and what is missing if not.

    It says no as soon as the server was told to stop, before anything is refused.
    """
    found = api.engine.health()
    if api.leaving.announced and found.ready:
        found = attrs.evolve(found, ready=False, problems=("the server is about to stop",))
    body: dict[str, object] = {"status": "ready" if found.ready else "unavailable", "problems": found.problems}
    if found.away_s is not None:
        body["since"] = codec.rfc3339(api.engine.now_ms() - round(found.away_s * 1000))
    status = _OK if found.ready else HTTPStatus.SERVICE_UNAVAILABLE.value
    respond(json_response(status, codec.encode_json(body)))


def show_version(api: Api, call: Call, respond: Respond) -> None:
    """Which program answers, and who gets in."""
    body = {
        "name": "hubbub",
        "version": version(),
        "python": platform.python_version(),
        "guests": call.settings.access.guests,
        "sign_up": call.settings.access.sign_up.value,
        "set_up": api.accounts.setup.token is None,
        "password_min_chars": call.settings.identity.password_min_chars,
    }
    respond(json_response(_OK, codec.encode_json(body)))


SERVER_ROUTES: Final = (
    Route(
        method="GET",
        path="/health",
        endpoint=health,
        access=Access.ANYONE,
        action=Action.FREE,
        doc=Doc(tag="Server", answer=shapes.Health),
    ),
    Route(
        method="GET",
        path="/health/ready",
        endpoint=ready,
        access=Access.ANYONE,
        action=Action.FREE,
        doc=Doc(
            tag="Server",
            answer=shapes.Readiness,
            also=(Answer(status=503, body=shapes.Readiness, text="Posts cannot be committed now."),),
        ),
    ),
    Route(
        method="GET",
        path="/api/v1/version",
        endpoint=show_version,
        access=Access.ANYONE,
        doc=Doc(tag="Server", answer=shapes.Version),
    ),
)
"""Open to anyone; what asks whether the server lives is not counted."""
