"""The process: builds the address space, listens, follows the agent, and ends on SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

from asyncua import Server, ua
from asyncua.crypto.permission_rules import SimpleRoleRuleset
from asyncua.crypto.security_policies import SecurityPolicyFactory, SecurityPolicyNone
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key

from agent.core.errors import Permanent
from agent.core.records import place_of_group
from agent.opcua.address_space.model import Model, add_system, load_model
from agent.opcua.follow import Follower
from agent.opcua.methods import Methods
from agent.opcua.options import OpcuaOptions
from agent.opcua.security import Logins, NothingAllowed, TrustedServer
from agent.opcua.trust_list import TrustList, application_uris
from agent.opcua.vision_system import VisionSystem
from agent.page.link.control import AgentLink
from agent.page.security.accounts import served_accounts

log = logging.getLogger(__name__)

# Basic256Sha256 wants keys of this size.
KEY_BITS = (2048, 4096)


async def serve(options: OpcuaOptions) -> None:
    """Serve until SIGTERM or Ctrl-C. Raises Permanent where certificate, trust list or address cannot be used."""
    certificate = read_certificate(Path(options.certificate_file))
    problem = out_of_date(certificate)
    if problem is not None:
        # Some clients connect all the same, and a line must not stop for a date.
        log.warning("opcua.certificate_file: %s %s; clients may reject it", options.certificate_file, problem)
    key = read_key(Path(options.key_file), certificate, Path(options.certificate_file))
    trust = TrustList(Path(options.trusted_directory), Path(options.rejected_directory))
    trust.load()
    accounts = served_accounts(options.accounts_file)
    if not accounts.all():
        log.warning("no accounts, so nobody can log in; add one: inspectd page user add NAME --role operate --config …")
    server = await _build(options, TrustedServer(trust, Logins(accounts)), certificate, key)
    model = await load_model(server, f"{application_uris(certificate)[0]}:cameras")
    places = {**options.cameras, **{place_of_group(name): products for name, products in options.groups.items()}}
    systems = {place: await _add(model, place, products, options) for place, products in places.items()}
    await _listen(server, options)
    try:
        await _until_stopped(Follower(options.control_socket, systems))
    finally:
        await server.stop()


async def _build(
    options: OpcuaOptions, internal: TrustedServer, certificate: x509.Certificate, key: RSAPrivateKey
) -> Server:
    server = Server(iserver=internal)
    await server.init()
    server.set_endpoint(options.address)
    server.set_server_name(f"inspectd {options.site}")
    server.product_uri = "urn:inspectd"
    await server.set_application_uri(application_uris(certificate)[0])
    server.set_security_policy([ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt], SimpleRoleRuleset())
    internal.certificate, internal.private_key = certificate, key
    # Clients ask for the endpoints without encryption. No endpoint has this policy; nothing else is allowed with it.
    nothing = NothingAllowed()
    server._policies.append(
        SecurityPolicyFactory(SecurityPolicyNone, ua.MessageSecurityMode.None_, permission_ruleset=nothing)
    )
    await server.set_build_info(
        "urn:inspectd", "inspectd", "inspectd", version("inspectd"), "", datetime.now(timezone.utc)
    )
    return server


async def _add(model: Model, place: str, products: tuple[str, ...], options: OpcuaOptions) -> VisionSystem:
    system = VisionSystem(place, products, await add_system(model, place, products))
    await Methods(system, AgentLink(options.control_socket)).connect()
    await system.machine.begin()
    return system


async def _listen(server: Server, options: OpcuaOptions) -> None:
    try:
        await server.start()
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise Permanent(f"opcua: {options.host} port {options.port} cannot be opened: {reason}") from None
    log.info("OPC UA server of %s at %s", options.site, options.address)


async def _until_stopped(follower: Follower) -> None:
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    following = asyncio.create_task(follower.run())
    waiting = asyncio.create_task(stopping.wait())
    await asyncio.wait({following, waiting}, return_when=asyncio.FIRST_COMPLETED)
    for task in (following, waiting):
        task.cancel()
    await asyncio.gather(following, waiting, return_exceptions=True)


def read_certificate(path: Path) -> x509.Certificate:
    """The certificate of the server. Raises Permanent where it is none that OPC UA can use."""
    content = _read(path, "certificate_file")
    try:
        pem = content.lstrip().startswith(b"-----BEGIN")
        found = x509.load_pem_x509_certificate(content) if pem else x509.load_der_x509_certificate(content)
    except ValueError:
        raise Permanent(f"opcua.certificate_file: {path} is no certificate; wanted one, PEM or DER") from None
    if not application_uris(found):
        raise Permanent(
            f"opcua.certificate_file: {path} has no application URI, which OPC UA wants in subjectAltName; "
            "inspectd opcua certificate makes one that has"
        )
    return found


def out_of_date(certificate: x509.Certificate) -> str | None:
    """Why a certificate is not valid today; None where it is."""
    now, first, last = datetime.now(timezone.utc), certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now > last:
        return f"has expired on {last:%Y-%m-%d}"
    return f"is not valid before {first:%Y-%m-%d}" if now < first else None


def read_key(path: Path, certificate: x509.Certificate, certificate_file: Path) -> RSAPrivateKey:
    """The key of the server. Raises Permanent where it is none of this certificate, or none that OPC UA can use."""
    content = _read(path, "key_file")
    try:
        pem = content.lstrip().startswith(b"-----BEGIN")
        key = load_pem_private_key(content, None) if pem else load_der_private_key(content, None)
    except (ValueError, TypeError):
        raise Permanent(f"opcua.key_file: {path} is no key without a password, PEM or DER") from None
    if not isinstance(key, RSAPrivateKey) or not KEY_BITS[0] <= key.key_size <= KEY_BITS[1]:
        raise Permanent(f"opcua.key_file: {path}: wanted an RSA key of {KEY_BITS[0]} to {KEY_BITS[1]} bits")
    if certificate.public_key() != key.public_key():
        raise Permanent(f"opcua.key_file: {path} is not the key of {certificate_file}")
    return key


def _read(path: Path, setting: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Permanent(f"opcua.{setting}: {path}: {error.strerror}") from None
