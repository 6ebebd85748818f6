"""``kist doctor`` on this machine and on ones that lack something; its fixes, when they are followed, mend it."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import BUSYBOX, Cli, busybox_tar
from kist.doctor.codes import ABOUT
from ordinary import KIST, UID
from patient import NAME, Patient

pytestmark = pytest.mark.root("makes a machine with users of its own")

# These ask beyond the loopback device; test_reach asks servers of its own.
OUTSIDE = {"dns", "mirrors"}
HERE = tuple(code for code in ABOUT if code not in OUTSIDE)
QUIET = ("--network", "none")


@pytest.fixture
def patient(tmp_path: Path) -> Iterator[Patient]:
    with Patient(tmp_path) as made:
        yield made


def finding(text: str) -> dict[str, Any]:
    [found] = json.loads(text)
    assert isinstance(found, dict)
    return found


def environment(directory: Path, **more: str) -> dict[str, str]:
    roots = {"KIST_ROOT": str(directory / "data"), "KIST_RUN": str(directory / "run"), "NO_COLOR": "1"}
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **roots, **more}


def doctor(directory: Path, *words: str, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """The doctor, for roots in this directory, which need not be there."""
    return subprocess.run(
        [*before, *KIST, "doctor", *words],
        env=environment(directory),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# on this machine


def mounted(own: Path) -> Iterator[str]:
    """What is mounted, without what other tests have mounted in their directories."""
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        place = line.split()[4]
        if place.startswith(f"{own}/") or not place.startswith(f"{own.parent.parent}/"):
            yield line


def test_all_that_root_needs_is_here_and_looking_leaves_nothing(tmp_path: Path) -> None:
    before = set(mounted(tmp_path))
    done = doctor(tmp_path, "--json", *HERE)
    assert done.returncode == 0, done
    found = json.loads(done.stdout)
    assert [each["code"] for each in found] == list(HERE)
    assert {each["code"]: each["state"] for each in found} | dict.fromkeys(
        ("userns", "proc", "overlay", "seccomp", "bridge", "nftables", "data-root", "run-root"), "ok"
    ) == {each["code"]: each["state"] for each in found}
    assert not list(tmp_path.iterdir()), "nothing is made where nothing was"
    assert set(mounted(tmp_path)) == before


def test_a_finding_in_full_says_what_it_is_for(tmp_path: Path) -> None:
    out = doctor(tmp_path, "overlay").stdout
    assert out.startswith("ok       overlay        layers can be stacked on ")
    assert ABOUT["overlay"] in out


def test_an_unknown_code_is_told_with_the_nearest(tmp_path: Path) -> None:
    done = doctor(tmp_path, "overlays")
    assert done.returncode == 125
    assert "did you mean overlay?" in done.stderr


def test_a_machine_with_no_network_is_told_in_time(tmp_path: Path) -> None:
    done = doctor(tmp_path, "--json", *OUTSIDE, before=("unshare", "--net"))
    assert done.returncode == 0, done
    assert {each["code"]: each["state"] for each in json.loads(done.stdout)} == dict.fromkeys(OUTSIDE, "lacking")


def test_a_run_root_that_cannot_be_is_broken_and_the_error_names_the_code(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file")
    for words in (("ps",), ("doctor", "run-root", "engine")):
        told = subprocess.run(
            [*KIST, *words],
            env=environment(tmp_path, KIST_RUN=str(tmp_path / "run" / "below")),
            capture_output=True,
            text=True,
            check=False,
        )
        assert told.returncode == 1, told
        assert "`kist doctor run-root` tells more" in told.stderr or "run is no directory" in told.stdout, told


def test_a_data_root_that_overlay_cannot_name_is_broken(tmp_path: Path) -> None:
    done = doctor(tmp_path / "with:colon", "--json", "data-root")
    assert done.returncode == 1
    assert finding(done.stdout)["state"] == "broken"


# a file system that lacks something


def on(mount: str, directory: Path, *codes: str) -> list[dict[str, Any]]:
    """The findings where a file system of its own is mounted, for this command alone."""
    script = f'mount {mount} kist-doctor {directory} && shift 0 && exec "$@"'
    done = doctor(directory, "--json", *codes, before=("unshare", "--mount", "sh", "-c", script, "sh"))
    assert done.stdout, done
    found = json.loads(done.stdout)
    assert isinstance(found, list)
    return found


def test_files_without_attributes_are_found(tmp_path: Path) -> None:
    found = {each["code"]: each for each in on("-t ramfs", tmp_path, "overlay", "xattrs", "space", "inodes")}
    assert {code: each["state"] for code, each in found.items()} == {
        "overlay": "lacking",
        "xattrs": "lacking",
        "space": "ok",
        "inodes": "ok",
    }


def test_a_full_file_system_and_one_without_programs_are_found(tmp_path: Path) -> None:
    space, exec_ = sorted(
        on("-t tmpfs -o noexec,size=32m", tmp_path, "space", "exec"), key=lambda each: -len(each["code"])
    )
    assert (space["code"], space["state"]) == ("space", "lacking")
    assert (exec_["code"], exec_["fix"]) == ("exec", [f"mount -o remount,exec {tmp_path}"])


def test_settings_that_stop_an_engine_are_broken(tmp_path: Path) -> None:
    (tmp_path / "engine.toml").write_text("[logs]\n", encoding="utf-8")
    done = subprocess.run(
        [*KIST, "doctor", "settings", "engine"],
        env=environment(tmp_path, KIST_CONFIG=str(tmp_path / "engine.toml"), DOCKER_HOST="http://127.0.0.1:1"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, ""), done
    assert "there is no setting 'logs'" in done.stdout
    assert "cannot connect to the host 'http://127.0.0.1:1'" in done.stdout


def test_an_engine_on_another_machine_is_told(tmp_path: Path) -> None:
    done = subprocess.run(
        [*KIST, "doctor", "engine"],
        env=environment(tmp_path, DOCKER_HOST="tcp://127.0.0.1:1"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done
    assert "commands go to the engine at tcp://127.0.0.1:1" in done.stdout
    assert "kist -c default doctor" in done.stdout


# an engine that does not answer


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno", b"nonsense\r\n\r\n"])
def test_an_engine_that_does_not_answer_is_broken(tmp_path: Path, answer: bytes) -> None:
    (tmp_path / "run").mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "run" / "engine.sock"))
        listening.listen()

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        done = doctor(tmp_path, "--json", "engine")
        thread.join()
    assert done.returncode == 1, done
    assert finding(done.stdout)["state"] == "broken"
    assert finding(done.stdout)["fix"] == ["kist engine stop"]


def test_an_engine_that_runs_is_told_with_its_containers(cli: Cli) -> None:
    cli.good("ps")
    assert "it runs, with " in cli.good("doctor", "engine")


# an ordinary user, and fixes that are followed


def test_an_ordinary_user_is_told_of_ids_and_gets_them_by_the_fix(patient: Patient) -> None:
    if shutil.which("newuidmap") is None or shutil.which("usermod") is None:
        pytest.skip("needs newuidmap and usermod (Debian: uidmap, passwd)")
    archive = patient.directory / "busybox.tar"
    archive.write_bytes(busybox_tar())
    archive.chmod(0o644)
    before = Path("/etc/subuid").read_text(encoding="utf-8")
    assert patient.kist("import", str(archive), BUSYBOX).returncode == 0
    words = ("run", "--rm", "-u", "1000", *QUIET, BUSYBOX, "id", "-u")

    refused = patient.kist(*words)
    assert "`kist doctor subids` tells more" in refused.stderr
    info = patient.kist("info").stdout
    assert f"one id (/etc/subuid gives {NAME} no ids; see `kist doctor subids newuidmap owners`)" in info
    done = patient.kist("doctor", "--json", "subids")
    found = finding(done.stdout)
    assert (done.returncode, found["state"], found["as_root"]) == (0, "lacking", True)
    assert found["cost"]

    for command in found["fix"]:
        patient.follow(command)
    # The engine that runs began without them, and the doctor knows.
    after = json.loads(patient.kist("doctor", "--json", "subids", "newuidmap", "engine").stdout)
    assert [each["state"] for each in after] == ["ok", "ok", "lacking"]
    engine = after[-1]
    assert (engine["state"], engine["fix"]) == ("lacking", ["kist engine stop"])
    assert patient.kist("engine", "stop").returncode == 0
    ran = patient.kist(*words)
    assert (ran.returncode, ran.stdout) == (0, "1000\n"), ran
    assert "65537 ids" in patient.kist("info").stdout
    assert Path("/etc/subuid").read_text(encoding="utf-8") == before, "the machine's own file is another one"


def test_user_namespaces_that_are_forbidden_are_allowed_by_the_fix(patient: Patient) -> None:
    if shutil.which("sysctl") is None:
        pytest.skip("needs sysctl (Debian: procps)")
    limit = "/proc/sys/user/max_user_namespaces"
    here = Path(limit).read_text(encoding="ascii")
    patient.follow(f"echo 0 > {limit}")

    refused = patient.kist("ps")
    assert refused.returncode == 1
    assert "`kist doctor userns` tells more" in refused.stderr
    done = patient.kist("doctor", "--json", "userns", "overlay", "proc", "bridge")
    found, *others = json.loads(done.stdout)
    assert (done.returncode, found["state"]) == (1, "broken")
    assert len(others) == 3
    for blamed in others:
        assert (blamed["fix"], blamed["advice"]) == ([], "`kist doctor userns` tells more"), blamed

    for command in found["fix"]:
        patient.follow(command)
    done = patient.kist("doctor", "--json", "userns")
    assert (done.returncode, finding(done.stdout)["state"]) == (0, "ok")
    assert patient.kist("ps").returncode == 0
    assert Path(limit).read_text(encoding="ascii") == here, "the machine's own limit is another one"


def test_a_run_root_of_somebody_else_is_broken(patient: Patient) -> None:
    patient.follow(f"chown {UID + 1} {patient.directory}/run")
    refused = patient.kist("ps")
    assert "it belongs to another user" in refused.stderr
    assert "`kist doctor run-root` tells more" in refused.stderr
    done = patient.kist("doctor", "--json", "run-root")
    assert (done.returncode, finding(done.stdout)["state"]) == (1, "broken")
    patient.follow(f"chown {UID} {patient.directory}/run")
    assert patient.kist("doctor", "run-root").returncode == 0


def test_who_may_get_no_rights_gets_no_range(patient: Patient) -> None:
    if shutil.which("newuidmap") is None or shutil.which("setpriv") is None:
        pytest.skip("needs newuidmap and setpriv (Debian: uidmap, util-linux)")
    patient.follow(f"echo {NAME}:1600000000:65536 | tee -a /etc/subuid >> /etc/subgid")
    locked = ("setpriv", "--no-new-privs", *KIST)
    found = finding(patient.run("user", *locked, "doctor", "--json", "newuidmap").stdout)
    assert (found["state"], "no_new_privs" in found["found"]) == ("lacking", True), found
    assert "one id (newuidmap does not work; " in patient.run("user", *locked, "info").stdout


def test_a_wrong_file_system_is_told_to_an_ordinary_user_too(patient: Patient) -> None:
    found = json.loads(patient.kist("doctor", "--json", *HERE).stdout)
    states = {each["code"]: each["state"] for each in found}
    assert states["userns"] == states["overlay"] == states["proc"] == states["data-root"] == "ok", found
    assert not list(patient.home.iterdir()), "looking leaves nothing"
