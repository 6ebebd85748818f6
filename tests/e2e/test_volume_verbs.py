"""``kist volume``: its verbs as a user types them, the API behind them, and what guests of root's engine get of it."""

import gzip
import json
import os
import tarfile
from pathlib import Path

import pytest

from harness import BUSYBOX, Cli
from kist.cli.units import size
from kist.client.client import Client
from kist.client.endpoint import Endpoint
from kist.errors import Conflict, NotFound
from kist.spec.volume import VolumeOptions


def refused(cli: Cli, *words: str) -> str:
    done = cli(*words)
    assert done.returncode == 1, f"{words}: {done.returncode}: {done.stdout} {done.stderr}"
    return done.stderr


def data(cli: Cli, name: str) -> str:
    return str(cli.directory / "data" / "volumes" / name / "_data")


def test_a_volume_from_its_making_to_its_end(volumes: Cli):
    assert volumes.good("volume", "create", "--label", "project=survey", "-d", "local", "store") == "store"
    assert volumes.good("volume", "create", "store") == "store"
    (found,) = json.loads(volumes.good("volume", "inspect", "store"))
    assert found | {"CreatedAt": ""} == {
        "CreatedAt": "", "Driver": "local", "Labels": {"project": "survey"}, "Mountpoint": data(volumes, "store"),
        "Name": "store", "Options": None, "Scope": "local",
    }  # fmt: skip
    assert json.loads(volumes.good("inspect", "--type", "volume", "store")) == [found]
    assert json.loads(volumes.good("inspect", "store")) == [found]
    volumes.good("run", "--rm", "--network", "none", "-v", "store:/data", BUSYBOX, "touch", "/data/file")
    assert os.listdir(data(volumes, "store")) == ["file"]
    assert volumes.good("volume", "rm", "store") == "store"
    assert not os.path.lexists(os.path.dirname(data(volumes, "store")))
    assert "get store: no such volume" in refused(volumes, "volume", "rm", "store")
    assert volumes.good("volume", "rm", "-f", "store") == "store"
    done = volumes("volume", "inspect", "store")
    assert (done.returncode, done.stdout) == (1, "[]\n")


def test_the_list_and_what_narrows_it_down(volumes: Cli):
    volumes.good("volume", "create", "--label", "a=1", "--label", "b", "used")
    volumes.good("volume", "create", "--name", "unused")
    nameless = volumes.good("volume", "create")
    volumes.good("create", "-v", "used:/data", "--name", "holder", BUSYBOX, "true")

    def listed(*filters: str) -> list[str]:
        words = [word for each in filters for word in ("-f", each)]
        return volumes.good("volume", "ls", "-q", *words).split()

    assert len(nameless) == 64
    assert listed() == sorted([nameless, "unused", "used"])
    assert listed("dangling=true") == sorted([nameless, "unused"])
    assert listed("dangling=0") == ["used"]
    assert listed("label=a=1", "label=b") == ["used"]
    assert listed("label=a=2") == []
    assert listed("label=com.docker.volume.anonymous") == [nameless]
    assert listed("name=use") == ["unused", "used"]
    assert listed("driver=local", "name=nus") == ["unused"]
    assert listed("driver=other") == []
    table = volumes.good("volume", "ls", "--filter", "name=used").splitlines()
    assert table == ["DRIVER    VOLUME NAME", "local     unused", "local     used"]
    form = '{{.Name}} {{.Label "a"}} {{.Labels}} {{.Scope}}'
    assert volumes.good("volume", "ls", "-f", "label=b", "--format", form) == "used 1 a=1,b= local"
    assert "invalid filter 'dangling=perhaps'" in refused(volumes, "volume", "ls", "-f", "dangling=perhaps")


def test_what_a_container_has_is_not_removed(volumes: Cli):
    volumes.good("create", "-v", "held:/data", "--name", "holder", BUSYBOX, "true")
    identifier = volumes.good("inspect", "--format", "{{.Id}}", "holder")
    for words in (("volume", "rm", "held"), ("volume", "rm", "-f", "held"), ("volume", "rm", "--dry-run", "held")):
        assert f"remove held: volume is in use - [{identifier}]" in refused(volumes, *words)
    volumes.good("volume", "prune", "-af")
    assert volumes.good("volume", "ls", "-q") == "held"
    volumes.good("rm", "-v", "holder")
    assert volumes.good("volume", "rm", "held") == "held"


def on_disk(volumes: Cli, name: str) -> str:
    """The space of a volume's directory and files, as it is shown."""
    directory = volumes.directory / "data" / "volumes" / name
    return size(sum(os.lstat(path).st_blocks * 512 for path in (directory, *directory.rglob("*"))))


def test_prune_takes_what_nobody_named_and_with_all_the_rest(volumes: Cli):
    nameless = volumes.good("volume", "create")
    kept = volumes.good("volume", "create", "--label", "keep")
    volumes.good("volume", "create", "-o", "mode=0700", "set-up")
    volumes.good("run", "--rm", "--network", "none", "-v", "named:/data", BUSYBOX, "sh", "-c", "echo 12345 > /data/x")
    space = on_disk(volumes, nameless)
    said = volumes.good("volume", "prune", "--dry-run", "--filter", "label!=keep")
    assert said == f"Would delete Volumes:\n{nameless}\n\nTotal space that would be reclaimed: {space}"
    said = volumes.good("volume", "prune", "-f", "--filter", "label!=keep")
    assert said == f"Deleted Volumes:\n{nameless}\n\nTotal reclaimed space: {space}"
    done = volumes("volume", "prune", stdin=b"n\n")
    assert done.stdout.startswith(
        "WARNING! This will remove anonymous local volumes not used by at least one container.\nAre you sure"
    )
    assert "This will remove all local volumes not used" in volumes("volume", "prune", "-a", stdin=b"n\n").stdout
    assert set(volumes.good("volume", "ls", "-q").split()) == {kept, "named", "set-up"}
    space = on_disk(volumes, "named")
    assert f"Would remove volume named: {space}" in volumes.good("volume", "rm", "--dry-run", "named")
    said = volumes.good("volume", "prune", "-a", "-f", "--filter", "label!=keep")
    assert said == f"Deleted Volumes:\nnamed\n\nTotal reclaimed space: {space}"
    assert set(volumes.good("volume", "ls", "-q").split()) == {kept, "set-up"}, "what somebody has set up stays"
    volumes.good("volume", "rm", "set-up")


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        (("volume", "create", "-d", "rexray", "x"), "volume driver 'rexray' is not supported\nthe driver is local", 1),
        (("volume", "create", "a b"), '"a b" includes invalid characters for a local volume name', 1),
        (("volume", "create", "x" * 256), "is longer than 255 characters", 1),
        (("volume", "create", "--name", "one", "two"), "cannot specify a volume-name through both --name", 1),
        (("volume", "create", "--label", "=x"), "an option is NAME=VALUE, not '=x'", 125),
        (("volume", "rm", ""), "invalid volume name: value is empty", 1),
        (("volume", "rm"), "needs at least 1 argument", 125),
    ],
)
def test_what_cannot_be_right(volumes: Cli, words: tuple[str, ...], said: str, code: int):
    done = volumes(*words)
    assert said in done.stderr, done.stderr
    assert done.returncode == code
    assert volumes.good("volume", "ls", "-q") == ""


def test_what_happens_to_volumes_is_an_event(volumes: Cli):
    since = volumes.good("info", "--format", "{{.SystemTime}}")
    volumes.good("volume", "create", "told")
    volumes.good("run", "--rm", "--network", "none", "-v", "told:/data", "-v", "/more", BUSYBOX, "true")
    volumes.good("volume", "rm", "told")
    form = "{{.Action}} {{.Actor.Attributes.driver}}"
    told = volumes.good("events", "--since", since, "--until", "0s", "-f", "volume=told", "--format", form)
    assert told.splitlines() == ["create local", "mount local", "unmount local", "destroy local"]
    form = '{{.Action}} {{index .Actor.Attributes "destination"}} {{index .Actor.Attributes "read/write"}}'
    told = volumes.good("events", "--since", since, "--until", "0s", "-f", "event=mount", "--format", form)
    assert sorted(told.splitlines()) == ["mount /data true", "mount /more true"]


def test_the_library_has_them(volumes: Cli):
    with Client(Endpoint(str(volumes.directory / "run" / "engine.sock"), None)) as engine:
        made = engine.create_volume(VolumeOptions("mine", labels={"a": "b"}))
        assert (made.name, made.labels, made.anonymous) == ("mine", {"a": "b"}, False)
        assert engine.volume("mine") == made
        assert engine.volumes({"label": ["a=b"]}) == (made,)
        assert engine.volumes({"name": ["other"]}) == ()
        assert size(engine.volume_removal("mine").size) == on_disk(volumes, "mine")
        engine.remove_volume("mine")
        engine.remove_volume("mine", force=True)
        with pytest.raises(NotFound, match="get mine: no such volume"):
            engine.remove_volume("mine")


def test_the_same_name_with_other_options_is_told(volumes: Cli):
    with Client(Endpoint(str(volumes.directory / "run" / "engine.sock"), None)) as engine:
        engine.create_volume(VolumeOptions("strict", options={"mode": "0700"}))
        engine.create_volume(VolumeOptions("strict", options={"mode": "0700"}))
        engine.create_volume(VolumeOptions("strict"))
        with pytest.raises(Conflict, match="a volume named strict already exists with other options"):
            engine.create_volume(VolumeOptions("strict", options={"mode": "0755"}))


def test_a_directory_that_was_deleted_by_hand_is_made_again(volumes: Cli):
    volumes.good("run", "--rm", "--network", "none", "-v", "lost:/data", BUSYBOX, "touch", "/data/file")
    volumes.good("create", "--name", "holder", "--network", "none", "-v", "lost:/data", BUSYBOX, "ls", "/data")
    for gone in (data(volumes, "lost"), os.path.dirname(data(volumes, "lost"))):
        remove(gone)
        assert "lost" in volumes.good("volume", "ls", "-q")
        assert "its directory is gone" in volumes("system", "check").stdout
        volumes.good("system", "df", "-v")
        assert volumes.good("start", "-a", "holder") == ""
        assert os.path.isdir(data(volumes, "lost"))
    remove(data(volumes, "lost"))
    assert volumes.good("run", "--rm", "--network", "none", "-v", "lost:/data", BUSYBOX, "ls", "/data") == ""
    log = (volumes.directory / "run" / "engine.log").read_text(encoding="utf-8")
    assert log.count("the directory of the volume lost was gone: there is a new, empty one") == 3
    remove(os.path.dirname(data(volumes, "lost")))
    volumes.good("rm", "holder")
    assert volumes.good("volume", "rm", "lost") == "lost"


def remove(path: str) -> None:
    for above, names, files in os.walk(path, topdown=False):
        for name in files:
            os.unlink(os.path.join(above, name))
        for name in names:
            os.rmdir(os.path.join(above, name))
    os.rmdir(path)


def test_a_directory_without_a_record_is_told_and_taken_up_again(volumes: Cli):
    path = data(volumes, "stray")
    os.makedirs(path)
    (volumes.directory / "data" / "volumes" / "stray" / "_data" / "precious").write_text("x", encoding="ascii")
    assert "a directory that belongs to no volume" in volumes("system", "check", "--repair").stdout
    volumes.good("volume", "create", "stray")
    assert volumes.good("run", "--rm", "--network", "none", "-v", "stray:/d", BUSYBOX, "ls", "/d") == "precious"
    assert "belongs to no volume" not in volumes("system", "check").stdout


SCRIPT = (
    "cd /d && echo hello > one && ln one two && ln -s one link && mkfifo pipe && mkdir -m 2750 sub && chmod 711 . && "
    "dd if=/dev/zero of=sparse bs=1 count=1 seek=30M 2> /dev/null"
)


def test_what_is_in_a_volume_goes_out_and_in_again(volumes: Cli):
    volumes.good("run", "--rm", "--network", "none", "-v", "first:/d", BUSYBOX, "sh", "-c", SCRIPT)
    archive = volumes.directory / "first.tar"
    assert volumes.good("volume", "export", "-o", str(archive), "first") == ""
    assert archive.stat().st_size < 1 << 20
    for name, words, stdin in (("second", str(archive), b""), ("third", "-", gzip.compress(archive.read_bytes()))):
        volumes.good("volume", "create", name)
        assert volumes.good("volume", "import", name, words, stdin=stdin) == ""
        again = volumes.directory / f"{name}.tar"
        again.write_bytes(b"")
        volumes.good("volume", "export", "--output", str(again), name)
        assert again.read_bytes() == archive.read_bytes()
        look = (
            "cd /d && stat -c '%n %a %F' . sub pipe && cat two && stat -c %h one && stat -c '%s' sparse && du -k sparse"
        )
        seen = volumes.good("run", "--rm", "--network", "none", "-v", f"{name}:/d", BUSYBOX, "sh", "-c", look)
        assert seen.splitlines()[:-1] == [
            ". 711 directory", "sub 2750 directory", "pipe 640 fifo".replace("640", "644"), "hello", "2", "31457281",
        ]  # fmt: skip
        assert int(seen.splitlines()[-1].split()[0]) < 100


@pytest.mark.ids("has files of other ids")
def test_owners_are_numbers(volumes: Cli):
    script = "cd /d && touch theirs && chown 12:34 theirs . && ls -ln theirs"
    volumes.good("run", "--rm", "--network", "none", "-v", "first:/d", BUSYBOX, "sh", "-c", script)
    archive = volumes.directory / "owners.tar"
    volumes.good("volume", "export", "-o", str(archive), "first")
    with tarfile.open(archive) as tar:
        assert [(member.uid, member.gid, member.uname) for member in tar] == [(12, 34, ""), (12, 34, "")]
    volumes.good("volume", "create", "second")
    volumes.good("volume", "import", "second", str(archive))
    look = "stat -c %u:%g /d /d/theirs"
    seen = volumes.good("run", "--rm", "--network", "none", "-v", "second:/d", BUSYBOX, "sh", "-c", look)
    assert seen == "12:34\n12:34"


def test_archives_that_are_none(volumes: Cli, tmp_path: Path):
    volumes.good("volume", "create", "first")
    assert "get nosuch: no such volume" in refused(volumes, "volume", "export", "nosuch")
    assert "get nosuch: no such volume" in refused(volumes, "volume", "import", "nosuch", "-")
    assert "No such file" in volumes("volume", "import", "first", "/no/such/file").stderr
    done = volumes("volume", "import", "first", "-", stdin=b"no tar" * 200)
    assert "the archive for the volume first is damaged" in done.stderr
    with tarfile.open(tmp_path / "out.tar", "w") as tar:
        entry = tarfile.TarInfo("../out")
        tar.addfile(entry)
    assert "'..' in it" in volumes("volume", "import", "first", str(tmp_path / "out.tar")).stderr
    with tarfile.open(tmp_path / "link.tar", "w") as tar:
        entry = tarfile.TarInfo("away")
        entry.type, entry.linkname = tarfile.SYMTYPE, str(tmp_path)
        tar.addfile(entry)
        tar.addfile(tarfile.TarInfo("away/file"))
    volumes("volume", "import", "first", str(tmp_path / "link.tar"))
    assert not (tmp_path / "file").exists()


def test_what_is_in_memory_goes_out_while_somebody_has_it(volumes: Cli):
    volumes.good("volume", "create", "-o", "type=tmpfs", "mem")
    archive = volumes.directory / "mem.tar"
    archive.write_bytes(b"")
    with tarfile.open(archive, "w") as tar:
        entry = tarfile.TarInfo("given")
        tar.addfile(entry)
    said = refused(volumes, "volume", "import", "mem", str(archive))
    assert "the volume mem is in memory, and no container that runs has it: nothing would be kept" in said
    volumes.good("run", "-d", "--network", "none", "-v", "mem:/m", BUSYBOX, "sh", "-c", "touch /m/own; sleep 600")
    volumes.good("volume", "import", "mem", str(archive))
    identifier = volumes.good("ps", "-q")
    assert volumes.good("exec", identifier, "ls", "/m").split() == ["given", "own"]
    volumes.good("volume", "export", "-o", str(archive), "mem")
    with tarfile.open(archive) as tar:
        assert sorted(tar.getnames()) == [".", "./given", "./own"]
