"""Devices by their vendors' specifications: found, merged, requested by what they can do, refused by name."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from kist.engine import cdi
from kist.errors import InvalidInput, NotFound, Unsupported
from kist.spec.cdi import Hook
from kist.spec.container import ContainerOptions
from kist.spec.devices import Device, DeviceRequest
from kist.spec.mount import Mount

GPU: dict[str, Any] = {
    "cdiVersion": "0.6.0",
    "kind": "nvidia.com/gpu",
    "containerEdits": {
        "env": ["NVIDIA_VISIBLE_DEVICES=void"],
        "mounts": [{"hostPath": "/lib/libcuda.so", "containerPath": "/lib/libcuda.so", "options": ["ro", "rbind"]}],
        "additionalGids": [44],
    },
    "devices": [
        {"name": name, "containerEdits": {"deviceNodes": [{"path": f"/dev/nv{name}", "hostPath": "/dev/null"}]}}
        for name in ("0", "1")
    ] + [{"name": "all", "containerEdits": {"deviceNodes": [{"path": "/dev/nvall", "hostPath": "/dev/zero"}]}}],
}  # fmt: skip


@pytest.fixture
def directories(tmp_path: Path) -> list[str]:
    first, second = tmp_path / "etc", tmp_path / "run"
    first.mkdir()
    second.mkdir()
    (first / "nvidia.yaml").write_text(yaml.safe_dump(GPU), encoding="utf-8")
    (first / "README").write_text("no specification", encoding="utf-8")
    fuse = {
        "cdiVersion": "0.5.0",
        "kind": "example.org/fuse",
        "devices": [{"name": "x", "containerEdits": {"env": ["A=1"]}}],
    }
    (first / "fuse.json").write_text(json.dumps(fuse), encoding="utf-8")
    fuse["devices"] = [{"name": "x", "containerEdits": {"env": ["A=2"], "hooks": None}}]
    (second / "fuse.json").write_text(json.dumps(fuse), encoding="utf-8")
    return [str(first), str(second), str(tmp_path / "missing")]


def asked(*names: str, requests: tuple[DeviceRequest, ...] = ()) -> ContainerOptions:
    return ContainerOptions(image="x", devices=tuple(map(Device, names)), device_requests=requests)


def paths(options: ContainerOptions, directories: list[str]) -> list[str]:
    return [node.path for node in cdi.wanted(options, directories).device_nodes]


def test_a_device_and_what_all_of_its_kind_need(directories: list[str]) -> None:
    edits = cdi.wanted(asked("nvidia.com/gpu=0", "nvidia.com/gpu=1", "/dev/null"), directories)
    assert [node.path for node in edits.device_nodes] == ["/dev/nv0", "/dev/nv1"]
    assert edits.env == ("NVIDIA_VISIBLE_DEVICES=void",)
    assert edits.additional_gids == (44,)
    assert cdi.mounts(edits) == (Mount("bind", "/lib/libcuda.so", "/lib/libcuda.so", ("ro",)),)
    made, rules = cdi.nodes(edits)
    assert [(node.path, node.type, node.major, node.minor) for node in made] == [
        ("/dev/nv0", "c", 1, 3), ("/dev/nv1", "c", 1, 3),
    ]  # fmt: skip
    assert {rule.access for rule in rules} == {"rwm"}


def test_the_later_directory_counts(directories: list[str]) -> None:
    assert cdi.wanted(asked("example.org/fuse=x"), directories).env == ("A=2",)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (DeviceRequest(count=-1, capabilities=(("gpu",),)), ["/dev/nvall"]),
        (DeviceRequest(count=1, capabilities=(("gpu",),)), ["/dev/nv0"]),
        (DeviceRequest(ids=("1",), capabilities=(("gpu",),)), ["/dev/nv1"]),
        (DeviceRequest("nvidia", 2, capabilities=(("gpu", "compute"),)), ["/dev/nv0", "/dev/nv1"]),
        (DeviceRequest("cdi", ids=("nvidia.com/gpu=1",)), ["/dev/nv1"]),
    ],
)
def test_a_request_by_what_devices_can_do(request_: DeviceRequest, expected: list[str], directories: list[str]) -> None:
    assert paths(asked(requests=(request_,)), directories) == expected


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        (asked("nvidia.com/gpu=7"), NotFound, "unresolvable CDI devices nvidia.com/gpu=7"),
        (asked("amd.com/gpu=0"), NotFound, "unresolvable"),
        (asked("gpu=0"), InvalidInput, "invalid CDI device name 'gpu=0'"),
        (asked(requests=(DeviceRequest(count=3, capabilities=(("gpu",),)),)), NotFound, "this machine has 2"),
        (asked(requests=(DeviceRequest("amd", 1, capabilities=(("gpu",),)),)), InvalidInput, 'device driver "amd"'),
        (
            asked(requests=(DeviceRequest(count=1, capabilities=(("tpu",),)),)),
            InvalidInput,
            r"capabilities: \[\[tpu\]\]",
        ),
    ],
)
def test_what_is_not_there(
    options: ContainerOptions, error: type[Exception], words: str, directories: list[str]
) -> None:
    with pytest.raises(error, match=words):
        cdi.wanted(options, directories)


def test_without_a_specification_the_error_tells_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="could not select device driver") as caught:
        cdi.wanted(asked(requests=(DeviceRequest(count=-1, capabilities=(("gpu",),)),)), [str(tmp_path)])
    assert "nvidia-ctk" in caught.value.hint


@pytest.mark.parametrize("text", ["{", "[]", "kind: x\n", "cdiVersion: 1\nkind: a.b/c\ndevices: {}\n"])
def test_a_broken_specification_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"broken\.yaml"):
        cdi.wanted(asked("a.b/c=d"), [str(tmp_path)])


def test_what_cannot_be_read_describes_none(directories: list[str], tmp_path: Path) -> None:
    """``info`` has a list of all devices, and everybody asks for it."""
    (tmp_path / "etc" / "gone.json").symlink_to(tmp_path / "nowhere")
    (tmp_path / "etc" / "broken.json").write_text("{", encoding="utf-8")
    assert "nvidia.com/gpu=0" in cdi.discovered(directories)


def test_hooks_are_an_outside_runtimes(directories: list[str]) -> None:
    edits = cdi.wanted(asked("nvidia.com/gpu=0"), directories)
    cdi.refuse_hooks(edits)
    with pytest.raises(Unsupported, match="createContainer: /usr/bin/hook"):
        cdi.refuse_hooks(type(edits)(hooks=(Hook("createContainer", "/usr/bin/hook"),)))
