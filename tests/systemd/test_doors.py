"""What a PLC or a SCADA system connects to, on a real systemd: units, drop-ins and credentials as the pages say."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.opcua import PASSWORD, make_client
from tests.support.sparkplug import rebirth
from tests.systemd.line import BOOTED, await_armed, configure, main_pid, status, unit
from tests.systemd.machine import Machine

pytest.importorskip("asyncua", reason="the extra opcua is not installed")

pytestmark = BOOTED

PLANT = "192.0.2.1"
OPCUA = "inspectd-opcua@line1.service"
DROP_INS = Path("/usr/share/doc/inspectd/drop-ins")

DOORS = """
[cameras.line1.parts]
frames_per_part = 1
[opcua]
listen = "0.0.0.0"
certificate_file = "opcua.pem"
key_file = "/run/credentials/inspectd-opcua@line1.service/opcua-key"
trusted_directory = "opcua-trusted"
[outputs.plc]
kind = "modbus"
port = 502
[outputs.scada]
kind = "sparkplug"
url = "mqtt://127.0.0.1:1883"
[outputs.archive]
kind = "s3"
bucket = "inspection"
endpoint = "http://127.0.0.1:9000"
send = ["results"]
[outputs.tower]
kind = "gpio"
chip = "/dev/gpiochip0"
[outputs.tower.lights]
red = 22
"""


@pytest.fixture(scope="module")
def doors(machine: Machine) -> Machine:
    """A machine with an agent that has every door, set up as the pages say, and its OPC UA server."""
    configure(machine, "line1")
    settings = machine.tree / "etc/inspectd/line1.toml"
    settings.write_text(settings.read_text() + DOORS)
    machine.run("ip", "address", "add", f"{PLANT}/32", "dev", "lo")
    machine.run("groupadd", "--system", "--force", "gpio")
    folder = f"/etc/systemd/system/{unit('line1')}.d"
    machine.run("mkdir", "-p", folder, "/etc/inspectd/opcua-trusted")
    for name in ("modbus-502", "s3", "gpio"):
        machine.run("cp", str(DROP_INS / f"{name}.conf"), folder)
    keys = "[default]\naws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = geheim\n"
    machine.write("/etc/inspectd/line1.archive-credentials", keys, mode=0o600)
    for command in (
        f"inspectd opcua certificate --host 127.0.0.1 --host {PLANT} --config /etc/inspectd/line1.toml",
        f"echo '{PASSWORD}' | inspectd page user add otto --role operate --password-stdin -c /etc/inspectd/line1.toml",
        "systemctl daemon-reload",
        f"systemctl enable --now {unit('line1')} {OPCUA}",
    ):
        machine.run("sh", "-c", command)
    await_armed(machine, "line1")
    return machine


@pytest.fixture(scope="module")
def client(doors: Machine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates of a client that the server trusts."""
    directory = tmp_path_factory.mktemp("client")
    make_client(directory, "client")
    for name, path in (("client.pem", "opcua-trusted/client.pem"), ("server.pem", "opcua.pem")):
        inside = doors.tree / "etc/inspectd" / path
        source, target = (directory / name, inside) if name == "client.pem" else (inside, directory / name)
        target.write_bytes(source.read_bytes())
    return directory


def look(machine: Machine, client: Path, host: str = "127.0.0.1") -> dict[str, Any]:
    """What a client of OPC UA finds, once it may connect."""
    outputs: list[str] = []

    def found() -> bool:
        outputs.append(machine.over_network(sys.executable, "-m", "tests.systemd.opcua_client", str(client), host))
        return bool(outputs[-1])

    machine.wait_until(found, what="a result over OPC UA", facts=lambda: machine.journal(OPCUA)[-3000:])
    seen: dict[str, Any] = json.loads(outputs[-1])
    return seen


def test_opcua_server_serves_the_results_of_its_agent(doors: Machine, client: Path) -> None:
    seen = look(doors, client)
    assert seen["states"] == ["Operational", "ContinuousExecution"]
    assert seen["part"]
    assert seen["verdict"] in ("ok", "nok")


def test_opcua_server_sees_no_state_of_the_agent(doors: Machine) -> None:
    process = doors.show(OPCUA, "MainPID")["MainPID"]
    entered = ["nsenter", "--mount", "--target", process, "find", "/var/lib/private/", "-name", "outbox.sqlite"]
    assert doors.attempt(*entered) == ""
    assert "outbox.sqlite" in doors.run("find", "/var/lib/private/", "-name", "outbox.sqlite")
    assert doors.run("stat", "--format=%a %U", "/etc/credstore/inspectd.line1.opcua-key") == "600 root"


def test_killed_opcua_server_is_restarted_and_the_agent_goes_on(doors: Machine, client: Path) -> None:
    agent, process = main_pid(doors, "line1"), doors.show(OPCUA, "MainPID")["MainPID"]
    doors.run("systemctl", "kill", "--signal=KILL", "--kill-who=main", OPCUA)
    doors.wait_until(lambda: doors.show(OPCUA, "MainPID").get("MainPID") not in ("0", process), what="another process")
    assert look(doors, client)["part"]
    assert main_pid(doors, "line1") == agent


def test_opcua_server_is_reached_from_outside_by_its_drop_in_only(doors: Machine, client: Path) -> None:
    """The drop-in of docs/opcua.md. To the server, a client at this address of the machine is one of the plant."""
    from_plant = ["python3", "-c", f"import socket; socket.create_connection(('{PLANT}', 4840), 2); print('reached')"]
    assert doors.attempt(*from_plant) == ""
    doors.write(f"/etc/systemd/system/{OPCUA}.d/network.conf", "[Service]\nIPAddressAllow=192.0.2.0/24\n")
    doors.run("systemctl", "daemon-reload")
    doors.run("systemctl", "restart", OPCUA)
    assert look(doors, client, PLANT)["part"]


def test_modbus_is_served_on_port_502(doors: Machine) -> None:
    """The first register has the version of the map."""
    connect = "from pymodbus.client import ModbusTcpClient as C; plc = C('127.0.0.1', port=502); plc.connect()"
    read = f"{connect}; print(plc.read_input_registers(0, count=1).registers)"
    assert doors.over_network(sys.executable, "-c", read) == "[1]"


def test_results_are_in_the_bucket_by_the_credential(doors: Machine) -> None:
    """The service is moto on this computer, in the network of the machine."""
    pytest.importorskip("moto", reason="moto is the service of this test")
    doors.serve(sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "9000")

    def bucket(call: str) -> str:
        service = "boto3.client('s3', endpoint_url='http://127.0.0.1:9000', region_name='us-east-1', "
        keys = "aws_access_key_id='x', aws_secret_access_key='x')"
        return doors.over_network(sys.executable, "-c", f"import boto3; print({service}{keys}.{call})")

    doors.wait_until(lambda: "Location" in bucket("create_bucket(Bucket='inspection')"), what="a bucket")
    doors.wait_until(
        lambda: "result.json" in bucket("list_objects(Bucket='inspection')"),
        what="a result in the bucket",
        facts=lambda: doors.journal(unit("line1"))[-3000:],
    )


def test_sparkplug_births_come_when_a_host_asks_for_them(doors: Machine, tmp_path: Path) -> None:
    heard = tmp_path / "heard"
    doors.start("mosquitto_sub", "-h", "127.0.0.1", "-t", "spBv1.0/#", "-F", "%t", output=heard)
    (doors.tree / "opt/rebirth").write_bytes(rebirth())
    ask = ["mosquitto_pub", "-h", "127.0.0.1", "-t", "spBv1.0/inspectd/NCMD/line1", "-f", "/opt/rebirth"]

    def born() -> bool:
        doors.run(*ask)
        topics = set(heard.read_text().split())
        return {f"spBv1.0/inspectd/{kind}" for kind in ("NBIRTH/line1", "DBIRTH/line1/line1")} <= topics

    doors.wait_until(born, what="births", facts=heard.read_text)


def test_agent_goes_on_without_the_chip_of_its_lines(doors: Machine) -> None:
    assert status(doors, "line1")["outputs"]["tower"]["connected"] is False
    journal = doors.journal(unit("line1"))
    assert sum("/dev/gpiochip0" in line for line in journal.splitlines()) == 1, "one line for each start of the agent"
    assert "Traceback" not in journal
    assert doors.show(unit("line1"), "ActiveState") == {"ActiveState": "active"}


def test_doctor_names_each_thing_that_is_missing_in_one_line(doors: Machine) -> None:
    """Of the running agent the chip; of another one, of which nothing is set up, everything."""
    missing = [text for text in problems_of(doors, "line1") if "/dev/gpiochip0" in text]
    assert missing == ["output tower: /dev/gpiochip0 does not exist"]
    settings = DOORS.replace("line1", "bare").replace("opcua", "bare-opcua").replace("[bare-opcua]", "[opcua]")
    configure(doors, "bare")
    file = doors.tree / "etc/inspectd/bare.toml"
    file.write_text(file.read_text() + settings.replace("9000", "9001").replace("502", "503"))
    found = problems_of(doors, "bare")
    print("\n" + "\n".join(found))
    for wanted in (
        "bare-opcua.pem does not exist",
        "bare-opcua-trusted",
        "/dev/gpiochip0 does not exist",
        "the unit does not let the service open /dev/gpiochip0",
        "127.0.0.1:9001",
    ):
        assert len([text for text in found if wanted in text]) == 1, wanted
    file.unlink()


def problems_of(machine: Machine, name: str) -> list[str]:
    """What the doctor would have fixed: subject and text, each with a command."""
    output = machine.attempt("inspectd", "doctor", "--json", "--config", f"/etc/inspectd/{name}.toml")
    found = [each for each in json.loads(output) if each["level"] != "ok"]
    assert all(each["mend"] and "\n" not in each["text"] for each in found), output
    return [f"{each['subject']}: {each['text']}" for each in found]


@pytest.mark.parametrize("name", [unit("line1"), OPCUA])
def test_exposure_of_the_running_units_is_low(doors: Machine, name: str) -> None:
    """With every drop-in that is installed here."""
    text = doors.run("systemd-analyze", "security", "--no-pager", name)
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", text)
    assert found, text
    print(f"\n{name}: {found[1]}")
    assert float(found[1]) <= 1.5
