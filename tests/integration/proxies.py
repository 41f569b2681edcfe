"""Reverse proxies in front of a server: nginx and Caddy, with the very files that operators are given.

Only what must differ on a test machine is replaced in them: names, ports, certificates, and where nginx keeps its files.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs

from ..certificates import Certificate, make_certificate
from ..serverproc import wait_until

DEPLOY = Path(__file__).resolve().parents[2] / "docs" / "deploy"
READY_S = 20.0


@attrs.frozen
class Proxy:
    """One that answers."""

    name: str
    port: int
    certificate: Certificate
    log: Path

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"https://localhost:{self.port}"

    @property
    def websocket_url(self) -> str:
        """Where the Centrifugal protocol is spoken."""
        return f"wss://localhost:{self.port}/connection/websocket"

    def trusting(self) -> ssl.SSLContext:
        """A context that trusts it."""
        return self.certificate.client()


def installed(name: str) -> bool:
    """Whether a proxy can be started."""
    return shutil.which(name) is not None


@contextlib.contextmanager
def proxy(name: str, directory: Path, backend_port: int) -> Iterator[Proxy]:
    """nginx or Caddy in front of a port of this machine."""
    certificate = make_certificate(directory, name)
    with _free_port() as found:
        port = found
    command = _COMMANDS[name](directory, _rendered(name, directory, certificate, port, backend_port))
    log = directory / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env={"HOME": str(directory)}
        )
    try:
        wait_until(lambda: process.poll() is not None or _answers(port), f"{name} at port {port}", READY_S)
        assert process.poll() is None, log.read_text()
        yield Proxy(name, port, certificate, log)
    finally:
        process.kill()  # asked to end, Caddy waits for streams that are open
        process.wait(READY_S)


def _rendered(name: str, directory: Path, certificate: Certificate, port: int, backend_port: int) -> str:
    """The file that operators are given, for this machine."""
    text = (DEPLOY / {"nginx": "nginx.conf", "caddy": "Caddyfile"}[name]).read_text()
    changes = {"127.0.0.1:8000": f"127.0.0.1:{backend_port}"}
    if name == "nginx":
        at_home = "/etc/letsencrypt/live/chat.example.org"
        changes |= {
            f"{at_home}/fullchain.pem": str(certificate.cert),
            f"{at_home}/privkey.pem": str(certificate.key),
            "listen 443 ssl http2;": f"listen 127.0.0.1:{port} ssl http2;",
            "listen 80;": f"listen unix:{directory}/plain.sock;",
            "server_name chat.example.org;": "server_name localhost;",
            "/var/log/nginx/hubbub.log": "access.log",
        }
    else:
        changes["\nchat.example.org {\n"] = (
            "\n{\n\tadmin off\n\tauto_https off\n}\n"
            f"https://localhost:{port} {{\n\ttls {certificate.cert} {certificate.key}\n"
        )
    for old, new in changes.items():
        assert old in text, f"{name}: {old!r} is gone from the file"
        text = text.replace(old, new)
    return text


def _nginx(directory: Path, site: str) -> list[str]:
    (directory / "site.conf").write_text(site)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    main = "\n".join(
        [
            "daemon off; master_process off; pid nginx.pid; error_log stderr;",
            "events { worker_connections 1024; }",
            "http {",
            *[f"{kind}_temp_path {kind};" for kind in kinds],
            "include site.conf;",
            "}",
        ]
    )
    (directory / "nginx.conf").write_text(main)
    return [shutil.which("nginx") or "nginx", "-p", str(directory), "-c", "nginx.conf", "-e", "stderr"]


def _caddy(directory: Path, site: str) -> list[str]:
    file = directory / "Caddyfile"
    file.write_text(site)
    return [shutil.which("caddy") or "caddy", "run", "--config", str(file), "--adapter", "caddyfile"]


_COMMANDS: dict[str, Callable[[Path, str], list[str]]] = {"nginx": _nginx, "caddy": _caddy}


@contextlib.contextmanager
def _free_port() -> Iterator[int]:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
        return True
    return False
