"""Origins of browser pages (RFC 6454): which text is one, and which one a request names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import attrs

    from .http_message import RequestHead

ANY: Final = "*"
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
MAX_ORIGINS: Final = 100


def origin_of(head: RequestHead) -> str | None:
    """The origin of the page that a browser sends a request for; None from programs, which have none."""
    return head.header("origin")


def valid_origins(_: object, field: attrs.Attribute[tuple[str, ...]], origins: tuple[str, ...]) -> None:
    """Check a setting that lists origins.

    Raises:
        ValueError: one of them is not as browsers write it, or there are more than `MAX_ORIGINS`.
    """
    if len(origins) > MAX_ORIGINS:
        raise ValueError(f"{field.name}: at most {MAX_ORIGINS} origins")
    for origin in origins:
        if origin == ANY:
            continue
        if _ORIGIN.fullmatch(origin) is None:
            raise ValueError(
                f"{field.name}: {origin!r} is no origin: scheme://host or scheme://host:port in lower case, without a path"
            )
        scheme = origin.partition(":")[0]
        if origin.endswith(_DEFAULT_PORTS.get(scheme, "/")):
            raise ValueError(f"{field.name}: {origin!r}: browsers leave the usual port out")
