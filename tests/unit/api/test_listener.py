import os
import socket
import stat
import tempfile
from pathlib import Path

import pytest

from kist.api.listener import UnixListener
from kist.api.places import UnixPath
from kist.api.runlock import RunLock
from kist.errors import Conflict, InvalidInput, KistError, Unavailable

SOMEBODY = 54321


def test_the_socket_has_its_name_only_once_it_is_published(tmp_path: Path):
    path = tmp_path / "s"
    with UnixListener(UnixPath(str(path))) as listener, listener.open(1)[0]:
        assert not path.exists()
        listener.publish()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
    assert not path.exists()
    assert os.listdir(tmp_path) == []


def test_nothing_is_left_of_a_socket_that_nobody_came_to_publish(tmp_path: Path):
    """As where another one of the engine's cannot be made."""
    with UnixListener(UnixPath(str(tmp_path / "s"))) as listener:
        listener.open(1)[0].close()
    assert os.listdir(tmp_path) == []


def test_a_dead_engines_socket_is_replaced(tmp_path: Path):
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with UnixListener(UnixPath(str(path))) as listener, listener.open(1)[0]:
        listener.publish()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


def test_a_socket_that_answers_is_left_alone(tmp_path: Path):
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        with pytest.raises(Conflict, match="somebody listens"):
            UnixListener(UnixPath(str(path))).open(1)
    assert path.exists()


def test_a_file_in_the_way_is_left_alone(tmp_path: Path):
    path = tmp_path / "s"
    path.write_text("precious")
    with pytest.raises(Conflict, match="no socket"):
        UnixListener(UnixPath(str(path))).open(1)
    assert path.read_text() == "precious"


def test_a_name_that_somebody_else_took_over_is_left_alone(tmp_path: Path):
    path = tmp_path / "s"
    with UnixListener(UnixPath(str(path))) as listener, listener.open(1)[0]:
        listener.publish()
        path.unlink()
        path.write_text("another's")
    assert path.read_text() == "another's"


def test_a_path_that_the_kernel_cannot_take_is_named(tmp_path: Path):
    with pytest.raises(InvalidInput, match="longer than 103 bytes"):
        UnixListener(UnixPath(str(tmp_path / ("x" * 100))))


def test_a_directory_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(Unavailable, match="No such file or directory") as caught:
        UnixListener(UnixPath(str(tmp_path / "no" / "s"))).open(1)
    assert caught.value.hint.startswith("its directory has to be there")


def refused(path: Path) -> KistError:
    with pytest.raises(KistError) as caught:
        UnixListener(UnixPath(str(path))).open(1)
    assert str(path) in str(caught.value)
    assert caught.value.hint
    return caught.value


def test_a_path_below_a_file_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("")
    assert "Not a directory" in str(refused(tmp_path / "file" / "s"))


def test_a_socket_of_another_kind_is_left_alone(tmp_path: Path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(str(tmp_path / "s"))
        assert "somebody listens" in str(refused(tmp_path / "s"))


def test_a_name_that_cannot_be_given_is_told(tmp_path: Path):
    path = tmp_path / "s"
    with UnixListener(UnixPath(str(path))) as listener, listener.open(1)[0]:
        path.mkdir()
        with pytest.raises(Unavailable, match="Is a directory") as caught:
            listener.publish()
        assert str(path) in str(caught.value)
    assert os.listdir(tmp_path) == ["s"]


@pytest.mark.root("is somebody else for a moment")
def test_what_this_user_may_not_do_there_is_told_with_a_way_out():
    with tempfile.TemporaryDirectory(prefix="kist-", dir="/tmp") as made, socket.socket(socket.AF_UNIX) as roots:
        place = Path(made)
        place.chmod(0o755)
        (place / "closed").mkdir(0o700)
        roots.bind(f"{made}/roots")
        roots.listen()
        (place / "roots").chmod(0o600)
        os.seteuid(SOMEBODY)
        try:
            said = [refused(place / name) for name in ("s", "closed/s", "roots")]
        finally:
            os.seteuid(0)
    assert ["Permission denied" in str(each) for each in said] == [True] * 3
    assert [f"user {SOMEBODY}" in each.hint for each in said] == [True] * 3


def test_one_engine_for_each_run_root(tmp_path: Path):
    root = str(tmp_path / "run")
    with RunLock(root) as lock:
        lock.tell_pid()
        assert stat.S_IMODE(os.stat(root).st_mode) == 0o700
        with pytest.raises(Conflict, match=f"already running for .*process {os.getpid()}"):
            RunLock(root).__enter__()
        with RunLock(str(tmp_path / "other")):
            pass
    with RunLock(root):
        assert not os.path.exists(root + "/engine.pid")


def test_a_run_root_that_cannot_be_made_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="run root"):
        RunLock(str(tmp_path / "file" / "run")).__enter__()
