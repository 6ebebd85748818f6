"""``kist spec``: bundles that an OCI runtime runs as they are."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness import BUSYBOX, Cli

RUNC = shutil.which("runc", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin")
needs_runc = pytest.mark.skipif(RUNC is None, reason="needs runc (Debian: runc)")


def config(cli: Cli, *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(cli.good("spec", "--config-only", *arguments))
    return found


def run_bundle(bundle: Path) -> subprocess.CompletedProcess[str]:
    name = f"kist-test-{os.getpid()}"
    command = [str(RUNC), "--root", str(bundle.parent / "runc"), "run", "--bundle", str(bundle), name]
    return subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=60)


@needs_runc
@pytest.mark.root("a bundle is for root's runc")
def test_runc_runs_a_bundle_as_it_is(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").write_text("of the host\n", encoding="utf-8")
    bundle = tmp_path / "bundle"
    script = "id -u; echo $HOME $A; hostname; cat /data/file; touch /data/x; grep Seccomp: /proc/self/status; exit 7"
    said = cli.good(
        "spec", "--bundle", str(bundle), "-u", "user", "-e", "A=b", "--name", "one", "-m", "64m",
        "-v", f"{tmp_path / 'data'}:/data:ro", BUSYBOX, "sh", "-c", script,
    )  # fmt: skip
    assert said == ""
    assert sorted(os.listdir(bundle)) == ["config.json", "rootfs"]
    done = run_bundle(bundle)
    assert (done.returncode, done.stdout.splitlines()) == (
        7, ["1000", "/home b", "one", "of the host", "Seccomp:\t2"],
    ), done.stderr  # fmt: skip
    assert "Read-only file system" in done.stderr


@needs_runc
@pytest.mark.root("a bundle is for root's runc")
def test_a_read_only_root_of_the_hosts_files(cli: Cli, tmp_path: Path) -> None:
    cli.good("spec", "-b", str(tmp_path / "first"), BUSYBOX)
    root, bundle = tmp_path / "first" / "rootfs", tmp_path / "second"
    cli.good("spec", "-b", str(bundle), "--read-only", "--rootfs", str(root), "touch", "/x")
    assert os.listdir(bundle) == ["config.json"]
    done = run_bundle(bundle)
    assert (done.returncode, "Read-only file system" in done.stderr) == (1, True)


def test_the_files_are_the_images(cli: Cli, tmp_path: Path) -> None:
    cli.good("spec", "-b", str(tmp_path / "bundle"), BUSYBOX, "true")
    root = tmp_path / "bundle" / "rootfs"
    assert "root:x:0:0" in (root / "etc" / "passwd").read_text(encoding="utf-8")
    assert (root / "tmp").stat().st_mode & 0o7777 == 0o1777
    assert (root / "bin" / "busybox").stat().st_nlink > 1


def test_what_is_written_is_what_is_printed(cli: Cli, tmp_path: Path) -> None:
    cli.good("spec", "-b", str(tmp_path), "--hostname", "here", BUSYBOX, "true")
    written = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert written == config(cli, "--hostname", "here", BUSYBOX, "true")
    assert (written["hostname"], written["process"]["args"]) == ("here", ["true"])
    assert "cgroupsPath" not in written["linux"]


def test_options_go_where_they_belong(cli: Cli) -> None:
    written = config(
        cli, "--cap-drop", "ALL", "--security-opt", "seccomp=unconfined", "--network", "host", "--annotation", "a=b",
        "--cgroup-parent", "above", "--name", "one", "-t", BUSYBOX, "true",
    )  # fmt: skip
    assert written["process"]["capabilities"] == {"bounding": [], "effective": [], "permitted": []}
    assert written["process"]["terminal"] is True
    assert "seccomp" not in written["linux"]
    assert {"type": "network"} not in written["linux"]["namespaces"]
    assert written["annotations"] == {"a": "b"}
    assert written["linux"]["cgroupsPath"] == "/above/one"
    assert any(mount["destination"] == "/etc/resolv.conf" for mount in written["mounts"])


def test_nothing_is_overwritten_and_nothing_is_left(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("mine", encoding="utf-8")
    done = cli("spec", "-b", str(tmp_path), BUSYBOX, "true")
    assert done.returncode == 125
    assert f"{tmp_path}/config.json is there already" in done.stderr
    assert os.listdir(tmp_path) == ["config.json"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nosuch:image"], 125, "Unable to find image 'nosuch:image' locally"),
        (["-u", "nobody-here", BUSYBOX], 125, "unable to find user nobody-here"),
        (["-v", "/nameless", BUSYBOX], 125, "a bundle has no volumes of its own"),
    ],
)
def test_what_is_wrong_is_told(cli: Cli, tmp_path: Path, arguments: list[str], code: int, said: str) -> None:
    done = cli("spec", "-b", str(tmp_path / "bundle"), *arguments)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert not (tmp_path / "bundle").exists()


def test_an_engine_on_another_machine_writes_no_bundle_there(cli: Cli) -> None:
    done = cli("-H", "tcp://127.0.0.1:1", "spec", BUSYBOX)
    assert done.returncode == 125
    assert "on another machine" in done.stderr
    assert "--config-only" in done.stderr
