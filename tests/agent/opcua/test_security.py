"""Who may connect, and what for: certificates, channels, logins and roles."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.agent.opcua.conftest import Line
from tests.agent.opcua.test_handshake import AUTOMATIC, Camera, job
from tests.support.broker import wait_until
from tests.support.opcua import PASSWORD, make_client, opcua_client, unconnected

ua = pytest.importorskip("asyncua", reason="the extra opcua is not installed").ua


def rejected(scenario: Callable[[], Awaitable[None]], *reasons: str) -> None:
    """The scenario ends with one of these status codes, or without a connection."""
    with pytest.raises((ua.UaError, ConnectionError, asyncio.TimeoutError)) as raised:
        asyncio.run(scenario())  # type: ignore[arg-type]
    assert any(reason in repr(raised.value) for reason in reasons), repr(raised.value)


def test_an_untrusted_client_is_rejected_and_its_certificate_is_kept(line: Line) -> None:
    opcua = line.opcua
    make_client(opcua.directory, "stranger")

    async def connect() -> None:
        async with opcua_client(opcua, name="stranger"):
            pass

    rejected(connect, "BadCertificateUntrusted")
    (kept,) = (opcua.directory / "rejected").iterdir()
    wait_until(lambda: f"to trust it, copy {kept}" in opcua.log, what="the file in the log")
    trusted = opcua.directory / "trusted" / kept.name
    shutil.copy(kept, trusted)
    try:
        asyncio.run(connect())
    finally:
        trusted.unlink()
        kept.unlink()


def test_a_client_that_names_no_certificate_is_rejected(line: Line) -> None:
    """The certificate of the channel counts, whatever the request for a session says."""
    opcua = line.opcua
    if not (opcua.directory / "other.pem").exists():
        make_client(opcua.directory, "other")

    async def connect() -> None:
        client = await unconnected(opcua, name="other")
        await client.connect_socket()
        try:
            await client.send_hello()
            await client.open_secure_channel()
            created = await client.uaclient.create_session(_session(opcua.url))
            client._server_nonce, client._policy_ids = (
                created.ServerNonce,
                created.ServerEndpoints[0].UserIdentityTokens,
            )
            await client.activate_session(username="otto", password="correct horse")
        finally:
            client.disconnect_socket()

    rejected(connect, "BadCertificateUntrusted", "BadSecurityChecksFailed")


def test_a_channel_without_encryption_reads_nothing(line: Line) -> None:
    from asyncua import Client

    async def read() -> None:
        client = Client(line.opcua.url, timeout=5)
        await client.connect_socket()
        try:
            await client.send_hello()
            await client.open_secure_channel()
            assert {each.SecurityMode.name for each in await client.get_endpoints()} == {"SignAndEncrypt"}
            await client.uaclient.create_session(_session(line.opcua.url))
            await client.nodes.server.read_browse_name()
        finally:
            client.disconnect_socket()

    rejected(read, "BadUserAccessDenied", "BadSecurityModeRejected")


def test_nobody_logs_in_without_encryption(line: Line) -> None:
    """The right name and password, in clear text."""
    from asyncua import Client

    async def log_in() -> None:
        client = Client(line.opcua.url, timeout=5)
        await client.connect_socket()
        try:
            await client.send_hello()
            await client.open_secure_channel()
            await client.uaclient.create_session(_session(line.opcua.url))
            token = ua.UserNameIdentityToken(PolicyId="username", UserName="otto", Password=PASSWORD.encode())
            await client.uaclient.activate_session(ua.ActivateSessionParameters(UserIdentityToken=token))
        finally:
            client.disconnect_socket()

    rejected(log_in, "BadSecurityChecksFailed")


def _session(url: str) -> Any:
    parameters = ua.CreateSessionParameters()
    parameters.ClientNonce = b"n" * 32
    parameters.EndpointUrl = url
    parameters.RequestedSessionTimeout = 10_000
    return parameters


@pytest.mark.parametrize(("person", "password"), [("otto", "wrong"), ("nobody", "correct horse"), ("", "")])
def test_a_wrong_password_is_rejected(line: Line, person: str, password: str) -> None:
    async def connect() -> None:
        async with opcua_client(line.opcua, person, password=password):
            pass

    rejected(connect, "BadUserAccessDenied", "BadIdentityTokenRejected", "BadIdentityTokenInvalid")


def test_nobody_logs_in_without_a_name(line: Line) -> None:
    async def connect() -> None:
        client = await unconnected(line.opcua, None)
        async with client:
            pass

    rejected(connect, "BadIdentityToken", "identity", "policy")


def test_who_may_only_view_starts_no_job_and_writes_nothing(line: Line) -> None:
    async def scenario() -> None:
        async with opcua_client(line.opcua, "vera") as client:
            camera = await Camera.of(client, "line1")
            for path in (f"{AUTOMATIC}/StartSingleJob", f"{AUTOMATIC}/StartContinuous"):
                with pytest.raises(ua.UaStatusCodeError, match="BadUserAccessDenied"):
                    await camera.call(path, *job("SN-1"))
            cause = [ua.Variant(1, ua.VariantType.Int32), ua.Variant("", ua.VariantType.String)]
            for path in ("VisionStateMachine/Halt", "VisionStateMachine/Reset", f"{AUTOMATIC}/Stop"):
                with pytest.raises(ua.UaStatusCodeError, match="BadUserAccessDenied"):
                    await camera.call(path, *cause)

    asyncio.run(scenario())


def test_no_variable_can_be_written_and_no_node_added(line: Line) -> None:
    async def scenario() -> None:
        async with opcua_client(line.opcua, "otto") as client:
            camera = await Camera.of(client, "line1")
            for path in ("VisionStateMachine/CurrentState", "ResultManagement/Results/Latest", "SystemState"):
                node = await camera.at(path)
                with pytest.raises(ua.UaStatusCodeError, match=r"BadUserAccessDenied|BadNotWritable"):
                    await node.write_value(await node.read_data_value())
            with pytest.raises(ua.UaStatusCodeError, match="BadUserAccessDenied"):
                await client.nodes.objects.add_folder(ua.NodeId("x", 2), "2:x")

    asyncio.run(scenario())


async def outcome(camera: Camera, path: str, inputs: list[Any]) -> str:
    """The status of a call that is not carried out; `error` where its last output says so."""
    try:
        found = await camera.call(path, *inputs)
    except ua.UaStatusCodeError as error:
        return type(error).__name__
    return "error" if found[-1] != 0 else "done"


def test_wrong_arguments_are_rejected_and_harm_nobody(line: Line) -> None:
    async def scenario() -> None:
        async with opcua_client(line.opcua) as client:
            camera = await Camera.of(client, "line1")
            for inputs in ([], [1], [None] * 5, [ua.Variant([1, 2], ua.VariantType.Int64)] * 12):
                for path in (f"{AUTOMATIC}/StartSingleJob", "ResultManagement/GetResultListFiltered"):
                    assert await outcome(camera, path, inputs) in ("BadInvalidArgument", "BadInvalidState", "error")
            await camera.await_states("Operational", "Ready")

    asyncio.run(scenario())
