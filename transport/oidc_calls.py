"""The endpoints of logins with OpenID Connect, and of the identities that open one's account (docs/oidc.md).

The two that a browser is sent through answer with redirects. What goes wrong after a login was recognised is told to the page
that the browser returns to, in `login_error`; before that nobody knows where it came from, and the answer is a problem document.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

import msgspec

from ..engine import EngineError, Forbidden, InvalidCommand, NotFound
from ..engine.core import codec
from ..engine.core.permissions import Access, may_call
from ..engine.core.principals import Scope
from ..engine.identity.records import TokenKind
from ..engine.identity.rules import program_label
from ..engine.log import get_logger
from .answers import about, json_response, problem_of
from .api import Api
from .auth import Credential
from .call import Call
from .credentials import cookie_of
from .http_message import Response
from .http_route import Respond
from .identity.answers import NO_CONTENT, session_cookie
from .limit_settings import Action
from .oidc import Link, return_path, with_error
from .oidc_login import PATH
from .oidc_settings import OidcSettings
from .openapi import shapes_oidc as shapes
from .openapi.doc import Doc
from .routes import Route

_log = get_logger("hubbub.transport.oidc")

OK: Final = HTTPStatus.OK.value
FOUND: Final = HTTPStatus.FOUND.value
SEE_OTHER: Final = HTTPStatus.SEE_OTHER.value
_TAG: Final = "Identity"
_IDENTITIES: Final = "/api/v1/auth/identities"


def list_providers(api: Api, call: Call, respond: Respond) -> None:
    """List where one can log in from, for a login page."""
    rows = [
        {"id": key, "name": provider.name or key, "login_url": f"{PATH}/{key}/login"}
        for key, provider in call.settings.oidc.providers.items()
    ]
    respond(json_response(OK, codec.encode_json({"providers": rows})))


# -- the way of a browser ---------------------------------------------------------------------------------------------


def begin_login(api: Api, call: Call, respond: Respond) -> None:
    """Begin a login with a provider; for browsers.

    With `link=true` it is no login: the identity will open the account that the session cookie stands for, and a guest becomes an
    account by it.
    """
    settings, key, head = call.settings.oidc, call.params["provider"], call.request.head
    if key not in settings.providers:
        raise NotFound("no such provider")
    return_to, wanted = return_path(call.query.get("return_to", "/")), call.query.get("link", "false")
    if wanted not in ("true", "false"):
        raise InvalidCommand("'link' is true or false")

    def begin(link: Link | None) -> None:
        async def work() -> Response:
            try:
                begun = await api.oidc.begin(key, settings, return_to, link)
            except EngineError as error:
                return _redirect(FOUND, settings.base_url + _told(return_to, key, error))
            return _redirect(FOUND, begun.url, _flow_cookie(settings, begun.browser))

        api.later(work, respond)

    if wanted == "false":
        begin(None)
        return
    # The session cookie is not sent along from foreign sites; a page on a sibling host must not begin this either.
    if head.header("sec-fetch-site") not in (None, "same-origin", "none"):
        raise Forbidden("only a page of this server may link an identity")

    def found(credential: Credential | EngineError) -> None:
        refusal = credential if isinstance(credential, EngineError) else _may_link(credential)
        if refusal is not None:
            respond(problem_of(refusal))
        elif isinstance(credential, Credential):
            begin(Link(user=credential.principal.id, token_id=credential.token_id))

    api.authenticate(head, found)


def _may_link(credential: Credential) -> EngineError | None:
    if credential.kind is not TokenKind.SESSION:
        return Forbidden("an identity is linked by a session")
    return may_call(credential.principal, Access.PRINCIPAL, Scope.ACCOUNT)


def finish_login(api: Api, call: Call, respond: Respond) -> None:
    """Come back from a provider; for browsers.

    Sends the browser on to where it wanted to return, with a session cookie, or with the reason in `login_error`.
    """
    settings, head, now_ms = call.settings, call.request.head, api.engine.now_ms()
    browser = cookie_of(head, _cookie_name(settings.oidc))
    flow = api.oidc.flows.take(call.query.get("state"), call.params["provider"], browser, now_ms)
    label = program_label(head.header("user-agent"))

    async def work() -> Response:
        cookies = [_flow_cookie(settings.oidc, None)]
        return_to, user_id, code = flow.return_to, "" if flow.link is None else flow.link.user, ""
        try:
            issued = await api.oidc.finish(flow, dict(call.query), settings, label)
        except EngineError as error:
            return_to, code = _told(return_to, flow.provider, error), error.code
        else:
            if issued is not None:
                user_id = issued.credential.principal.id
                cookies.append(
                    session_cookie(issued, api.engine.now_ms(), secure=api.secure or _is_https(settings.oidc))
                )
        answer = _redirect(SEE_OTHER, settings.oidc.base_url + return_to, *cookies)
        return about(msgspec.structs.replace(answer, code=code), user_id, by=user_id)

    api.later(work, respond)


def _redirect(status: int, url: str, *cookies: tuple[str, str]) -> Response:
    return Response(status, (("location", url), ("cache-control", "no-store"), *cookies))


def _told(return_to: str, provider: str, error: EngineError) -> str:
    """Where the browser returns to, with the reason why the login came to nothing; and a line for the operator."""
    reason = str(getattr(error, "reason", error.code))
    _log.info("a login with a provider came to nothing", provider=provider, reason=reason, why=str(error))
    return with_error(return_to, reason)


def _is_https(settings: OidcSettings) -> bool:
    return settings.public_url.startswith("https:")


def _cookie_name(settings: OidcSettings) -> str:
    """With the prefix, no other host of the domain can set it (RFC 6265bis, 4.1.3.2), and log somebody in as somebody else."""
    return "__Host-hubbub_oidc" if _is_https(settings) else "hubbub_oidc"


def _flow_cookie(settings: OidcSettings, browser: str | None) -> tuple[str, str]:
    """The cookie that binds a flow to its browser, or ends with it. Lax, because the way back is from the provider's site."""
    secure = "; Secure" if _is_https(settings) else ""
    max_age_s = 0 if browser is None else round(settings.flow_s)
    value = f"{_cookie_name(settings)}={browser or ''}; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite=Lax{secure}"
    return ("set-cookie", value)


# -- one's own identities ---------------------------------------------------------------------------------------------


def list_identities(api: Api, call: Call, respond: Respond) -> None:
    """List the identities that open one's account."""
    user_id = call.principal.id
    keys = {provider.issuer: key for key, provider in call.settings.oidc.providers.items()}

    async def read() -> Response:
        rows = [
            {
                "id": one.id,
                "provider": keys.get(one.issuer),
                "issuer": one.issuer,
                "created_at": codec.rfc3339(one.created_at_ms),
            }
            for one in await api.oidc.federation.of(user_id)
        ]
        return json_response(OK, codec.encode_json({"identities": rows}))

    api.later(read, respond)


def unlink_identity(api: Api, call: Call, respond: Respond) -> None:
    """Unlink an identity from one's account.

    The last one stays where there is no password. Sessions that it has opened stay.
    """
    user_id, identity_id = call.principal.id, call.params["id"]

    async def unlink() -> Response:
        await api.oidc.federation.unlink(user_id, identity_id)
        return NO_CONTENT

    api.later(unlink, respond)


_PROVIDER: Final = {"provider": shapes.ProviderKey}
_HEADERS: Final = ("Location", "Set-Cookie")

OIDC_ROUTES: Final = (
    Route(
        method="GET",
        path=PATH,
        endpoint=list_providers,
        access=Access.ANYONE,
        doc=Doc(tag=_TAG, answer=shapes.Providers),
    ),
    Route(
        method="GET",
        path=PATH + "/{provider}/login",
        endpoint=begin_login,
        access=Access.ANYONE,
        action=Action.LOGIN,  # a callback without a login that was begun costs nothing
        doc=Doc(
            tag=_TAG,
            params=_PROVIDER,
            query=shapes.LoginQuery,
            status=FOUND,
            text="To the provider.",
            answer_headers=_HEADERS,
            problems=("unauthenticated", "token_expired", "forbidden", "store_unavailable"),
        ),
    ),
    Route(
        method="GET",
        path=PATH + "/{provider}/callback",
        endpoint=finish_login,
        access=Access.ANYONE,
        control=True,  # it may make an account or link an identity; which of these it is, only its end shows
        doc=Doc(
            tag=_TAG,
            params=_PROVIDER,
            query=shapes.CallbackQuery,
            status=SEE_OTHER,
            text="To where the login began.",
            answer_headers=_HEADERS,
            problems=("forbidden",),
        ),
    ),
    Route(
        method="GET",
        path=_IDENTITIES,
        endpoint=list_identities,
        access=Access.ACCOUNT,
        scope=Scope.ACCOUNT,
        doc=Doc(tag=_TAG, answer=shapes.Identities),
    ),
    Route(
        method="DELETE",
        path=_IDENTITIES + "/{id}",
        endpoint=unlink_identity,
        access=Access.ACCOUNT,
        scope=Scope.ACCOUNT,
        doc=Doc(tag=_TAG, status=204, params=shapes.IDS, problems=("conflict", "outcome_unknown")),
    ),
)
