"""What one connection of the Centrifugal protocol is open under: its credential, and the tokens of its subscriptions.

Invariant: whenever a token comes or goes, the session acts for who the connection is now, and the one deadline is due when the
next ping or pong is, or before, when a token ends.

Left out: which tokens there are and when they end (`centrifugal_tenure`), and the commands that bring them
(`centrifugal_tokens`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from ..engine import EngineError
from ..engine.core.errors import CredentialChanged
from ..engine.core.ids import ConversationId
from .admission import Visit
from .api import Api
from .auth import Credential
from .centrifugal_framing import Framing
from .centrifugal_replies import Replies
from .centrifugal_settings import SocketSettings
from .centrifugal_tenure import NOBODY, Tenure
from .centrifugal_wire import Disconnect
from .ports import Connection


class CredentialHolder(Replies, ABC):
    """The half of a connection that its tokens concern. A base and no object of its own, as `Replies` is.

    Args:
        conn: the connection.
        api: what transports share.
        settings: bounds.
        framing: how what is said is wrapped.
    """

    __slots__ = ("_early_s", "_last_pong", "_visit", "session", "tenure")

    def __init__(self, conn: Connection, api: Api, settings: SocketSettings, framing: Framing) -> None:
        super().__init__(conn, api, settings, framing)
        self.session = api.session()
        self.tenure: Tenure = NOBODY  # until there is a credential
        self._early_s = 0.0  # by how much the deadline comes before the next ping, because a token ends
        self._last_pong = True
        self._visit: Visit | None = None  # until it is let in

    @abstractmethod
    def disconnect(self, why: Disconnect) -> None:
        """Leave the rooms, say why, and close."""

    def take_credential(self, found: Credential) -> None:
        """From now on this is who the connection is."""
        self.api.auth.unwatch(self)
        self.tenure = Tenure(found, self.api.live.current.jwt.refresh_grace_s)
        if self._visit is not None:
            self._visit.acquaint()
        self.session.principal = found.principal
        self.api.auth.watch(self)

    def renew_credential(self, found: Credential) -> frozenset[ConversationId]:
        """From now on it lives by another credential of the same user; returns what is not open for reading any more."""
        self.api.auth.unwatch(self)
        lost = self.tenure.renew(found)
        self.api.auth.watch(self)
        self.tenure_changed()
        return lost

    @property
    def credential(self) -> Credential:
        """What it is open under; `NO_CREDENTIAL` before there is any."""
        return self.tenure.credential

    def credential_ended(self, error: EngineError) -> None:
        """The token was revoked, or its account is another one now: what was allowed before is no longer."""
        changed = isinstance(error, CredentialChanged)
        self.disconnect(Disconnect.ACCOUNT_CHANGED if changed else Disconnect.INVALID_TOKEN)

    def tenure_changed(self) -> None:
        """Another token came, or one went."""
        self.session.principal = self.tenure.principal
        self._arm(self.settings.ping_s if self._last_pong else self.settings.pong_s)

    def _arm(self, delay_s: float) -> None:
        """Have `timeout` called when the next ping or pong is due, or before, when a token ends."""
        left_s = self.tenure.left_s(self.api.engine.now_ms())
        self._early_s = 0.0 if left_s >= delay_s else min(delay_s, delay_s - left_s)
        self._conn.set_deadline(delay_s - self._early_s)
