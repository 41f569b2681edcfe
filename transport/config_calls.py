"""The configuration, seen and changed by admins, and what anyone may know of it.

The endpoints know a port; who reads files and keeps settings is above (`hubbub.config`). A change is a JSON merge patch of live
settings; `If-Match` with the tag of a GET makes sure that nobody else's change is overwritten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, Protocol

import attrs
import msgspec

from ..engine import EngineError, NotFound
from ..engine.core import codec
from ..engine.core.permissions import Access
from ..engine.core.principals import Scope
from .answers import about, json_response, problem_of
from .api import Api
from .call import Call
from .entity_tag import quoted, required_versions
from .http_message import Response
from .http_route import Respond
from .openapi import shapes_config
from .openapi.doc import Doc
from .routes import Route

MAX_PATCH_BYTES: Final = 64 * 1024


class SettingsRefused(EngineError):
    """A change that is not acceptable.

    Attributes:
        problems: each with its key, without the names of the server's files; at least one.
    """

    code = "unprocessable"

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("the change is not acceptable: see 'problems'")
        self.problems = tuple(problems)


@attrs.frozen(kw_only=True)
class ConfigStatus:
    """How the last reading went.

    Attributes:
        generation: of the settings in force.
        ok: whether the last reading was taken; what is in force stays otherwise.
        at_ms: when it was, wall clock; None before the first reload.
        problems: why it was not taken; without secrets, but with the names of files: for admins.
        needs_restart: keys whose new values count from the next start only.
    """

    generation: int
    ok: bool = True
    at_ms: int | None = None
    problems: tuple[str, ...] = ()
    needs_restart: tuple[str, ...] = ()


class Configuration(Protocol):
    """What the endpoints need of who reads the configuration."""

    @property
    def status(self) -> ConfigStatus:
        """How the last reading went."""
        ...

    @property
    def tag(self) -> str:
        """Names the settings in force; another one after every change and after every start."""
        ...

    def tell(self, told: Callable[[str, Sequence[str], bool], None]) -> None:
        """From now on call `told` after each reading that no call asked for.

        Args:
            told: gets why it was read, the keys that have other values since, and whether it was taken.
        """
        ...

    def document(self) -> Mapping[str, Any]:
        """All settings with where each was said, secrets hidden."""
        ...

    async def merge(self, patch: Mapping[str, Any], *, tags: frozenset[str] | None, by: str) -> None:
        """Change live settings, durably; they are in force when this returns.

        Args:
            patch: a JSON merge patch (RFC 7396); null gives a setting back to the file or the default.
            tags: go on only while the settings are one of these; None does not ask.
            by: who wants it, for the log.

        Raises:
            PreconditionFailed: they are others by now.
            SettingsRefused: unknown, not live, a secret, or a value that is not acceptable.
            Conflict: the environment or a flag has the last word on it.
            StoreUnavailable: the change could not be kept; nothing has changed.
        """
        ...


def show_config(api: Api, call: Call, respond: Respond) -> None:
    """Every setting, where it was said, and how the last reload went."""
    respond(_shown(_configuration(api)))


def change_config(api: Api, call: Call, respond: Respond) -> None:
    """Change live settings by a merge patch.

    They are in force and on the disk when the answer comes. With `If-Match` nothing is changed that one has not seen.
    """
    configuration = _configuration(api)
    patch = call.body()
    tags = required_versions(call.request.head.header("if-match"))
    by = call.principal.author.id

    async def change() -> Response:
        try:
            await configuration.merge(patch, tags=tags, by=by)
        except SettingsRefused as error:
            return _with_problems(error)
        return about(_shown(configuration), " ".join(_keys(patch)))

    api.later(change, respond)


def _configuration(api: Api) -> Configuration:
    if api.configuration is None:
        raise NotFound("this server was given its settings by a program and reads none")
    return api.configuration


def _shown(configuration: Configuration) -> Response:
    status = configuration.status
    reload: dict[str, object] = {
        "result": "ok" if status.ok else "failed",
        "at": None if status.at_ms is None else codec.rfc3339(status.at_ms),
        "problems": status.problems,
        "needs_restart": status.needs_restart,
    }
    body = {"generation": status.generation, "reload": reload, **configuration.document()}
    return json_response(HTTPStatus.OK.value, codec.encode_json(body), ("etag", quoted(configuration.tag)))


def _with_problems(error: SettingsRefused) -> Response:
    answer = problem_of(error)
    document = codec.decode_object(answer.body) | {"problems": error.problems}
    return msgspec.structs.replace(answer, body=codec.encode_json(document))


def _keys(patch: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """What a patch says something of, dotted; no values."""
    for name, value in patch.items():
        if isinstance(value, Mapping) and value:
            yield from _keys(value, f"{above}{name}.")
        else:
            yield above + name


_CONFIG: Final = "/api/v1/admin/config"

CONFIG_ROUTES: Final = (
    Route(
        method="GET",
        path=_CONFIG,
        endpoint=show_config,
        access=Access.ADMIN,
        scope=Scope.ADMIN,
        doc=Doc(
            tag="Administration", answer=shapes_config.Configuration, answer_headers=("ETag",), problems=("not_found",)
        ),
    ),
    Route(
        method="PUT",
        path=_CONFIG,
        endpoint=change_config,
        access=Access.ADMIN,
        scope=Scope.ADMIN,
        max_body_bytes=MAX_PATCH_BYTES,
        doc=Doc(
            tag="Administration",
            body=shapes_config.LiveSettingsPatch,
            answer=shapes_config.Configuration,
            answer_headers=("ETag",),
            headers=("If-Match",),
            problems=("not_found", "conflict", "precondition_failed", "unprocessable"),
        ),
    ),
)
