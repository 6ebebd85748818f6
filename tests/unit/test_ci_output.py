"""The end of what continuous integration prints names what failed, and why."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import failures

ROOT = Path(__file__).parents[2]
PASSES = "#!/bin/sh\necho 'all is well'\n"


TESTS = """
import os, pytest

def deep(number):
    assert number == 3, "the numbers differ"

def test_one():
    deep(2)

def test_two(no_such_fixture): ...

@pytest.fixture
def torn():
    yield
    raise OSError("x" * 5000)

def test_three(torn): ...

def test_four():
    os._exit(1)

def test_fine(): ...
"""
PLUGIN = """
import failures

def pytest_configure(config):
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(failures.Failures("range"))
"""


def test_each_failure_is_told_once_with_its_places_and_its_reason(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(PLUGIN, encoding="utf-8")
    (tmp_path / "test_some.py").write_text(TESTS, encoding="utf-8")
    (tmp_path / "test_unreadable.py").write_text("import no_such_module\n", encoding="utf-8")
    report = tmp_path / "report"
    report.touch()
    session = [sys.executable, "-m", "pytest", "-c", "/dev/null", f"--rootdir={tmp_path}", "-p", "xdist"]
    session += ["--numprocesses", "1", "--continue-on-collection-errors", str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "tests"), failures.VARIABLE: str(report)}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    subprocess.run(session, env=environment, cwd=tmp_path, capture_output=True, check=False, timeout=60)
    told = report.read_text(encoding="utf-8").splitlines()

    one = told.index("FAILED as range test_some.py::test_one")
    assert told[one + 1 : one + 3] == ["    test_some.py:8: ", "    test_some.py:5: AssertionError"]
    assert told[one + 3].endswith(" AssertionError: the numbers differ")
    two = told.index("FAILED as range test_some.py::test_two (setup)")
    assert any("no_such_fixture" in line for line in told[two + 1 : two + 10])
    three = told.index("FAILED as range test_some.py::test_three (teardown)")
    assert told[three + 1] == "    test_some.py:15: OSError"
    assert len(told[three + 2]) < 700
    four = told.index("FAILED as range test_some.py::test_four")
    assert "crashed" in told[four + 1]
    unreadable = told.index("FAILED as range test_unreadable.py (collection)")
    assert any("no_such_module" in line for line in told[unreadable + 1 :])
    assert sum(line.startswith("FAILED") for line in told) == 5


def _ci(directory: Path, **scripts: str) -> tuple[int, list[str]]:
    for name in ("lint", "test", "test-users"):
        path = directory / "script" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(scripts.get(name.replace("-", "_"), PASSES), encoding="utf-8")
        path.chmod(0o755)
    (directory / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", directory / ".ci")
    done = subprocess.run([directory / ".ci" / "run"], capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout.splitlines()


def test_failures_are_told_after_everything_else(tmp_path: Path) -> None:
    told = r'printf "FAILED some::test\n    E   assert 1 == 2\n" >> "$KIST_FAILURES"; seq 500; exit 1'
    code, lines = _ci(tmp_path, lint="#!/bin/sh\necho 'a.py:3: no such name'; exit 2\n", test=f"#!/bin/sh\n{told}\n")
    assert code == 1
    assert "500" in lines
    assert lines[-6:] == [
        "=== what failed in script/lint",
        "    a.py:3: no such name",
        "=== what failed in script/test",
        "FAILED some::test",
        "    E   assert 1 == 2",
        "=== failed: script/lint script/test",
    ]


def test_of_many_failures_the_names_come_last(tmp_path: Path) -> None:
    told = 'for i in $(seq 60); do echo "FAILED test $i"; echo "    why"; done >> "$KIST_FAILURES"; exit 1'
    code, lines = _ci(tmp_path, test=f"#!/bin/sh\n{told}\n")
    assert code == 1
    assert lines[-61:-1] == [f"FAILED test {i}" for i in range(1, 61)]


def test_when_all_passed_that_is_the_last_word(tmp_path: Path) -> None:
    code, lines = _ci(tmp_path)
    assert (code, lines[-1]) == (0, "=== all passed")
