"""What an operator may say of providers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hubbub.transport.oidc_settings import OidcSettings, ProviderSettings, ProviderSignUp

HERE = "https://chat.example"


def provider(**other: Any) -> ProviderSettings:
    return ProviderSettings(**({"issuer": "https://login.example", "client_id": "hubbub"} | other))


def test_nothing_is_set_up_by_default() -> None:
    """Without a provider there is no login."""
    assert not OidcSettings().providers


def test_a_provider() -> None:
    """Needs an issuer and a client id; its secret does not show."""
    found = OidcSettings(public_url=HERE + "/", providers={"example": provider(client_secret="s3cret", sign_up="open")})
    assert found.base_url == HERE
    assert found.providers["example"].sign_up is ProviderSignUp.OPEN
    assert "s3cret" not in repr(found)
    with pytest.raises(TypeError):
        found.providers["other"] = provider()  # type: ignore[index]


@pytest.mark.parametrize(
    "wrong",
    [
        {"issuer": "http://login.example"}, {"issuer": "https://login.example?x=y"}, {"issuer": ""},
        {"issuer": "https://login.example/" + "x" * 255}, {"issuer": "https://login.exämple"}, {"client_id": ""},
        {"client_id": "a\n"}, {"scopes": ("email",)}, {"scopes": ("openid", "a b")}, {"email_domains": ("Example.org",)},
        {"email_domains": ("@example.org",)}, {"sign_up": "yes"}, {"client_secret": "a", "client_secret_file": Path("b")},
    ],
)  # fmt: skip
def test_providers_that_are_refused(wrong: dict[str, Any]) -> None:
    """Each with a reason."""
    with pytest.raises(ValueError, match=r".+"):
        provider(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"public_url": ""}, {"public_url": "http://chat.example"}, {"public_url": HERE + "/chat"},
        {"providers": {"Example": provider()}}, {"providers": {"a/b": provider()}},
        {"providers": {"a": provider(), "b": provider(client_id="two")}},
        {"providers": {f"p{number}": provider(issuer=f"https://l{number}.example") for number in range(17)}},
    ],
)  # fmt: skip
def test_settings_that_are_refused(wrong: dict[str, Any]) -> None:
    """No address to come back to, a key that is none in a URL, two of one issuer, too many."""
    with pytest.raises(ValueError, match=r".+"):
        OidcSettings(**({"public_url": HERE, "providers": {"example": provider()}} | wrong))
