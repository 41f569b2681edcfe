"""The command line: every command by name, where it lives, and what it is for. Docs: `docs/cli.md`.

Exit codes are in `commands.exits`: 0 done; 1 it could not be done; 2 wrong usage; 77 not signed in, or not allowed; 130
interrupted; 141 nobody reads the output any more.
"""

from __future__ import annotations

from typing import Final

import click

from .commands.catalogue import Catalogue, Entry
from .transport.version import version as program_version

SECTIONS: Final = {
    "Talking": {
        "login": Entry(".commands.account:login", "Sign in to a server, and stay signed in."),
        "signup": Entry(".commands.account:signup", "Make an account, and sign in."),
        "logout": Entry(".commands.account:logout", "Sign out of a server."),
        "me": Entry(".commands.me:me", "Who you are at a server, and your sessions."),
        "rooms": Entry(".commands.rooms:rooms", "Rooms: list, make, change, join, leave and hide them."),
        "members": Entry(".commands.members:members", "Members of a room: roles, mutes and bans."),
        "blocks": Entry(".commands.blocks:blocks", "People from whom you want nothing more."),
        "invites": Entry(".commands.invites:invites", "Invites into a room."),
        "post": Entry(".commands.talk:post", "Post a message."),
        "follow": Entry(".commands.talk:follow", "Print messages as they come."),
        "keys": Entry(".commands.keys:keys", "Your API keys, for programs."),
    },
    "Running a server": {
        "serve": Entry(".commands.serve:serve_command", "Serve rooms on one port."),
        "config": Entry(".config.command:config", "Check a configuration; change a running server's."),
        "users": Entry(".commands.users:users", "Accounts, and invitations to sign up."),
        "limits": Entry(".commands.limits:limits", "Rate limits of a running server."),
        "audit": Entry(".commands.audit:audit", "Who changed what on a server, the newest first."),
        "tree": Entry(".commands.operate:tree", "What runs inside a server: rooms, restarts, quarantines."),
        "release": Entry(".commands.operate:release", "End the quarantine of a room."),
        "migrate": Entry(".migrate:migrate", "Look at the schema of a database, or bring it up to date."),
        "doctor": Entry(".doctor.command:doctor", "Is this machine and database fit for a server?"),
        "backup": Entry(".backup:backup", "A whole database into one file, also while it is used."),
        "restore": Entry(".backup:restore", "A backup back into an empty database."),
    },
    "Building on it": {
        "openapi": Entry(".describe:openapi", "The OpenAPI document of the REST interface."),
        "bench": Entry(".bench.cli:bench", "Measure a server and check its promises under load."),
        "completion": Entry(".commands.completion:completion", "Make a shell complete all this."),
        "version": Entry(".commands.version:version", "Print the version."),
    },
}


@click.group(
    cls=Catalogue,
    sections=SECTIONS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(program_version(), "-V", "--version", prog_name="hubbub")
def cli() -> None:
    """hubbub: durable, ordered, resumable chat rooms on trio and Postgres.

    \b
    To begin:
      hubbub serve --guests
      hubbub post lobby "hello, everybody"
      hubbub follow --from-start lobby

    \b
    Exit codes: 0 done; 1 it could not be done; 2 wrong usage; 77 not signed in, or not allowed;
    130 interrupted; 141 nobody reads the output any more.
    """


main = cli
