"""The admins' calls about limits: what holds, and setting a profile for good. A change holds for the next request."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final

from ..engine import InvalidCommand, NotFound
from ..engine.core import codec
from ..engine.core.permissions import Access
from ..engine.core.principals import Scope
from ..engine.limit_store import LimitRecord
from ..engine.log import get_logger
from .answers import about, json_response
from .api import Api
from .call import Call
from .http_message import Response
from .http_route import Respond
from .limit_settings import PROFILES, Profile
from .limits import ProfileStatus
from .openapi import shapes_limits
from .openapi.doc import Doc
from .routes import Route

_log = get_logger("hubbub.transport.limit_calls")

_OK: Final = HTTPStatus.OK.value


def list_limits(api: Api, call: Call, respond: Respond) -> None:
    """All profiles, with what they have refused, and what is open now."""
    admission, settings = api.admission, call.settings.limits
    body = {
        "on": settings.on,
        "factor": settings.factor,
        "limits": [_shown(each) for each in admission.limits.status()],
        "open": {
            "requests": {
                "now": admission.in_flight,
                "most": settings.requests_in_flight,
                "refused": admission.refused_in_flight,
            },
            "addresses": {
                name: {"addresses": len(tally), "refused": tally.refused}
                for name, tally in (
                    ("sockets", admission.sockets),
                    ("streams", admission.streams),
                    ("strangers", admission.strangers),
                )
            },
        },
    }
    respond(json_response(_OK, codec.encode_json(body)))


def set_limit(api: Api, call: Call, respond: Respond) -> None:
    """``{"rate", "period_s", "burst", "on"?}`` -> 200 with the profile. It stands above the configuration, and is kept."""
    name, profile = _name_of(call), _profile_of(call.body())

    async def keep() -> Response:
        async with api.admission.changing:
            await api.engine.store.limits.set_profile(_record_of(name, profile))
            api.admission.limits.set_profile(name, profile)
        _log.info(
            "limits.set", profile=name, by=call.principal.id, rate=profile.rate, burst=profile.burst, on=profile.on
        )
        told = f"rate={profile.rate} period_s={profile.period_s} burst={profile.burst}{'' if profile.on else ' off'}"
        return about(_one(api, name), told)

    api.later(keep, respond)


def unset_limit(api: Api, call: Call, respond: Respond) -> None:
    """Back to what is configured -> 200 with the profile."""
    name = _name_of(call)

    async def forget() -> Response:
        async with api.admission.changing:
            await api.engine.store.limits.unset_profile(name)
            api.admission.limits.set_profile(name, None)
        _log.info("limits.unset", profile=name, by=call.principal.id)
        return _one(api, name)

    api.later(forget, respond)


def profiles_of(records: Iterable[LimitRecord]) -> list[tuple[str, Profile]]:
    """What admins have set, as it was stored. What this version cannot make sense of is left alone, and logged."""
    found = []
    for each in records:
        try:
            profile = Profile(rate=each.rate, period_s=each.period_s, burst=each.burst, on=each.on)
        except ValueError as error:
            _log.warning("limits.not_understood", profile=each.name, error=str(error))
        else:
            found.append((each.name, profile))
    return found


def _name_of(call: Call) -> str:
    name = call.params["name"]
    if name not in PROFILES:
        raise NotFound("no such limit")
    return name


def _profile_of(body: dict[str, Any]) -> Profile:
    fields = {name: codec.get_int(body, name) for name in ("rate", "period_s", "burst")}
    missing = [name for name, value in fields.items() if value is None]
    if missing:
        raise InvalidCommand(f"{missing[0]!r} is missing")
    on = codec.get_bool(body, "on")
    try:
        return Profile(**fields, on=True if on is None else on)  # type: ignore[arg-type]  # none is missing
    except ValueError as error:
        raise InvalidCommand(str(error.args[0])) from None


def _record_of(name: str, profile: Profile) -> LimitRecord:
    return LimitRecord(name=name, rate=profile.rate, period_s=profile.period_s, burst=profile.burst, on=profile.on)


def _one(api: Api, name: str) -> Response:
    [status] = [each for each in api.admission.limits.status() if each.name == name]
    return json_response(_OK, codec.encode_json(_shown(status)))


def _shown(status: ProfileStatus) -> dict[str, Any]:
    profile = status.profile
    return {
        "name": status.name,
        "counted_by": status.counted.value,
        "rate": profile.rate,
        "period_s": profile.period_s,
        "burst": profile.burst,
        "on": profile.on,
        "source": "admin" if status.is_set else "configuration",
        "buckets": status.buckets,
        "crowded": status.crowded,
        "refused": status.refused,
    }


_LIMITS: Final = "/api/v1/admin/limits"
_NAME: Final = {"name": shapes_limits.LimitName}

LIMIT_ROUTES: Final = (
    Route(
        method="GET",
        path=_LIMITS,
        endpoint=list_limits,
        access=Access.ADMIN,
        scope=Scope.ADMIN,
        doc=Doc(tag="Administration", answer=shapes_limits.Limits),
    ),
    Route(
        method="PUT",
        path=_LIMITS + "/{name}",
        endpoint=set_limit,
        access=Access.ADMIN,
        scope=Scope.ADMIN,
        max_body_bytes=1024,
        doc=Doc(
            tag="Administration",
            params=_NAME,
            body=shapes_limits.NewLimit,
            answer=shapes_limits.Limit,
            problems=("outcome_unknown",),
        ),
    ),
    Route(
        method="DELETE",
        path=_LIMITS + "/{name}",
        endpoint=unset_limit,
        access=Access.ADMIN,
        scope=Scope.ADMIN,
        doc=Doc(tag="Administration", params=_NAME, answer=shapes_limits.Limit, problems=("outcome_unknown",)),
    ),
)
