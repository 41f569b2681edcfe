"""The one table of endpoints, in the order of the API's description: both lanes and the description read it."""

from __future__ import annotations

from .account_calls import ACCOUNT_ROUTES
from .admin import ADMIN_ROUTES
from .audit_calls import AUDIT_ROUTES
from .block_calls import BLOCK_ROUTES
from .centrifugal_http import EMULATION_ROUTES
from .config_calls import CONFIG_ROUTES
from .conversation_calls import CONVERSATION_ROUTES
from .directory_calls import DIRECTORY_ROUTES
from .figures import FIGURE_ROUTES
from .invite_calls import INVITE_ROUTES
from .key_calls import KEY_ROUTES
from .limit_calls import LIMIT_ROUTES
from .member_routes import MEMBER_ROUTES
from .oidc_calls import OIDC_ROUTES
from .openapi.calls import DOCUMENT_ROUTES
from .routes import Routes
from .server_calls import SERVER_ROUTES
from .user_calls import USER_ROUTES
from .well_known import WELL_KNOWN_ROUTES

ROUTES = Routes(
    (
        *SERVER_ROUTES,
        *DOCUMENT_ROUTES,
        *ACCOUNT_ROUTES,
        *KEY_ROUTES,
        *OIDC_ROUTES,
        *DIRECTORY_ROUTES,
        *CONVERSATION_ROUTES,
        *MEMBER_ROUTES,
        *INVITE_ROUTES,
        *BLOCK_ROUTES,
        *EMULATION_ROUTES,
        *ADMIN_ROUTES,
        *FIGURE_ROUTES,
        *AUDIT_ROUTES,
        *CONFIG_ROUTES,
        *WELL_KNOWN_ROUTES,
        *LIMIT_ROUTES,
        *USER_ROUTES,
    )
)
