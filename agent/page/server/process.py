"""The process of the page: binds its address, serves, and ends on SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette

from agent.core.errors import Permanent
from agent.core.sockets.unix_socket import bind_unix_socket
from agent.page.options import ServerOptions
from agent.page.server.connections import Connections, limited_protocol

log = logging.getLogger(__name__)

# Headers of a browser have 2 kB.
_MAX_HEADER_BYTES = 16_384

_BACKLOG = 128

_HANDSHAKE_SECONDS = 5.0


def serve(options: ServerOptions, application: Starlette) -> None:
    """Serve until SIGTERM or Ctrl-C. Raises Permanent where the address or the certificate cannot be used."""
    os.umask(0o077)
    listener = _bind(options)
    connections = Connections()
    config = _config(options, application, connections)
    loop = _Loop()
    asyncio.set_event_loop(loop)
    try:
        log.info("page of %s at %s", options.site, options.address)
        loop.run_until_complete(_serve(config, listener, connections))
    finally:
        loop.close()
        if options.socket is not None:
            Path(options.socket).unlink(missing_ok=True)


class _Loop(asyncio.SelectorEventLoop):
    """With a limit on the time of a TLS handshake, which uvicorn leaves at a minute."""

    async def create_server(self, *arguments: Any, **keywords: Any) -> Any:
        if keywords.get("ssl"):
            keywords.setdefault("ssl_handshake_timeout", _HANDSHAKE_SECONDS)
        return await super().create_server(*arguments, **keywords)


class _Server(uvicorn.Server):
    """Without uvicorn's way to end, which sends the signal to its own process again: the service may send none."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


async def _serve(config: uvicorn.Config, listener: socket.socket, connections: Connections) -> None:
    watching = asyncio.create_task(connections.watch())
    try:
        await _Server(config).serve(sockets=[listener])
    finally:
        watching.cancel()


def _config(options: ServerOptions, application: Starlette, connections: Connections) -> uvicorn.Config:
    config = uvicorn.Config(
        application,
        http=limited_protocol(connections),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        h11_max_incomplete_event_size=_MAX_HEADER_BYTES,
        timeout_keep_alive=10,
        timeout_graceful_shutdown=1,
        ssl_certfile=options.certificate_file,
        ssl_keyfile=options.key_file,
    )
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        files = f"{options.certificate_file} and {options.key_file}"
        raise Permanent(f"page: {files}: {error}; wanted a certificate and its key, PEM") from None
    return config


def _bind(options: ServerOptions) -> socket.socket:
    if options.socket is not None:
        unbound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        bind_unix_socket(unbound, Path(options.socket), name="page socket", setting="page.socket")
        return unbound
    try:
        family, _, _, _, address = socket.getaddrinfo(
            options.host, options.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        raise Permanent(
            f"page {options.host}:{options.port}: {error.strerror}; wanted an address of this machine and a free port"
        ) from None
    return bound
