"""A device that a vendor's specification describes, in a real container."""

import json
from pathlib import Path

import pytest

import needs
from kist.engine import Engine, cdi
from kist.errors import InvalidInput
from kist.spec.container import ContainerOptions
from kist.spec.devices import Device, DeviceRequest


@pytest.fixture
def described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = tmp_path / "library"
    library.write_text("of the driver\n", encoding="ascii")
    edits = {
        "env": ["VENDOR=1"],
        "deviceNodes": [{"path": "/dev/accelerator", "hostPath": "/dev/zero"}],
        "mounts": [{"hostPath": str(library), "containerPath": "/lib/driver", "options": ["ro", "bind"]}],
        "additionalGids": [1234],
    }
    device = {"name": "0", "containerEdits": edits}
    (tmp_path / "cdi").mkdir()
    text = json.dumps({"cdiVersion": "0.6.0", "kind": "vendor.org/gpu", "devices": [device]})
    (tmp_path / "cdi" / "vendor.json").write_text(text, encoding="ascii")
    monkeypatch.setattr(cdi, "DIRECTORIES", (str(tmp_path / "cdi"),))


@needs.IN_PROCESS
@pytest.mark.usefixtures("described")
@pytest.mark.parametrize(
    "asked",
    [
        {"devices": (Device("vendor.org/gpu=0"),)},
        {"device_requests": (DeviceRequest(count=-1, capabilities=(("gpu",),)),)},
    ],
)
def test_a_described_device(engine: Engine, busybox: str, asked: dict[str, object]):
    script = "echo $VENDOR; cat /lib/driver; head -c 4 /dev/accelerator | wc -c; id -G"
    options = ContainerOptions(image=busybox, network="none", **asked)  # type: ignore[arg-type]
    printed = engine.run(busybox, ["sh", "-c", script], options=options).stdout.splitlines()
    assert printed[:3] == ["1", "of the driver", "4"]
    assert "1234" in printed[3].split()
    assert engine.info().devices == ("vendor.org/gpu=0",)


@needs.IN_PROCESS
def test_a_machine_without_a_description(engine: Engine, busybox: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cdi, "DIRECTORIES", (str(tmp_path),))
    request = DeviceRequest(count=-1, capabilities=(("gpu",),))
    (tmp_path / "broken.json").write_text("{", encoding="ascii")
    assert engine.info().devices == ()
    (tmp_path / "broken.json").unlink()
    made = engine.create(ContainerOptions(image=busybox, command=("true",), device_requests=(request,)))
    try:
        with pytest.raises(InvalidInput, match="could not select device driver"):
            engine.start(made)
    finally:
        engine.remove(made)
