"""post and follow: talking from a terminal."""

import click


@click.command()
def post() -> None:
    """Post."""


@click.command()
def follow() -> None:
    """Follow."""
