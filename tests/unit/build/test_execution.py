"""Builds without RUN, on a real store: layers, history, cache, failures."""

import errno
import io
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from kist.build import build
from kist.build.target import Target
from kist.engine import Engine
from kist.engine.images import Images
from kist.engine.networks import Networks
from kist.engine.roster import Roster
from kist.engine.sharing import Sharing
from kist.engine.step_networks import StepNetworks
from kist.engine.step_series import StepSeries
from kist.errors import InvalidInput, KistError, NotFound, ParseError, Unavailable
from kist.kernel import mounts
from kist.kernel.trees import open_tree_of
from kist.spec.build import BuildOptions
from kist.spec.image import ContainerConfig, ImageConfig, RootFS
from kist.spec.progress import Event, StepFinished, StepStarted, Warned
from kist.spec.summary import Image
from kist.store import Store

pytestmark = pytest.mark.root


@dataclass
class Room:
    """What a build needs of an engine when it runs no commands, and a context."""

    store: Store
    catalogue: Images
    context: Path
    events: list[Event] = field(default_factory=list)
    sharing: Sharing = field(default_factory=Sharing)

    def step_series(self) -> StepSeries:
        """Those of no command: none asks where a directory is, or for an address."""
        return StepSeries(StepNetworks(self.store, cast("Roster", None), cast("Networks", None)))

    def write(self, path: str, text: str = "text") -> Path:
        file = self.context / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def build(self, dockerfile: str, **options: Any) -> Image:
        self.write("Dockerfile", dockerfile)
        self.events.clear()
        return build(cast("Engine", self), str(self.context), BuildOptions(**options), self.events.append)

    def cached(self) -> list[bool]:
        """Of each step of the last build, in the order of the plan, whether it was cached."""
        numbers = {event.id: event.number for event in self.events if isinstance(event, StepStarted)}
        ends = [event for event in self.events if isinstance(event, StepFinished)]
        return [event.cached for event in sorted(ends, key=lambda event: numbers[event.id])]

    def read(self, image: Image, path: str) -> str:
        return str(self.path(image, path, lambda fd: os.read(fd, 1000).decode()))

    def names(self, image: Image, path: str = "/") -> list[str]:
        return list(self.path(image, path, os.listdir))

    def path(self, image: Image, path: str, look: Any) -> Any:
        chain = self.catalogue.chain(image)
        assert chain is not None
        root = open_tree_of([(m.type, m.source, m.options) for m in self.store.snapshots.mounts(chain)])
        try:
            descriptor = os.open(path.lstrip("/") or ".", os.O_RDONLY, dir_fd=root)
            try:
                return look(descriptor)
            finally:
                os.close(descriptor)
        finally:
            os.close(root)

    def snapshots(self) -> set[str]:
        return set(self.store.snapshots.list())


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    if os.geteuid():
        pytest.skip("overlay file systems are mounted, which only root may")
    (tmp_path / "context").mkdir()
    with Store(str(tmp_path / "store")) as store:
        yield Room(store, Images(store), tmp_path / "context")


@pytest.fixture
def base(room: Room) -> Image:
    """An image with a link of a directory, a user and a few settings."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in ("usr", "usr/bin", "etc"):
            info = tarfile.TarInfo(name)
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(info)
        link = tarfile.TarInfo("bin")
        link.type, link.linkname = tarfile.SYMTYPE, "usr/bin"
        archive.addfile(link)
        passwd = tarfile.TarInfo("etc/passwd")
        passwd.size = len(b"app:x:1000:100::/:/bin/sh\n")
        archive.addfile(passwd, io.BytesIO(b"app:x:1000:100::/:/bin/sh\n"))
    buffer.seek(0)
    config = ContainerConfig(env=("PATH=/bin",), cmd=("sh",))
    return room.catalogue.import_tar(buffer, "base:1", config=config, message="made by a test")


@pytest.mark.usefixtures("base")
class TestLayers:
    def test_one_layer_for_a_changing_step_and_none_for_the_others(self, room: Room) -> None:
        room.write("a")
        image = room.build("FROM base:1\nENV A=1\nCOPY a /x/\nWORKDIR /x\nWORKDIR /y\nLABEL l=1")
        assert [(entry.created_by, entry.empty_layer) for entry in image.config.history[1:]] == [
            ("ENV A=1", True),
            ("COPY a /x/", False),
            ("WORKDIR /x", True),
            ("WORKDIR /y", False),
            ("LABEL l=1", True),
        ]
        assert len(image.config.rootfs.diff_ids) == 3
        assert image.config.config.working_dir == "/y"
        assert sorted(room.names(image)) == ["bin", "etc", "usr", "x", "y"]

    def test_links_of_the_image_are_followed_through_its_layers(self, room: Room) -> None:
        room.write("tool")
        image = room.build("FROM base:1\nCOPY tool /bin/\nADD tool /bin/other")
        assert sorted(room.names(image, "/usr/bin")) == ["other", "tool"]

    def test_owners_are_looked_up_in_the_image(self, room: Room) -> None:
        room.write("a")
        image = room.build("FROM base:1\nCOPY --chown=app a /a")
        status = room.path(image, "/a", os.fstat)
        assert (status.st_uid, status.st_gid) == (1000, 100)

    def test_references_and_labels(self, room: Room) -> None:
        image = room.build("FROM base:1\nLABEL a=1", tags=("one", "x.org/two:3"), labels={"b": "2"})
        assert image.references == ("docker.io/library/one:latest", "x.org/two:3")
        assert image.config.config.labels == {"a": "1", "b": "2"}

    def test_a_dockerfile_that_adds_nothing_names_the_base(self, room: Room, base: Image) -> None:
        image = room.build("FROM base:1", tags=("same",))
        assert image.id == base.id
        assert "docker.io/library/same:latest" in image.references

    def test_history_and_time_of_the_base_are_kept(self, room: Room, base: Image) -> None:
        image = room.build("FROM base:1\nLABEL a=1")
        assert image.config.history[0] == base.config.history[0]
        assert image.config.created == base.config.created

    def test_stages(self, room: Room) -> None:
        room.write("a")
        image = room.build('FROM base:1 AS one\nCOPY a /out/\nFROM scratch\nCOPY --from=one /out /in\nCMD ["/in/a"]')
        assert room.names(image) == ["in"]
        assert room.read(image, "/in/a") == "text"
        assert [entry.created_by for entry in image.config.history] == ["COPY --from=one /out /in", 'CMD ["/in/a"]']

    def test_another_image_as_a_source(self, room: Room) -> None:
        image = room.build("FROM scratch\nCOPY --from=base:1 /bin/ /etc/passwd /x/")
        assert room.names(image, "/x") == ["passwd"]

    def test_an_empty_stage_as_a_source(self, room: Room) -> None:
        with pytest.raises(NotFound, match='"a" does not exist in "0"'):
            room.build("FROM scratch\nFROM base:1\nCOPY --from=0 /a /")

    def test_nothing_but_settings(self, room: Room) -> None:
        image = room.build('FROM scratch\nCMD ["a"]')
        assert (image.config.rootfs.diff_ids, image.created_at) == ((), 0)
        assert (image.config.config.env or ())[0].startswith("PATH=/usr/local/sbin:")

    def test_triggers_run_in_the_child(self, room: Room) -> None:
        room.write("a")
        room.build("FROM base:1\nONBUILD COPY a /from-trigger", tags=("parent",))
        image = room.build("FROM parent")
        assert room.read(image, "/from-trigger") == "text"
        assert image.config.config.on_build is None


@pytest.mark.usefixtures("base")
class TestCache:
    TEXT = "FROM base:1\nCOPY a /a\nWORKDIR /w\nCOPY b /b\nLABEL x=1"

    @pytest.fixture(autouse=True)
    def _files(self, room: Room) -> None:
        room.write("a")
        room.write("b")

    def test_the_same_build_again_is_the_same_image(self, room: Room) -> None:
        first = room.build(self.TEXT)
        assert room.cached() == [True, False, False, False, False]
        os.utime(room.context / "a", (1, 1))
        assert room.build(self.TEXT).id == first.id
        assert all(room.cached())

    def test_a_changed_file_repeats_what_comes_after(self, room: Room) -> None:
        room.build(self.TEXT)
        room.write("b", "changed")
        image = room.build(self.TEXT)
        assert room.cached() == [True, True, True, False, False]
        assert room.read(image, "/b") == "changed"

    def test_a_linked_layer_is_the_same_on_another_base(self, room: Room) -> None:
        text = "FROM base:1\nRUN_BEFORE\nCOPY --link --chown=app a b /linked/\nCOPY b /after"
        first = room.build(text.replace("RUN_BEFORE", "WORKDIR /one"))
        assert room.cached() == [True, False, False, False]
        second = room.build(text.replace("RUN_BEFORE", "WORKDIR /two"))
        assert room.cached() == [True, False, True, False]
        assert first.config.rootfs.diff_ids[2] == second.config.rootfs.diff_ids[2]
        assert sorted(room.names(second, "/linked")) == ["a", "b"]
        assert room.path(second, "/linked/a", os.fstat).st_uid == 1000
        room.write("a", "changed")
        third = room.build(text.replace("RUN_BEFORE", "WORKDIR /two"))
        assert room.cached() == [True, True, False, False]
        assert room.read(third, "/linked/a") == "changed"

    def test_a_linked_layer_survives_its_snapshot(self, room: Room) -> None:
        text = "FROM base:1\nCOPY --link a /linked/"
        image = room.build(text)
        room.store.snapshots.remove(room.catalogue.layers(image)[-1].chain_id)
        assert room.build(text).id == image.id
        assert room.cached() == [True, True]

    @pytest.mark.parametrize("flags", ["--exclude=*.x", "--parents", "--chmod=go-r", "--chmod=0600"])
    def test_flags_are_a_part_of_the_step(self, room: Room, flags: str) -> None:
        room.build("FROM base:1\nCOPY a /x/")
        room.build(f"FROM base:1\nCOPY {flags} a /x/")
        assert room.cached() == [True, False]

    def test_a_file_that_is_left_out_does_not_count(self, room: Room) -> None:
        room.write("d/in")
        room.write("d/out.x")
        text = "FROM base:1\nCOPY --exclude=*.x d /d\nCOPY --parents d/./in /p/"
        room.build(text)
        room.write("d/out.x", "changed")
        room.build(text)
        assert room.cached() == [True, True, True]

    def test_documents_count_by_their_text(self, room: Room) -> None:
        text = "FROM base:1\nARG a=1\nCOPY <<x /x\n$a\nx"
        room.build(text)
        room.build(text, build_args={"a": "1"})
        assert room.cached()[-1]
        room.build(text, build_args={"a": "2"})
        assert not room.cached()[-1]

    def test_a_label_repeats_nothing(self, room: Room) -> None:
        room.build(self.TEXT)
        room.build(self.TEXT.replace("COPY a", "LABEL early=1\nCOPY a"))
        assert all(room.cached())

    def test_no_cache_does_everything_again(self, room: Room) -> None:
        room.build(self.TEXT)
        room.build(self.TEXT, no_cache=True)
        assert room.cached() == [True, False, False, False, False]

    def test_every_step_tells_what_an_image_up_to_it_would_be(self, room: Room, base: Image) -> None:
        whole = room.build(self.TEXT)
        ids = [event.result for event in room.events if isinstance(event, StepFinished)]
        assert (ids[0], ids[-1], len(set(ids))) == (base.id, whole.id, len(ids))
        lines = self.TEXT.splitlines()
        assert room.build("\n".join(lines[:2])).id == ids[1]

    def test_steps_are_taken_from_an_image_with_the_same_history(self, room: Room) -> None:
        text = "FROM base:1\nWORKDIR /a\nENV x=y\nWORKDIR /b\nCOPY a /f\nWORKDIR /c"
        room.write("a")
        whole = room.build(text, tags=("donor",))
        room.store.records.cache_remove([key for key, _, _ in room.store.records.cache_entries()])
        assert room.build(text, cache_from=("donor", "nosuch")).config.rootfs == whole.config.rootfs
        assert room.cached() == [True, True, True, True, False, True]  # COPY made the same layer anew
        assert [event.text for event in room.events if isinstance(event, Warned)] == [
            "no steps are taken from nosuch: there is no such image here"
        ]
        room.store.records.cache_remove([key for key, _, _ in room.store.records.cache_entries()])
        room.build(text.replace("x=y", "x=z"), cache_from=("donor",))
        assert room.cached()[:4] == [True, True, True, False]
        room.build(text, cache_from=("donor",), no_cache=True)
        assert room.cached() == [True, False, False, False, False, False]

    def test_another_owner_is_another_step(self, room: Room) -> None:
        room.build(self.TEXT)
        room.build(self.TEXT.replace("COPY a", "COPY --chown=1 a"))
        assert room.cached() == [True, False, False, False, False]

    def test_a_record_without_its_layer_is_not_believed(self, room: Room) -> None:
        first = room.build(self.TEXT)
        top = room.catalogue.layers(first)[-1]
        room.catalogue.remove(first.id)
        room.store.snapshots.remove(top.chain_id)
        room.store.blobs.remove(top.descriptor.digest)
        image = room.build(self.TEXT)
        assert room.cached() == [True, True, True, False, False]
        assert room.read(image, "/b") == "text"

    def test_a_lost_snapshot_is_made_from_its_blob(self, room: Room) -> None:
        first = room.build(self.TEXT)
        top = room.catalogue.layers(first)[-1]
        room.store.snapshots.remove(top.chain_id)
        assert room.build(self.TEXT).id == first.id
        assert all(room.cached())
        assert room.read(first, "/b") == "text"

    def test_files_of_a_stage_count_by_content(self, room: Room) -> None:
        text = "FROM base:1 AS one\nCOPY {} /out/\nCOPY a /in/\nFROM base:1\nCOPY --from=one /in /x"
        room.build(text.format("a"))
        assert room.build(text.format("a")) is not None
        assert all(room.cached())
        room.build(text.format("b"))
        assert room.cached() == [True, False, False, True, True]
        room.build(text.format("b"))
        assert all(room.cached())


@pytest.mark.usefixtures("base")
class TestFilesOfTheirOwnLayer:
    """COPY --link: its files are copied before what it stands on is there."""

    TEXT = "FROM base:1\nCOPY a /x\nCOPY --link a /l/a\nCOPY b /y\nCOPY --link --chown=7:8 b /l/b"

    @pytest.fixture(autouse=True)
    def files(self, room: Room) -> None:
        room.write("a", "a")
        room.write("b", "b")

    def test_they_begin_before_and_come_in_their_order(self, room: Room) -> None:
        image = room.build(self.TEXT)
        told = [(type(event), event.id) for event in room.events if isinstance(event, StepStarted | StepFinished)]
        assert told.index((StepStarted, "0.4")) < told.index((StepFinished, "0.1"))
        assert [each for each in told if told.count(each) > 1] == []
        assert {event.number for event in room.events if isinstance(event, StepStarted)} == {1, 2, 3, 4, 5}
        assert [entry.created_by.partition(" ")[0] for entry in image.config.history[-4:]] == ["COPY"] * 4
        assert [room.read(image, path) for path in ("/x", "/l/a", "/y", "/l/b")] == ["a", "a", "b", "b"]
        assert room.path(image, "/l/b", lambda fd: os.fstat(fd).st_uid) == 7

    def test_they_are_cached_by_themselves(self, room: Room) -> None:
        first = room.build(self.TEXT)
        assert room.build(self.TEXT).id == first.id
        assert all(room.cached())
        room.write("b", "another")
        image = room.build(self.TEXT.replace("COPY a /x", "COPY b /x"))
        assert room.cached() == [True, False, True, False, False]
        assert [room.read(image, path) for path in ("/x", "/l/a", "/l/b")] == ["another", "a", "another"]
        assert not any(room.build(self.TEXT, no_cache=True) and room.cached()[1:])

    def test_a_name_of_an_owner_is_looked_up_in_what_is_below(self, room: Room) -> None:
        image = room.build("FROM base:1\nCOPY --link --chown=app a /a")
        assert room.path(image, "/a", lambda fd: os.fstat(fd).st_uid) == 1000

    def test_what_fails_is_told_once_and_what_was_begun_is_told_its_end(self, room: Room) -> None:
        with pytest.raises(NotFound, match="Dockerfile:2: COPY failed"):
            room.build("FROM base:1\nCOPY nosuch /\nCOPY --link a /")
        begun = [event.id for event in room.events if isinstance(event, StepStarted)]
        ended = [event for event in room.events if isinstance(event, StepFinished)]
        assert sorted(begun) == sorted(event.id for event in ended)
        assert [event.id for event in ended if event.error and not event.cancelled] == ["0.1"]
        with pytest.raises(NotFound, match="Dockerfile:3: COPY failed"):
            room.build("FROM base:1\nCOPY a /\nCOPY --link nosuch /")
        failed = [event.id for event in room.events if isinstance(event, StepFinished) and event.error]
        assert "0.2" in failed
        assert room.snapshots() == {chain for chain in room.snapshots() if chain.startswith("sha256:")}


@pytest.mark.usefixtures("base")
class TestProgress:
    def test_every_step_is_told(self, room: Room) -> None:
        room.build("FROM base:1 AS x\nWORKDIR   /w", build_args={"nobody": "1"})
        assert [event for event in room.events if isinstance(event, StepStarted)] == [
            StepStarted("0.0", "FROM base:1 AS x", 1, 2),
            StepStarted("0.1", "WORKDIR /w", 2, 2),
        ]
        assert [event for event in room.events if isinstance(event, Warned)] == [
            Warned("one or more build-args [nobody] were not consumed")
        ]

    def test_what_build_checks_find_is_told_at_the_end(self, room: Room) -> None:
        room.write(".dockerignore", "*.log")
        text = "FROM base:1 AS x\nCMD a\nFROM base:1 as y\nENV PATH=$PATH:$NOBODYS\nUSER root\nCMD b"
        room.build(text)
        found = [event for event in room.events if isinstance(event, Warned)]
        assert found == room.events[-3:]
        assert [(event.rule, event.text.rpartition(" (")[2]) for event in found] == [
            ("FromAsCasing", "line 3)"),
            ("UndefinedVar", "line 4)"),
            ("JSONArgsRecommended", "line 6)"),
        ]
        with pytest.raises(NotFound):
            room.build("FROM base:1\nCOPY a.log /")
        assert [event.rule for event in room.events if isinstance(event, Warned)] == ["CopyIgnoredFile"]

    def test_findings_that_are_errors_end_a_build_before_its_steps(self, room: Room) -> None:
        with pytest.raises(InvalidInput, match="lint violation found for rules: FromAsCasing, JSONArgsRecommended"):
            room.build("# check=error=true\nFROM base:1 as x\nCMD a")
        assert [type(event) for event in room.events] == [Warned, Warned]
        room.build("# check=error=true;skip=JSONArgsRecommended\nFROM base:1 AS x\nCMD a")
        assert not [event for event in room.events if isinstance(event, Warned)]

    def test_nobody_needs_to_listen(self, room: Room) -> None:
        room.write("Dockerfile", "FROM base:1\nWORKDIR /w")
        assert build(cast("Engine", room), str(room.context)).config.config.working_dir == "/w"

    def test_a_failure_ends_its_step(self, room: Room) -> None:
        with pytest.raises(NotFound) as caught:
            room.build("FROM base:1\nCOPY missing /")
        assert caught.value.message == 'Dockerfile:2: COPY failed: "missing" does not exist in the build context'
        last = room.events[-1]
        assert isinstance(last, StepFinished)
        assert last.error == caught.value.message


@pytest.mark.usefixtures("base")
class TestFailures:
    def test_a_base_that_is_not_here(self, room: Room) -> None:
        with pytest.raises(NotFound, match="No such image: debian:12") as caught:
            room.build("FROM debian:12")
        assert "kist bootstrap debian:12" in caught.value.hint
        with pytest.raises(NotFound) as caught:
            room.build("FROM basee:1")
        assert "base:1" in caught.value.hint
        assert "kist load" in caught.value.hint

    def test_a_base_for_another_architecture(self, room: Room) -> None:
        room.catalogue.create(ImageConfig("mips", "linux", RootFS()), [], ["foreign"])
        room.build("FROM foreign\nLABEL a=b")
        with pytest.raises(ParseError, match="programs of linux/mips, and this machine cannot: no emulator"):
            room.build("FROM foreign\nRUN a")
        with pytest.raises(InvalidInput, match="wanted linux/arm64, actual linux/"):
            room.build("FROM --platform=linux/arm64 base:1")
        room.write("a")
        assert room.build("FROM scratch\nCOPY a /").config.platform.os == "linux"

    def test_few_digits_are_no_image(self, room: Room) -> None:
        identity = room.catalogue.get("base:1").id.hex
        assert room.build(f"FROM {identity[:12]}\nLABEL a=b")
        few = identity[:11]  # of nine decimals or less, --from would be a stage's number
        for text in (f"FROM {few}", f"FROM scratch\nCOPY --from={few} a /"):
            with pytest.raises(NotFound) as caught:
                room.build(text)
            assert "write 12 digits or more" in caught.value.hint

    def test_a_name_has_an_image_for_each_platform(self, room: Room) -> None:
        own = room.catalogue.get("base:1").config.platform
        for name in ("mips", "s390x"):
            made = room.catalogue.create(ImageConfig(name, "linux", RootFS()), [], [])
            known = room.store.records.platforms("docker.io/library/base:1")
            room.store.records.set_platforms("docker.io/library/base:1", {**known, f"linux/{name}": made.id})
        text = "FROM base:1\nLABEL a=b"
        for platform in ("linux/s390x", "linux/mips", str(own), ""):
            assert str(room.build(text, platform=platform).config.platform) == (platform or str(own))
        fixed = "FROM --platform=linux/mips base:1\nLABEL a=b"
        assert str(room.build(fixed).config.platform) == "linux/mips"
        assert str(room.build(fixed, platform="linux/s390x").config.platform) == "linux/s390x", "what it is built for"
        with pytest.raises(InvalidInput, match="wanted linux/arm64, actual linux/"):
            room.build(text, platform="linux/arm64")
        room.catalogue.tag(room.catalogue.create(ImageConfig("mips", "linux", RootFS(), author="x"), [], []), "base:1")
        assert room.store.records.platforms("docker.io/library/base:1") == {}, "they were of the image that it named"

    def test_a_wrong_tag_is_refused_before_anything_is_done(self, room: Room) -> None:
        with pytest.raises(InvalidInput, match="invalid reference format"):
            room.build("FROM base:1\nWORKDIR /w", tags=("No Tag",))
        assert room.events == []

    def test_mistakes_in_the_ignore_file(self, room: Room) -> None:
        room.write(".dockerignore", "a[")
        with pytest.raises(ParseError, match="syntax error in pattern"):
            room.build("FROM base:1")

    @pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
    def test_nothing_half_written_stays(
        self, room: Room, error: BaseException, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        room.write("a")
        before = room.snapshots()

        def fail(*arguments: object, **named: object) -> None:
            del arguments, named
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(Target, "write_file", fail)
            with pytest.raises((Unavailable, KeyboardInterrupt)) as caught:
                room.build("FROM base:1\nWORKDIR /w\nCOPY a /a")
        if isinstance(caught.value, KistError):
            assert "no space left on device" in caught.value.message
            assert caught.value.hint
        assert len(room.snapshots() - before) == 1
        room.build("FROM base:1\nWORKDIR /w\nCOPY a /a")
        assert room.cached() == [True, True, False]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB."""
    if os.geteuid():
        pytest.skip("a file system is mounted, which only root may")
    place = tmp_path / "disk"
    place.mkdir()
    mounts.mount("tmpfs", str(place), "tmpfs", 0, "size=8m")
    try:
        yield place
    finally:
        mounts.unmount(str(place))


def test_a_full_disk_ends_the_build_and_gives_its_space_back(small_disk: Path, tmp_path: Path) -> None:
    (tmp_path / "context").mkdir()
    with Store(str(small_disk / "store")) as store:
        room = Room(store, Images(store), tmp_path / "context")
        (room.context / "large").write_bytes(os.urandom(12 << 20))
        (room.context / "medium").write_bytes(os.urandom(5 << 20))  # fits once, as files, and not twice, as a blob too
        room.write("small")
        room.build("FROM scratch\nCOPY small /")
        before = os.statvfs(small_disk).f_bavail
        for name in ("large", "medium"):
            with pytest.raises(Unavailable, match="no space left on device"):
                room.build(f"FROM scratch\nCOPY small /\nCOPY {name} /")
        assert not [name for name in room.snapshots() if name.startswith("build-")]
        assert os.statvfs(small_disk).f_bavail >= before - 64
        room.build("FROM scratch\nCOPY small /\nCOPY small /again")
