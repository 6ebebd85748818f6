"""The grammar of ``-v`` and of the API's mounts of volumes."""

import pytest

from kist.errors import InvalidInput, Unsupported
from kist.spec.docker.mounts import read_mounts, write_mount_points, write_mounts
from kist.spec.mount import Mount, parse_volume


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("/data", Mount("volume", "", "/data")),
        ("store:/data", Mount("volume", "store", "/data")),
        ("store:/data/:ro", Mount("volume", "store", "/data", ("ro",))),
        ("store:/data:rw,nocopy,z", Mount("volume", "store", "/data", ("rw", "nocopy", "z"))),
        ("store:/data:U,Z,cached", Mount("volume", "store", "/data", ("U", "Z", "cached"))),
        ("/src:/data:ro,rshared,delegated", Mount("bind", "/src", "/data", ("ro", "rshared", "delegated"))),
        *((f"/src:/data:{word}", Mount("bind", "/src", "/data", (word,)))
          for word in ("shared", "rshared", "slave", "rslave", "private", "rprivate", "consistent")),
    ],
)  # fmt: skip
def test_what_v_says(text: str, wanted: Mount) -> None:
    assert parse_volume(text) == wanted


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("store:/data:rx", "unknown option 'rx'"),
        ("store:/data:", "invalid volume specification"),
        ("store:data", "must be an absolute path"),
        ("store:/", "cannot be '/'"),
        ("a:b:c:d", "invalid volume specification"),
        ("store:/data:ro,rw", "ro and rw go not together"),
        ("/src:/data:shared,rslave", "shared and rslave go not together"),
        ("store:/data:z,Z", "z and Z go not together"),
        ("store:/data:ro,ro", "ro and ro go not together"),
        ("store:/data:cached,delegated", "go not together"),
        ("/src:/data:nocopy", "nocopy is for volumes"),
        ("store:/data:rslave", "rslave is for host directories"),
    ],
)
def test_what_v_cannot_say(text: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as caught:
        parse_volume(text)
    assert caught.value.hint or "absolute" in said or "'/'" in said


FULL = {
    "Type": "volume",
    "Source": "store",
    "Target": "/data",
    "ReadOnly": True,
    "VolumeOptions": {
        "NoCopy": True,
        "Labels": {"project": "a=b"},
        "DriverConfig": {"Name": "local", "Options": {"type": "tmpfs", "o": "size=1m,mode=0700"}},
        "Subpath": "a/./b/",
    },
}


def test_a_mount_of_a_volume_with_all_its_words() -> None:
    (mount,) = read_mounts({"Mounts": [FULL]}, ())
    assert mount.read_only
    assert mount.option("subpath") == "a/b"
    assert mount.pairs("volume-label") == {"project": "a=b"}
    assert mount.pairs("volume-opt") == {"type": "tmpfs", "o": "size=1m,mode=0700"}
    written = write_mounts((mount,))
    assert read_mounts(written, ()) == (mount,)
    assert written["Mounts"][0]["VolumeOptions"] == {**FULL["VolumeOptions"], "Subpath": "a/b"}  # type: ignore[dict-item]
    assert write_mount_points((mount,), "/v")[0]["Mode"] == "ro,nocopy"


@pytest.mark.parametrize(
    ("entry", "error", "said"),
    [
        ({"VolumeOptions": {"Subpath": "../x"}, "Source": "store"}, InvalidInput, "invalid subpath '../x'"),
        ({"VolumeOptions": {"Subpath": "a/../../x"}, "Source": "store"}, InvalidInput, "invalid subpath"),
        ({"VolumeOptions": {"Subpath": "/x"}, "Source": "store"}, InvalidInput, "invalid subpath '/x'"),
        ({"VolumeOptions": {"Subpath": "x"}}, InvalidInput, "must not set Subpath when using anonymous volumes"),
        ({"VolumeOptions": {"DriverConfig": {"Name": "nfs"}}}, Unsupported, "volume driver 'nfs'"),
        ({"VolumeOptions": {"Novel": 1}}, Unsupported, "Novel"),
        ({"BindOptions": {"Propagation": "shared"}}, InvalidInput, "field BindOptions must not be specified"),
        ({"TmpfsOptions": {"SizeBytes": 1}}, InvalidInput, "field TmpfsOptions must not be specified"),
        ({"Type": "bind", "Source": "/a", "VolumeOptions": {"NoCopy": True}}, InvalidInput, "field VolumeOptions must"),
        ({"Type": "tmpfs", "VolumeOptions": {"NoCopy": True}}, InvalidInput, "field VolumeOptions must"),
    ],
)
def test_mounts_that_are_refused(entry: dict[str, object], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        read_mounts({"Mounts": [{"Type": "volume", "Target": "/data", **entry}]}, ())


def test_what_go_writes_when_nobody_set_it_is_no_option() -> None:
    entry = {"Type": "volume", "Target": "/d", "BindOptions": {"Propagation": ""}, "VolumeOptions": {"Labels": None}}
    assert read_mounts({"Mounts": [entry]}, ()) == (Mount("volume", "", "/d"),)
