"""A snapshot that began as a copy: layers unpacked over it, and what it has changed, are as with overlayfs."""

import io
import os
import subprocess
import tarfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kist.errors import Corrupt, KistError
from kist.image.comparison import differences
from kist.image.diff import diff, is_unchanged
from kist.image.filling import filling_of
from kist.image.layers import apply
from kist.spec.mount import Mount
from kist.store import Snapshots
from kist.store.database import Database
from seen import seen

DIR, SYM, HARD = tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="mounts, owners and devices need root")]

Layers = tuple[bytes, ...]


def opened(root: Path, storage: str) -> Snapshots:
    (root / "snapshots").mkdir(parents=True)
    return Snapshots(str(root / "snapshots"), Database(str(root / "kist.db")), storage)


@pytest.fixture
def both(tmp_path: Path) -> Iterator[tuple[Snapshots, Snapshots]]:
    made = (opened(tmp_path / "o", "overlay"), opened(tmp_path / "c", "copy"))
    yield made
    for each in made:
        each._database.close()


def stack(snapshots: Snapshots, layers: Layers, name: str = "") -> tuple[Mount, ...]:
    """Unpack layers on each other, and prepare a snapshot on top."""
    parent = None
    for number, layer in enumerate(layers):
        key = f"{name}{number}"
        apply(io.BytesIO(layer), snapshots.prepare(f"{key}-active", parent))
        snapshots.commit(key, f"{key}-active")
        parent = key
    return snapshots.prepare(f"{name}top", parent)


def test_whiteouts_take_away_what_is_below_only(both, tar, entry) -> None:
    layers = (
        tar(
            entry("d/", kind=DIR, mode=0o750, uid=3), entry("d/old", "x"), entry("d/e/", kind=DIR), entry("d/e/f", "x"),
            entry("f", "below"), entry("g", "below"), entry("h", kind=HARD, link="g"), entry("s", kind=SYM, link="d"),
        ),
        tar(
            entry("d/", kind=DIR, mode=0o700), entry("d/new", "y"), entry("d/.wh..wh..opq"), entry(".wh.f"),
            entry("f", "mine"), entry("g", "changed"), entry("s/under", "z"),
        ),
        tar(entry("d/e/deep", "x"), entry(".wh.d"), entry(".wh.g"), entry(".wh.nothing")),
    )  # fmt: skip
    shown, copied = (seen(stack(each, layers)) for each in both)
    assert copied == shown
    assert sorted(copied) == ["d", "d/e", "d/e/deep", "f", "h", "s", "s/under"]


def test_a_directory_keeps_its_time_and_loses_old_attributes(both, tar, entry) -> None:
    note = {"SCHILY.xattr.user.note": "n"}
    layers = (
        tar(entry("a/", kind=DIR, mtime=1_500_000_000, pax=note), entry("b/", kind=DIR, mtime=1_500_000_000, pax=note)),
        tar(entry("a/x", "x"), entry("b/", kind=DIR, mtime=1_600_000_000), entry("b/.wh.x")),
    )
    (mount,) = stack(both[1], layers)
    a, b = (Path(mount.source, name) for name in "ab")
    assert (a.stat().st_mtime, b.stat().st_mtime) == (1_500_000_000, 1_600_000_000)
    assert ("user.note" in os.listxattr(a), "user.note" in os.listxattr(b)) == (True, False)


def test_what_an_opaque_directory_hides_lends_nothing_to_the_layer(both, tar, entry) -> None:
    """Neither its attributes to a directory that has no member of its own, nor its files to hard links."""
    below = tar(entry("a/", kind=DIR), entry("a/a/", kind=DIR, mode=0o2770, gid=1), entry("a/a/f", "x"))
    above = tar(entry("a/.wh..wh..opq"), entry("a/a/g", "y"))
    shown, copied = (seen(stack(each, (below, above))) for each in both)
    assert copied == shown
    assert sorted(shown) == ["a", "a/a", "a/a/g"]
    path = Path(both[1].prepare("again", "1")[0].source, "a/a")
    assert (path.stat().st_mode & 0o7777, path.stat().st_gid) == (0o755, 0)
    for number, each in enumerate(both):
        with pytest.raises(Corrupt, match="hard link to 'a/a/f', which is not there"):
            stack(each, (below, tar(entry("a/.wh..wh..opq"), entry("h", kind=HARD, link="a/a/f"))), f"h{number}")


NAMES = st.sampled_from(["a", "b", "a/a", "a/b", "b/a", "a/b/a", "b/b/b"])


@st.composite
def members(draw: st.DrawFn) -> list[tuple[str, dict[str, object]]]:
    """The members of a layer: name, and what else there is to say of each; each name once."""
    kinds = draw(st.dictionaries(NAMES, st.sampled_from(["file", "dir", "link", "whiteout", "opaque"]), max_size=6))
    made: list[tuple[str, dict[str, object]]] = []
    for name in sorted(kinds):
        above, _, last = name.rpartition("/")
        match kinds[name]:
            case "file":
                content, mtime = draw(st.sampled_from([("x", 1e9), ("yy", 1e9), ("x", 2e9)]))
                made.append((name, {"content": content, "mtime": mtime}))
            case "dir":
                mode, gid = draw(st.sampled_from([(0o755, 0), (0o2770, 1)]))
                made.append((name, {"kind": DIR, "mode": mode, "gid": gid}))
            case "link":
                made.append((name, {"kind": SYM, "link": draw(st.sampled_from(["a", "/b", "nowhere"]))}))
            case "whiteout":
                made.append((f"{above}/.wh.{last}".lstrip("/"), {}))
            case _:
                made.append((f"{name}/.wh..wh..opq", {}))
    if draw(st.integers(0, 4)) == 0:
        made.append((".wh..wh..opq", {}))
    links = tuple(f"{name}/" for name, words in made if words.get("kind") == SYM)
    plain = [each for each in made if not each[0].startswith(links)]  # no layer that is honest has members behind one
    return draw(st.permutations(plain)) if draw(st.booleans()) else plain


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(described=st.lists(members(), min_size=1, max_size=3))
def test_any_layers_give_the_same_tree(both, tar, entry, described) -> None:
    name = f"{uuid.uuid4()}-"  # examples share their snapshots
    layers = tuple(tar(*(entry(each, **words) for each, words in layer)) for layer in described)

    def outcome(snapshots: Snapshots) -> object:
        try:
            return seen(stack(snapshots, layers, name))
        except KistError as error:
            return type(error)

    shown, copied = (outcome(each) for each in both)
    if isinstance(shown, dict) and isinstance(copied, dict):
        assert copied == shown


# what a snapshot has changed


@pytest.fixture
def copy(both, tar, entry) -> tuple[Mount, ...]:
    """A snapshot on top of a small image."""
    layer = tar(
        entry("bin/", kind=DIR, mode=0o755), entry("bin/program", "p" * 5000, mode=0o755),
        entry("bin/alias", kind=HARD, link="bin/program"), entry("etc/", kind=DIR, mode=0o755),
        entry("etc/file", "content"), entry("etc/other", "other"), entry("lib", kind=SYM, link="usr/lib"),
        entry("deep/a/b/", kind=DIR, mode=0o755), entry("deep/a/b/c", "c"),
    )  # fmt: skip
    return stack(both[1], (layer,))


# A file's time, and the file with that time again.
KEPT, BACK = "t=$(stat -c %y etc/file)", 'touch -d "$t" etc/file'


def told(mounts: tuple[Mount, ...]) -> list[str]:
    marks = {"added": "+", "changed": "~", "gone": "-"}
    return [marks[each.kind] + each.path.decode() for each in differences(filling_of(mounts))]


def test_a_fresh_copy_has_changed_nothing(copy) -> None:
    assert told(copy) == []
    assert is_unchanged(copy)


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("echo x > etc/new", ["~etc", "+etc/new"]),
        ("rm etc/file", ["~etc", "-etc/file"]),
        ("chmod 600 etc/file", ["~etc", "~etc/file"]),
        ("chown 5 etc/file", ["~etc", "~etc/file"]),
        ("echo more >> etc/file", ["~etc", "~etc/file"]),
        ("touch -d 2001-01-01 etc/file", ["~etc", "~etc/file"]),
        (f"{KEPT}; printf CONTENT > etc/file; {BACK}", ["~etc", "~etc/file"]),
        (f"{KEPT}; printf content > etc/file; {BACK}", []),
        ("touch deep/a/b/new; rm deep/a/b/new", ["~deep", "~deep/a", "~deep/a/b"]),
        ("rm -r deep", ["-deep"]),
        ("rm -r etc; echo now a file > etc", ["~etc"]),
        ("rm lib; mkdir lib; touch lib/x", ["~lib", "+lib/x"]),
        ("ln -sfn usr/other lib", ["~lib"]),
        ("ln bin/program bin/third", ["~bin", "~bin/alias", "~bin/program", "+bin/third"]),
        ("rm bin/alias", ["~bin", "-bin/alias"]),
        ("mkfifo pipe; mkdir -p x/y", ["+pipe", "+x", "+x/y"]),
        ("python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"sock\")'", ["+sock"]),
        ("mkdir proc dev sys; touch etc/hosts etc/resolv.conf; touch -d @1700000000 etc", []),
        ("mkdir -p proc/x; echo x > etc/hosts; touch -d @1700000000 etc", ["~etc", "+etc/hosts", "+proc", "+proc/x"]),
        ("chmod 700 etc && chmod 755 etc", []),
        ("python3 -c 'import os; os.setxattr(\"etc/file\", \"user.x\", b\"1\")'", ["~etc", "~etc/file"]),
    ],
)  # fmt: skip
def test_what_is_not_as_it_was(script: str, found: list[str], copy) -> None:
    subprocess.run(["sh", "-ec", script], cwd=copy[0].source, check=True)
    assert told(copy) == found
    assert is_unchanged(copy) == (not found)


def test_the_layer_made_of_it_gives_the_same_tree_again(copy, both) -> None:
    script = """
        echo new > etc/new; rm -r deep/a/b; ln bin/program bin/third; mknod null c 1 3; chown 7:8 etc/other
        rm lib; mkdir lib; ln -s x lib/y; mkdir -p opt/a; chmod 1777 opt; rm etc/file; mkdir etc/file
    """
    subprocess.run(["sh", "-ec", script], cwd=copy[0].source, check=True)
    target = io.BytesIO()
    diff(copy, target.write)
    with tarfile.open(fileobj=io.BytesIO(target.getvalue())) as archive:
        names = archive.getnames()
    assert "deep/a/.wh.b" in names
    assert names.index("bin/program") > names.index("bin/alias")
    (base,) = (each for each in both[1].list() if each == "0")
    apply(io.BytesIO(target.getvalue()), both[1].prepare("again", base))
    assert seen(both[1].mounts("again")) == seen(copy)


def test_whose_name_a_layer_cannot_hold_is_refused(copy) -> None:
    Path(copy[0].source, ".wh.x").touch()
    with pytest.raises(KistError, match=r"begins with '\.wh\.'"):
        diff(copy, io.BytesIO().write)
