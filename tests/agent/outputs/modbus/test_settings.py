"""Settings that would open the server to everybody, or address two cameras by one unit id, are rejected."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agent.core.errors import Permanent
from agent.outputs.settings import parse_section
from agent.settings.load import load_settings
from engines.bundles.bundle import Bundle
from tests.support.agent_settings import settings_text


def section(**values: Any) -> Any:
    return parse_section({"kind": "modbus", **values})


def test_defaults_listen_on_this_machine_only() -> None:
    settings = section()
    assert settings.listens() == [("127.0.0.1", 5020)]
    assert settings.clients() == ["127.0.0.0/8", "::1/128"]


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({"listen": "0.0.0.0"}, "which other machines can reach; wanted allow with the addresses"),
        ({"allow": []}, "allow is empty; wanted the addresses"),
        ({"allow": ["plc.plant"]}, "wanted an IP address or a network"),
        ({"allow": ["192.0.2.10/24"]}, "wanted an IP address or a network"),
        ({"listen": "localhost"}, "wanted an IP address of this machine"),
        ({"units": {"a": 1, "b": 1}}, "got one unit id for two cameras"),
        ({"units": {"a": 0}}, "greater than or equal to 1"),
        ({"units": {"a": 248}}, "less than or equal to 247"),
        ({"port": 0}, "greater than or equal to 1"),
        ({"max_clients": 0}, "greater than or equal to 1"),
    ],
)
def test_mistakes_are_rejected(values: dict[str, Any], wanted: str) -> None:
    with pytest.raises(ValueError, match=wanted):
        section(**values)


def test_unknown_camera_in_units_is_one_line(tmp_path: Path, tiny_bundle: Bundle) -> None:
    config = tmp_path / "inspectd.toml"
    plc = '[outputs.plc]\nkind = "modbus"\nunits = { line2 = 1 }'
    config.write_text(settings_text(tiny_bundle.path, 'kind = "simulator"', sections=plc))
    with pytest.raises(Permanent, match=r"outputs\.plc: units: unknown camera line2; wanted one of line1") as caught:
        load_settings(config)
    assert "\n" not in str(caught.value)


def test_a_product_that_no_camera_has_is_one_line(tmp_path: Path, tiny_bundle: Bundle) -> None:
    config = tmp_path / "inspectd.toml"
    plc = '[outputs.plc]\nkind = "modbus"\nproducts = { 1 = "A", 2 = "C" }'
    text = settings_text(tiny_bundle.path, 'kind = "simulator"', sections=plc)
    config.write_text(text)
    with pytest.raises(Permanent, match="products: 1 = 'A', which no camera has; wanted none: no camera has products"):
        load_settings(config)
    config.write_text(f'{text}[cameras.line1.products.A]\nbundle = "{tiny_bundle.path}"\n')
    with pytest.raises(Permanent, match=r"outputs\.plc: products: 2 = 'C', which no camera has; wanted one of A"):
        load_settings(config)


def test_more_cameras_than_unit_ids_are_rejected() -> None:
    with pytest.raises(Permanent, match="got 248 cameras for one Modbus server, wanted at most 247"):
        section().check_cameras("plant", {f"c{number}": SimpleNamespace(products=()) for number in range(248)})
