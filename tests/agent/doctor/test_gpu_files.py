"""Device files by which a GPU is recognised. The files are made up."""

from __future__ import annotations

from pathlib import Path

from agent.doctor.gpu_files import GpuFile, find_gpu_files


def device_files(directory: Path, *names: str) -> Path:
    for name in names:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).touch()
        (directory / name).chmod(0o666)
    return directory


def found_in(directory: Path, drivers: Path) -> tuple[GpuFile, ...]:
    found = find_gpu_files(directory, drivers)
    assert found is not None
    return found.files


def test_jetson_is_recognised_by_its_memory_allocator(tmp_path: Path) -> None:
    """Devices for debuggers are not needed: JetPack gives them to a group of their own."""
    names = ("nvmap", "nvhost-gpu", "nvhost-dbg-gpu", "nvhost-prof-gpu", "nvgpu/igpu0/ctrl", "dri/renderD128")
    found = find_gpu_files(device_files(tmp_path, *names, "dri/card0"))
    assert found is not None
    assert found.drop_in == "jetson"
    paths = {file.path.removeprefix(f"{tmp_path}/") for file in found.files}
    assert paths == {"nvmap", "nvhost-gpu", "nvgpu/igpu0/ctrl", "dri/renderD128"}


def test_card_in_a_pc_is_recognised_by_the_files_of_its_driver(tmp_path: Path) -> None:
    """A render node alone belongs to a GPU that no engine uses."""
    assert find_gpu_files(device_files(tmp_path, "dri/renderD128")) is None
    found = find_gpu_files(device_files(tmp_path, "nvidiactl", "nvidia0", "nvidia-uvm", "nvidia-modeset"))
    assert found is not None
    assert found.drop_in == "nvidia"
    assert [Path(file.path).name for file in found.files] == ["nvidiactl", "nvidia0", "nvidia-uvm"]


def test_file_has_its_driver_and_its_group(tmp_path: Path) -> None:
    devices = device_files(tmp_path / "dev", "nvidiactl")
    (tmp_path / "devices").write_text("Character devices:\n  0 nvidia\n195 other\n\nBlock devices:\n  0 loop\n")
    (found,) = found_in(devices, tmp_path / "devices")
    assert (found.driver, found.group) == ("nvidia", None), "a plain file has the device number 0"
    (devices / "nvidiactl").chmod(0o660)
    assert found_in(devices, tmp_path / "devices")[0].group is not None
