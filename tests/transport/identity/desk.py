"""Tokens and accounts over a store that counts, waits and fails as told, without a server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection

import attrs
import trio
from trio.testing import wait_all_tasks_blocked

from hubbub.engine import EngineError
from hubbub.engine.core.principals import ServerRole
from hubbub.engine.identity.records import Holder, User
from hubbub.engine.ports import StoreHealth
from hubbub.storage import MemoryAccounts
from hubbub.transport.auth import Authenticator, Credential
from hubbub.transport.identity import passwords
from hubbub.transport.identity.accounts import Accounts
from hubbub.transport.identity.passwords import Passwords
from hubbub.transport.identity.settings import IdentitySettings
from hubbub.transport.identity.setup import Setup
from hubbub.transport.identity.tokens import Tokens

DAY_MS = 86_400_000
HASH = passwords._FITS_NOTHING


class CountingAccounts(MemoryAccounts):
    """In memory; every step may fail, and looking a token up may wait."""

    def __init__(self) -> None:
        super().__init__(self._step)
        self.error: Exception | None = None
        self.gate = trio.Event()
        self.gate.set()
        self.looked_up = self.touched = self.pruned = 0

    async def _step(self) -> None:
        await trio.lowlevel.checkpoint()
        if self.error is not None:
            raise self.error

    async def find_token(self, digest: bytes) -> Holder | None:
        self.looked_up += 1
        found = await super().find_token(digest)  # what is there now; the answer may come later
        await self.gate.wait()
        return found

    async def touch_tokens(self, token_ids: Collection[str], *, now_ms: int) -> set[str]:
        self.touched += 1
        return await super().touch_tokens(token_ids, now_ms=now_ms)

    async def prune_tokens(self, before_ms: int) -> int:
        self.pruned += 1
        return await super().prune_tokens(before_ms)

    @property
    def tokens(self) -> int:
        """How many there are."""
        return len(self._tokens)


@attrs.define(eq=False)
class Open:
    """Something that is open under a credential, and what it was told."""

    credential: Credential
    told: list[EngineError] = attrs.field(factory=list)

    def credential_ended(self, error: EngineError) -> None:
        """Note it."""
        self.told.append(error)


@attrs.define(eq=False)
class Desk:
    """What stands between a transport and the store."""

    nursery: trio.Nursery
    accounts: CountingAccounts = attrs.field(factory=CountingAccounts)
    now_ms: int = 1_000_000
    away: bool = False
    settings: IdentitySettings = attrs.field(factory=IdentitySettings)
    setup: Setup = attrs.field(factory=lambda: Setup(needed=True))
    auth: Authenticator = attrs.field(init=False)
    tokens: Tokens = attrs.field(init=False)
    people: Accounts = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.restart()

    def health(self) -> StoreHealth:
        """As a store says it."""
        return StoreHealth(ready=not self.away)

    def restart(self) -> None:
        """Forget what was remembered."""

        def start_soon(work: Callable[[], Awaitable[None]]) -> None:
            self.nursery.start_soon(work)

        def now_ms() -> int:
            return self.now_ms

        self.auth = Authenticator(self, now_ms, start_soon, None, lambda: self.settings)  # type: ignore[arg-type]
        self.tokens = Tokens(self.accounts, self.auth, now_ms, start_soon, lambda: self.settings)
        hashes = Passwords(threads=2, waiting=4)
        self.people = Accounts(self.accounts, self.auth, self.tokens, now_ms, self.setup, hashes)

    async def user(self, username: str = "ada", role: ServerRole = ServerRole.MEMBER) -> User:
        """Somebody with an account that no password opens."""
        user = User(
            id=self.tokens.fresh_id(),
            username=username,
            name=username.title(),
            role=role,
            password_hash=HASH,
            created_at_ms=self.now_ms,
        )
        await self.accounts.add_user(user, now_ms=self.now_ms)
        return user

    def open(self, credential: Credential) -> list[EngineError]:
        """Open something; what it is told comes to the list."""
        opened = Open(credential)
        self.auth.watch(opened)
        return opened.told

    def ask(self, token: str) -> list[Credential | EngineError]:
        """The answer, once it is there."""
        answers: list[Credential | EngineError] = []
        self.auth.check(token, answers.append)
        return answers

    async def check(self, token: str) -> Credential | EngineError:
        """Whom a token stands for."""
        answers = self.ask(token)
        await wait_all_tasks_blocked()
        [answer] = answers
        return answer
