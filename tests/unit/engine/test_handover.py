"""What option ``U`` of a mount refuses, and which ids on the disk it means."""

import pytest

from kist.engine.handover import _through, refuse
from kist.errors import InvalidInput
from kist.spec.runtime import IdMap

HOMES = frozenset({"/home/ada", "/var/lib/service"})
DATA = "/data/kist"


@pytest.mark.parametrize(
    ("path", "whose"),
    [
        ("/", "the system's"),
        ("/etc", "the system's"),
        ("/etc/ssl", "the system's"),
        ("/usr/share/doc", "the system's"),
        ("/lib64", "the system's"),
        ("/proc/1", "the system's"),
        ("/home", "the system's"),
        ("/var/lib", "the system's"),
        ("/tmp", "the system's"),
        ("/home/ada", "a user's home"),
        ("/var/lib/service", "a user's home"),
        ("/data/kist/blobs", "the engine's own"),
        ("/data/kist", "the engine's own"),
        ("/data", "the engine's own"),
    ],
)
def test_what_the_machine_lives_on_is_not_given_away(path: str, whose: str) -> None:
    with pytest.raises(InvalidInput, match=f"{path} is {whose}"):
        refuse(path, DATA, HOMES)


@pytest.mark.parametrize(
    "path", ["/home/ada/results", "/srv/data", "/var/lib/postgresql", "/data/kister", "/etcetera", "/tmp/x", "/opt/x"]
)
def test_a_directory_of_somebodys_is(path: str) -> None:
    refuse(path, DATA, HOMES)


OWN = (IdMap(0, 100000, 1000), IdMap(1000, 1000, 1), IdMap(1001, 101001, 64535))
# keep-id:uid=500 of a caller who is 1000: on binds 1000 is the caller's, whatever that is inside.
MOVED = (IdMap(0, 100000, 500), IdMap(500, 1000, 1), IdMap(501, 100501, 65035))
BINDS = (IdMap(0, 100000, 500), IdMap(501, 100501, 499), IdMap(1000, 1000, 1), IdMap(1001, 101001, 64535))


@pytest.mark.parametrize(
    ("number", "own", "binds", "found"),
    [
        (0, OWN, (), 0),
        (1000, OWN, (), 1000),
        (70000, OWN, (), -1),
        (500, MOVED, BINDS, 1000),
        (0, MOVED, BINDS, 0),
        (1000, MOVED, BINDS, -1),
        (1001, MOVED, BINDS, 1001),
    ],
)
def test_ids_on_a_mapped_mount(number: int, own: tuple[IdMap, ...], binds: tuple[IdMap, ...], found: int) -> None:
    assert _through(number, own, binds) == found
