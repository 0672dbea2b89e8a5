"""A Debian with a real systemd, booted in a container.

debootstrap builds the tree once, outside the repository; each machine gets an overlay over it. This needs root,
systemd-nspawn and debootstrap, and for the first build a network.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CACHE = Path(os.environ.get("INSPECTD_TEST_CACHE", Path.home() / ".cache" / "inspectd-tests"))
SUITE = "bookworm"
PACKAGES = "systemd,systemd-sysv,dbus,mosquitto,mosquitto-clients,python3,python3-venv,iproute2"

# Programs that this computer lacks to boot a container.
MISSING = [
    name
    for name in ("debootstrap", "systemd-nspawn", "nsenter")
    if shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin") is None
]

# IPAddressDeny= is a BPF program on a control group of version 2, and nspawn uses the version that it finds mounted: so
# only version 2 is. `exec` keeps the process id.
UNIFIED = [
    *("unshare", "--mount", "sh", "-c"),
    'umount -l /sys/fs/cgroup/* /sys/fs/cgroup 2>/dev/null; mount -t cgroup2 cgroup2 /sys/fs/cgroup; exec "$0" "$@"',
]

# nspawn's exit status after a reboot of the container: the caller is to start it again.
REBOOT = 133


def call(*command: str | Path, **options: Any) -> str:
    """Run a command to its end; returns its output. Fails the test with all of its output."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def base_tree() -> Path:
    """A tree with Debian, systemd, Mosquitto and Python, built by debootstrap if there is none yet."""
    tree = CACHE / f"{SUITE}-{_digest(PACKAGES)}"
    if not tree.exists():
        building = tree.with_suffix(".building")
        shutil.rmtree(building, ignore_errors=True)
        building.parent.mkdir(parents=True, exist_ok=True)
        call("debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, building)
        building.rename(tree)
    return tree


def inside(tree: Path, *command: str) -> str:
    """Run one command in a tree that is not booted, without a network; returns its output."""
    nspawn = [
        "systemd-nspawn",
        "--quiet",
        "--register=no",
        "--keep-unit",
        "--pipe",
        "--private-network",
        "-D",
        str(tree),
    ]
    return call(*nspawn, *command)


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]


class Overlay:
    """An overlay mount of several trees; new files go to `directory/upper`."""

    def __init__(self, lower: Sequence[Path], directory: Path) -> None:
        """`lower`: the trees, the bottom one last."""
        self._lower = lower
        self._directory = directory
        self.tree = directory / "tree"

    def __enter__(self) -> Path:
        for name in ("upper", "work", "tree"):
            (self._directory / name).mkdir(parents=True)
        lower = ":".join(map(str, self._lower))
        options = f"lowerdir={lower},upperdir={self._directory}/upper,workdir={self._directory}/work"
        call("mount", "-t", "overlay", "overlay", "-o", options, self.tree)
        return self.tree

    def __exit__(self, *_: object) -> None:
        call("umount", self.tree)
        shutil.rmtree(self._directory / "work")
        self.tree.rmdir()


class Machine:
    """A booted tree. Commands run in it as root."""

    def __init__(self, tree: Path, log: Path) -> None:
        self.tree = tree
        self._log = log
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._background: list[subprocess.Popen[bytes]] = []

    def boot(self) -> Machine:
        """Boot, and wait until systemd reports that the system is up."""
        command = [*UNIFIED, "systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", "--private-network"]
        command += ["--capability=CAP_BPF,CAP_PERFMON", "--system-call-filter=bpf"]
        with self._log.open("ab") as log:
            self._nspawn = subprocess.Popen(
                [*command, "--console=pipe", "-D", str(self.tree)], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.wait_until(lambda: self.attempt("systemctl", "is-system-running") in ("running", "degraded"), what="boot")
        return self

    def reboot(self) -> None:
        """Run `reboot` on the machine and boot it again, as its firmware would."""
        assert self._nspawn is not None
        self._end_background()
        self.attempt("systemctl", "--no-block", "reboot")
        assert self._nspawn.wait(60) == REBOOT, self._log.read_text(errors="replace")[-2000:]
        self.boot()

    def power_off(self) -> None:
        self._end_background()
        if self._nspawn is not None and self._nspawn.poll() is None:
            self.attempt("systemctl", "--no-block", "poweroff")
            try:
                self._nspawn.wait(60)
            except subprocess.TimeoutExpired:
                self._nspawn.kill()
                self._nspawn.wait()

    def run(self, *command: str, timeout: float = 120.0) -> str:
        """Run a command in the machine to its end; returns its output. Fails the test if the command fails."""
        return call(*self._enter(), *command, timeout=timeout).strip()

    def attempt(self, *command: str) -> str:
        """The output of a command in the machine, whatever its exit status; empty while it is down."""
        if not self._leader():
            return ""
        return subprocess.run([*self._enter(), *command], capture_output=True, text=True, check=False).stdout.strip()

    def start(self, *command: str, output: Path) -> None:
        """Run a command in the background until the machine goes down; append its output to a file."""
        with output.open("ab") as file:
            self._background.append(subprocess.Popen([*self._enter(), *command], stdout=file))

    def over_network(self, *command: str) -> str:
        """The output of a program of this computer that runs in the machine's network, whatever its exit status."""
        enter = ["nsenter", "--net", "--target", str(self._leader()), *command]
        return subprocess.run(enter, capture_output=True, text=True, check=False).stdout.strip()

    def serve(self, *command: str) -> None:
        """Run a program of this computer in the machine's network, in the background until the machine goes down."""
        enter = ["nsenter", "--net", "--target", str(self._leader()), *command]
        quiet = subprocess.DEVNULL
        self._background.append(subprocess.Popen(enter, stdout=quiet, stderr=quiet))

    def _end_background(self) -> None:
        """End the background commands: process 1 of the machine would wait for them before it shuts down."""
        for process in self._background:
            process.kill()
            process.wait()
        self._background.clear()

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file of the machine."""
        file = self.tree / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)

    def show(self, unit: str, *properties: str) -> dict[str, str]:
        """Properties of a unit, from `systemctl show`."""
        text = self.attempt("systemctl", "show", unit, *(f"--property={name}" for name in properties))
        return dict(line.split("=", 1) for line in text.splitlines())

    def journal(self, unit: str) -> str:
        return self.attempt("journalctl", "--no-pager", "--output=short-precise", "--unit", unit)

    @staticmethod
    def wait_until(
        condition: Callable[[], Any], *, seconds: float = 180.0, what: str, facts: Callable[[], str] = str
    ) -> None:
        """Check a condition until it is true; after `seconds` the test fails with the text that `facts` returns."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"{what}: not within {seconds:g} s\n{facts()}"
            time.sleep(0.1)

    def _enter(self) -> list[str]:
        return ["nsenter", "--all", "--target", str(self._leader())]

    def _leader(self) -> int | None:
        """Process id of the container's process 1 on this computer; None while it is down."""
        assert self._nspawn is not None
        if self._nspawn.poll() is not None:
            return None
        children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children").read_text().split()
        return int(children[0]) if children else None


@contextmanager
def booted(tree: Path, directory: Path) -> Iterator[Machine]:
    """A running machine, powered off at the end; its console is logged to `directory`."""
    machine = Machine(tree, directory / "console.log")
    try:
        yield machine.boot()
    finally:
        machine.power_off()
