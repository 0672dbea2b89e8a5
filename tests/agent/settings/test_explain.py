"""A mistake in the settings is one line with the key, the value and what was wanted."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.core.errors import Permanent
from agent.settings.load import load_settings


@pytest.mark.parametrize(
    ("override", "wanted"),
    [
        ("sight=plant", "sight: unknown setting; did you mean site?"),
        ("mqtt.hots=x", "mqtt.hots: unknown setting"),
        ("cameras.line1.bundel=x", "cameras.line1.bundel: unknown setting; did you mean bundle?"),
        ("cameras.line1.source.seeed=1", "cameras.line1.source.seeed: unknown setting; did you mean seed?"),
        (
            "cameras.line1.alarm.rule=5 of 3",
            'cameras.line1.alarm.rule = "5 of 3": alarm rule: got 5 of 3, wanted k of n',
        ),
        ("max_outbox_size=-1", 'max_outbox_size = -1: wanted a size, such as "512 MiB"'),
        ("max_outbox_size=9 ZB", 'max_outbox_size = "9 ZB": wanted a size, such as "512 MiB"'),
        ("cameras.line1.alarm.rule=often", "wanted 'k of n' such as '3 of 5'"),
        ("cameras.line1.calibration.false_alarms=few", 'cameras.line1.calibration.false_alarms = "few"'),
        (
            "cameras.line1.calibration.frames=3",
            "cameras.line1.calibration.frames = 3: input should be greater than or equal to 50",
        ),
        ("cameras.line1.calibration.max_frames=60", "max_frames is 60, wanted at least frames, which is 300"),
        ("cameras.line1.source.kind=webcam", "source.kind = \"webcam\": wanted one of 'simulator', 'folder', 'video'"),
        ("cameras.line1.source=5", "cameras.line1.source = 5: wanted a section, [cameras.line1.source]"),
        ("cameras.line1.engine=quantum", "'auto', 'onnxruntime', 'openvino', 'tensorrt' or 'torch'"),
        ("site=a/b", 'site = "a/b": wanted up to 64 letters'),
        ("mqtt.url=http://x", "mqtt.url"),
        ("mqtt.url=mqtt://user:secret@broker", "mqtt.url"),
        ("max_outbox_size=much", "max_outbox_size"),
        ("site", "--set site: wanted KEY=VALUE"),
        ("mqtt.topic_template={area}/{site}", "asks for 'area', not among the levels"),
        ("mqtt.topic_template={site", "topic template: got '{site'"),
        ("mqtt.topic_levels={area = 'a'}", "topic level area: no template asks for it"),
        ("mqtt.prefix=a//b", "topic template: got an empty name"),
        ("mqtt.camera_topic_template=inspectd/{site}/cameras", "wanted {camera} in it once"),
        ("cameras.status={bundle='b', source={kind='simulator'}}", "camera: got 'status', wanted a name other than"),
    ],
)
def test_load_with_a_mistake_is_one_line(config: Path, override: str, wanted: str) -> None:
    with pytest.raises(Permanent) as caught:
        load_settings(config, [override])
    assert wanted in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("overrides", "wanted"),
    [
        (["mqtt.prefix=acme", "mqtt.topic_template=a/{site}"], 'got prefix = "acme" and topic_template'),
        (["mqtt.home_assistant=true", "mqtt.home_assistant_prefix=#"], "Home Assistant's prefix: got '#'"),
        (["site=line1", "mqtt.camera_topic_template=inspectd/{camera}"], "camera line1 would be at inspectd/line1"),
    ],
)
def test_load_with_an_impossible_topic_tree_is_one_line(config: Path, overrides: list[str], wanted: str) -> None:
    with pytest.raises(Permanent) as caught:
        load_settings(config, overrides)
    assert wanted in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "example"),
    [
        ("localhost:1883", "mqtt://localhost:1883"),
        ("10.0.0.7", "mqtt://10.0.0.7"),
        ("tcp://broker:1883", "mqtt://192.0.2.10:1883"),
        ("mqtt://broker/inspectd", "mqtt://192.0.2.10:1883"),
        ("", "mqtt://192.0.2.10:1883"),
    ],
)
def test_address_of_a_broker_in_another_form_is_a_sentence(config: Path, url: str, example: str) -> None:
    with pytest.raises(Permanent) as caught:
        load_settings(config, [f"mqtt.url={url}"])
    wanted = f'mqtt.url = "{url}": wanted mqtt://host:port, or mqtts:// for TLS, such as {example}'
    assert wanted in str(caught.value)


SECRET = "Vxq7-secret-91"


@pytest.mark.parametrize(
    ("override", "wanted"),
    [
        (
            f"mqtt.url=mqtt://line:{SECRET}@broker:1",
            'mqtt.url = "mqtt://***@broker:1": wanted an address without a login',
        ),
        (f"mqtt.url=line:{SECRET}@broker:1", 'mqtt.url = "***@broker:1": wanted an address without a login'),
        (f"mqtt=mqtt://line:{SECRET}@broker:1", 'mqtt = "mqtt://***@broker:1": wanted a section'),
        (f"mqtt.password={SECRET}", "mqtt.password: unknown setting"),
        (f"cameras.line1.source=rtsp://admin:{SECRET}@camera/1", 'cameras.line1.source = "rtsp://***@camera/1"'),
        (f"cameras.line1.source.kind=rtsp://admin:{SECRET}@camera/1", 'kind = "rtsp://***@camera/1": wanted one of'),
        (f"cameras.line1.source={{kind='camera', url='rtsp://admin:{SECRET}@camera/1', device=0}}", "wanted either"),
        (f"cameras=[{{url='rtsp://admin:{SECRET}@camera/1'}}]", "cameras = [{…}]"),
        (f"trusted_keys.a.b=rtsp://admin:{SECRET}@camera/1", "trusted_keys"),
        (f"cameras.'rtsp://admin:{SECRET}@camera/1'={{}}", "***@camera/1"),
        (f"mqtt.url mqtt://line:{SECRET}@broker:1", "wanted KEY=VALUE"),
    ],
)
def test_mistake_in_a_url_names_the_key_and_hides_the_password(config: Path, override: str, wanted: str) -> None:
    with pytest.raises(Permanent) as caught:
        load_settings(config, [override])
    assert wanted in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "key",
    [
        "cameras.line1.alarm.rule",
        "cameras.line1.calibration.false_alarms",
        "cameras.line1.calibration.shift",
        "mqtt.url",
        "mqtt.camera_topic_template",
        "outputs.plc.kind",
    ],
)
def test_endless_value_is_cut_in_a_message_that_repeats_it(config: Path, key: str) -> None:
    with pytest.raises(Permanent) as caught:
        load_settings(config, [f"{key}={'x' * 100_000}"])
    assert all(len(line) < 1500 for line in str(caught.value).splitlines())
    assert "wanted" in str(caught.value)


@pytest.mark.parametrize("value", ["[]", "{}", "[1]", "7", "true"])
def test_kind_of_an_output_that_is_no_text_is_one_line(config: Path, value: str) -> None:
    with pytest.raises(Permanent, match="wanted one of gpio, modbus, mqtt, s3, sparkplug, webhook") as caught:
        load_settings(config, [f"outputs.plc.kind={value}"])
    assert "\n" not in str(caught.value)
