"""Live settings: everything that may change while the server runs, as one immutable snapshot with a generation.

Invariants: a request is admitted under one snapshot and reads nothing else (`Call.settings`), so that no reader ever sees two
generations mixed; a snapshot is replaced whole; generations only rise. One thread.

Left out: where settings come from and when they are read again (`hubbub.config`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

from ..actors import summary_of
from ..engine.log import get_logger
from .address import ProxySettings
from .auditor import AuditSettings
from .identity.settings import IdentitySettings, SignUp
from .jwt_settings import JwtSettings
from .limit_settings import LimitSettings
from .manners import HttpManners
from .oidc_settings import OidcSettings
from .security_txt import SecurityTxtSettings

_log = get_logger("hubbub.transport.live")


@attrs.frozen(kw_only=True)
class AccessSettings:
    """Who gets in at all."""

    guests: bool = attrs.field(default=False, metadata={"help": "anyone who reaches the port may become a guest"})
    sign_up: SignUp = attrs.field(
        default=SignUp.OFF, converter=SignUp, metadata={"help": "who may make an account: open (anyone), invite, off"}
    )


@attrs.frozen(kw_only=True)
class LiveSettings:
    """The snapshot.

    Attributes:
        generation: rises by one with every replacement; 1 at the start.
    """

    generation: int = attrs.field(default=1, metadata={"internal": True})
    access: AccessSettings = attrs.field(factory=AccessSettings)
    identity: IdentitySettings = attrs.field(factory=IdentitySettings)
    http: HttpManners = attrs.field(factory=HttpManners)
    jwt: JwtSettings = attrs.field(factory=JwtSettings)
    oidc: OidcSettings = attrs.field(factory=OidcSettings)
    audit: AuditSettings = attrs.field(factory=AuditSettings)
    security_txt: SecurityTxtSettings = attrs.field(factory=SecurityTxtSettings)
    limits: LimitSettings = attrs.field(factory=LimitSettings)
    proxies: ProxySettings = attrs.field(factory=ProxySettings)


GUESTS_WELCOME: Final = LiveSettings(access=AccessSettings(guests=True))
"""Defaults, with guests let in."""


class Live:
    """Holds the snapshot of now, and tells those who keep something derived from it when it is replaced.

    Args:
        settings: of the start.
    """

    def __init__(self, settings: LiveSettings | None = None) -> None:
        self.current = settings or LiveSettings()
        self._watchers: list[Callable[[LiveSettings], None]] = []

    def replace(self, settings: LiveSettings) -> LiveSettings:
        """Put a snapshot in force. Its generation is set here; watchers are told before the next request is admitted."""
        self.current = attrs.evolve(settings, generation=self.current.generation + 1)
        for watcher in self._watchers:
            try:
                watcher(self.current)
            except Exception as error:  # noqa: BLE001  one part's bug must not keep the others on old settings
                _log.error("a part did not take new settings", error=summary_of(error), exc_info=error)
        return self.current

    def subscribe(self, watcher: Callable[[LiveSettings], None]) -> None:
        """Call `watcher` with every later snapshot, synchronously. For parts that live as long as the server."""
        self._watchers.append(watcher)
