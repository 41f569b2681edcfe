"""The command `hubbub openapi`: the description of the API without a server, the same that `/openapi.json` gives."""

from __future__ import annotations

import click


@click.command()
@click.option("--compact", is_flag=True, help="Print it on one line.")
def openapi(compact: bool) -> None:
    """Print the OpenAPI 3.1 document of the REST interface.

    It is what a server with default settings answers to GET /openapi.json.

    \b
    Examples:
      hubbub openapi > hubbub.json
      hubbub openapi --compact | jq '.paths | keys'
    """
    import msgspec

    from .transport.endpoints import ROUTES
    from .transport.live import LiveSettings
    from .transport.openapi.calls import rendered, served

    body = rendered(served(ROUTES.routes, LiveSettings())).body
    click.echo(body if compact else msgspec.json.format(body, indent=2))
