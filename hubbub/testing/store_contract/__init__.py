"""The contract of stores as tests that anybody can run on a store of their own. Needs pytest and pytest-trio.

Subclass a suite in a test module, say how the store is opened, and pytest runs what it inherits:

    class TestMyStore(StoreContract):
        @asynccontextmanager
        async def open_store(self) -> AsyncIterator[Store]:
            async with my_store() as store:
                yield store

`StoreContract` holds what `hubbub.Store` promises, `DurableStoreContract` adds what survives the end of the program, and
`BackendContract` is for those who write a `hubbub.storage.Backend` and leave the rest to `WriterStore`. `AccountStoreContract`,
`IdentityStoreContract`, `InviteStoreContract` and `BlockStoreContract` hold what `Store.accounts`, its `identities`,
`Store.invites` and `Store.blocks` promise. A
subclass that needs fixtures of its own takes them in an autouse fixture and keeps what `open_store` needs on `self`.

Importing `hubbub.testing` does not import this package.
"""

import pytest

pytest.register_assert_rewrite(
    *(
        f"{__name__}.{part}"
        for part in (
            *("opening", "accounts", "audit", "commits", "reads", "members"),
            *("stopping", "durable", "backend", "identities", "invites", "blocks", "tokens", "opening_accounts"),
        )
    )
)

from .accounts import AccountStoreContract  # noqa: E402  after the registration, so that failures show their values
from .backend import BackendContract  # noqa: E402
from .blocks import BlockStoreContract  # noqa: E402
from .durable import DurableStoreContract, StoreContract  # noqa: E402
from .identities import IdentityStoreContract  # noqa: E402
from .invites import InviteStoreContract  # noqa: E402
from .opening import PLENTY  # noqa: E402

__all__ = [
    "PLENTY",
    "AccountStoreContract",
    "BackendContract",
    "BlockStoreContract",
    "DurableStoreContract",
    "IdentityStoreContract",
    "InviteStoreContract",
    "StoreContract",
]
