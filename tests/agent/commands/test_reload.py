"""Settings that a running agent reads again, by command and by SIGHUP."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from engines.bundles.bundle import Bundle
from tests.support.agents import GOOD_PARTS, Starter, await_state, configure, inspectd, is_armed, socket_path, stop
from tests.support.broker import Mosquitto, Subscriber, wait_until


def test_reload_takes_over_what_can_change_and_names_the_rest(
    tmp_path: Path, tiny_bundle: Bundle, start: Starter, broker: Mosquitto
) -> None:
    """A broken file changes nothing."""
    config = configure(tmp_path, tiny_bundle, GOOD_PARTS, broker.url)
    whole = config.read_text()
    config.write_text(whole.replace("[mqtt]", "[mqtt]\nscores_per_second = 0\nallow_insecure_commands = true"))
    start()
    await_state(socket_path(tmp_path), is_armed)
    subscriber = Subscriber(broker, "inspectd/plant/line1/#")

    changed = whole.replace("[mqtt]", '[mqtt]\nscores_per_second = 20\ncommands = ["status"]')
    changed = changed.replace("[mqtt]", '[log]\nlevel = "debug"\n[review]\nsamples_per_shift = 0\n[mqtt]')
    config.write_text(changed.replace("[mqtt]", "[mqtt]\nallow_insecure_commands = true"))
    assert inspectd("reload", "--socket", socket_path(tmp_path)).stdout.splitlines() == [
        "in force: mqtt.scores_per_second, mqtt.commands, log.level",
        "needs a restart: review.samples_per_shift",
    ]
    wait_until(lambda: subscriber.on("/score"), what="scores, which were off before")

    def answered() -> bool:
        """Tried repeatedly, not too fast: the broker may not have the subscription yet."""
        subscriber.publish("inspectd/plant/line1/command/pause", b"")
        subscriber.publish("inspectd/plant/line1/command/status", b"")
        time.sleep(0.1)
        return bool(subscriber.on("/response/status"))

    wait_until(answered, what="a response")
    assert not subscriber.on("/response/pause"), "only the commands in the list are subscribed to"

    config.write_text(changed.replace("scores_per_second = 20", "scores_per_second = 99"))
    done = inspectd("reload", "--socket", socket_path(tmp_path))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "mqtt.scores_per_second = 99" in line
    await_state(socket_path(tmp_path), is_armed)


def test_hangup_reloads_the_settings_of_a_service(
    tmp_path: Path, tiny_bundle: Bundle, start: Starter, broker: Mosquitto
) -> None:
    """Broken settings are logged and change nothing; the next ones come into force."""
    config = configure(tmp_path, tiny_bundle, GOOD_PARTS, broker.url, mqtt="allow_insecure_commands = true")
    process = start()
    await_state(socket_path(tmp_path), is_armed)
    subscriber = Subscriber(broker, "inspectd/plant/line1/#")
    whole = config.read_text()
    config.write_text(whole.replace("[mqtt]", "[mqtt]\nscores_per_second = 99"))
    process.send_signal(signal.SIGHUP)
    assert process.stderr is not None
    assert next(line for line in process.stderr if "settings not read again: " in line)
    config.write_text(whole.replace("allow_insecure_commands = true", ""))
    process.send_signal(signal.SIGHUP)

    def commands_are_rejected() -> bool:
        subscriber.publish("inspectd/plant/line1/command/status", b"")
        return any(b'"ok":false' in message.payload for message in subscriber.on("/response/status"))

    wait_until(commands_are_rejected, what="commands over MQTT off again")
    code, log = stop(process)
    assert code == 0, log
    assert log.count("settings read again: in force: mqtt.allow_insecure_commands") == 1
    assert "Traceback" not in log
