"""RUN --mount=type=bind, cache, tmpfs: what commands see, what stays, and what leaves no trace."""

import subprocess
import threading
from pathlib import Path

import pytest

from building import Session
from harness import Cli
from kist.engine import Engine
from kist.errors import NotFound, ParseError
from kist.spec.progress import Event, StepFinished, StepOutput


@pytest.fixture
def session(engine: Engine, tmp_path: Path) -> Session:
    context = tmp_path / "context"
    (context / "sub").mkdir(parents=True)
    (context / "file").write_text("of the context\n")
    (context / "sub" / "inner").write_text("inner\n")
    (context / "hidden").write_text("hidden\n")
    (context / ".dockerignore").write_text("hidden\n")
    return Session(engine, context)


def test_the_context_is_shown_and_cannot_be_written_to(session: Session, busybox: str) -> None:
    session.build(
        f"FROM {busybox}\nRUN --mount=target=/ctx cat /ctx/file /ctx/sub/inner; ls /ctx; "
        "touch /ctx/new 2>/dev/null || echo refused"
    )
    assert "of the context\ninner\n" in session.output
    assert "hidden" not in session.output
    assert "refused\n" in session.output


def test_a_file_of_the_context_can_be_written_to_and_stays_as_it_was(session: Session, busybox: str) -> None:
    image = session.build(
        f"FROM {busybox}\nRUN --mount=source=file,target=/deep/er/f,rw echo more >> /deep/er/f && cat /deep/er/f"
    )
    assert session.output == "of the context\nmore\n"
    assert (session.context / "file").read_text() == "of the context\n"
    assert session.run(image, "sh", "-c", "ls -d /deep || echo none").endswith("none\n")


def test_all_commands_of_a_build_see_the_same_files_of_the_context(session: Session, busybox: str) -> None:
    class Changing(list[Event]):
        """Has the directory change as soon as the first command has ended."""

        def append(self, event: Event) -> None:
            super().append(event)
            if isinstance(event, StepFinished) and not event.cached:
                (session.context / "file").write_text("changed\n")

    session.events = Changing()
    text = (
        f"FROM {busybox}\nRUN --mount=target=/ctx cat /ctx/file\n"
        "RUN --mount=target=/ctx,rw echo mine > /ctx/file && cat /ctx/file\n"
        "RUN --mount=target=/ctx cat /ctx/file # again\n"
    )
    session.build(text)
    assert session.output == "of the context\nmine\nof the context\n"
    session.build(text)
    assert session.cached == [True, False, False, False]
    assert session.output == "changed\nmine\nchanged\n"


def test_a_result_is_known_by_the_files_that_its_command_saw(session: Session, busybox: str) -> None:
    """The directory changes while a command runs that does not see it, between two that do; the first is cached."""

    class Changing(list[Event]):
        def append(self, event: Event) -> None:
            super().append(event)
            if isinstance(event, StepOutput) and event.text == "meanwhile\n":
                (session.context / "file").write_text("changed\n")

    (session.context / ".dockerignore").write_text("Dockerfile\n")
    text = f"FROM {busybox}\nRUN --mount=target=/ctx cat /ctx/file\n"
    session.build(text)
    session.events = Changing()
    text += "RUN echo meanwhile\nRUN --mount=target=/ctx cat /ctx/file # again\n"
    session.build(text)
    assert session.output == "meanwhile\nchanged\n"
    (session.context / "file").write_text("of the context\n")
    session.events = []
    session.build(text)
    assert session.cached == [True, True, True, False]
    assert session.output == "of the context\n"


def test_files_of_a_stage_and_of_an_image(session: Session, busybox: str) -> None:
    image = session.build(
        f"FROM {busybox} AS made\nRUN mkdir /out && echo from-stage > /out/it && chown 0:0 /out/it\n"
        f"FROM {busybox}\nRUN --mount=from=made,source=/out,target=/o --mount=from={busybox},source=/etc,target=/e,rw "
        "cat /o/it && echo x > /e/new && cat /e/new && ! touch /o/y\n"
        f"RUN --mount=from={busybox},source=/etc,target=/e,rw ls /e/new || echo thrown-away"
    )
    assert "from-stage\nx\n" in session.output
    assert "thrown-away" in session.output
    assert session.run(image, "ls", "/").split() == session.run(session.engine.image(busybox), "ls", "/").split()


def test_a_part_that_is_not_there_is_named(session: Session, busybox: str) -> None:
    with pytest.raises(NotFound, match="nothing-here"):
        session.build(f"FROM {busybox}\nRUN --mount=source=nothing-here,target=/x true")
    with pytest.raises(NotFound, match="nothing-there"):
        session.build(f"FROM {busybox}\nRUN --mount=from={busybox},source=nothing-there,target=/x true")


def test_what_is_shown_is_in_the_cache_key(session: Session, busybox: str) -> None:
    text = f"FROM {busybox}\nRUN --mount=source=sub,target=/s cat /s/inner"
    session.build(text)
    session.build(text)
    assert session.cached == [True, True]
    (session.context / "file").write_text("another\n")  # is not shown
    session.build(text)
    assert session.cached == [True, True]
    (session.context / "sub" / "inner").write_text("changed\n")
    session.build(text)
    assert session.output == "changed\n"


def test_mount_points_leave_no_layer(session: Session, busybox: str) -> None:
    """Missing directories on the way are no change; nor is the time of the directory that they were missing in."""
    image = session.build(
        f"FROM {busybox}\nRUN --mount=type=cache,target=/root/.cache/pip --mount=type=tmpfs,target=/a/b "
        "--mount=target=/root/ctx ls -d /root/.cache/pip /a/b /root/ctx"
    )
    assert image.config.rootfs == session.engine.image(busybox).config.rootfs


def test_what_a_command_makes_beside_a_mount_point_stays(session: Session, busybox: str) -> None:
    image = session.build(f"FROM {busybox}\nRUN --mount=type=tmpfs,target=/a/b echo x > /a/c")
    assert session.run(image, "cat", "/a/c") == "x\n"
    assert session.run(image, "ls", "/a").split() == ["c"]


def test_mount_points_of_a_tree_without_an_image(session: Session, busybox: str) -> None:
    image = session.build(
        f'FROM scratch\nCOPY --from={busybox} /bin /bin\nRUN --mount=type=tmpfs,target=/t/u ["/bin/touch", "/t/u/x"]'
    )
    assert session.run(image, "/bin/ls", "/").split().count("t") == 0


def test_a_tmpfs_has_its_size_and_may_have_programs(session: Session, busybox: str) -> None:
    session.build(
        f"FROM {busybox}\nRUN --mount=type=tmpfs,target=/t,size=1m df -k /t | tail -1; cp /bin/true /t/x; echo code $?"
    )
    assert " 1024 " in session.output


def test_mounts_go_with_every_form_of_a_command(session: Session, busybox: str) -> None:
    session.build(
        f"FROM {busybox}\nRUN --mount=source=file,target=/f <<EOF\ncat /f\nEOF\n"
        'RUN --mount=source=file,target=/f ["cat", "/f"]\n'
        "RUN --mount=source=file,target=/f <<EOF\n#!/bin/cat\nEOF\n"
    )
    assert session.output.count("of the context\n") == 2


def test_mount_points_behind_links_and_below_one_another(session: Session, busybox: str) -> None:
    """Links are followed inside the image, also one that leads to nothing, and no trace is left behind them."""
    targets = ("type=tmpfs,target=/link/a", "type=tmpfs,target=/dangling/b", "type=tmpfs,target=/link/a/c/d")
    mounts = " ".join(f"--mount={each}" for each in (*targets, "source=file,target=/out/of"))
    image = session.build(
        f"FROM {busybox}\nRUN mkdir /real && ln -s real /link && ln -s /away/far /dangling && ln -s ../../etc /out\n"
        f"RUN {mounts} touch /real/a/x /away/far/b/x /link/a/c/d/x && cat /etc/of\n"
    )
    assert session.output == "of the context\n"
    listed = session.run(image, "sh", "-c", "ls /real /away /etc/of 2>&1; true")
    assert "/real:\n" in listed
    assert listed.count("No such file") == 2


def test_a_trigger_of_the_base_may_have_mounts(session: Session, busybox: str) -> None:
    name = f"trigger-{session.context.parent.name}:1".lower()
    session.build(f"FROM {busybox}\nONBUILD RUN --mount=source=file,target=/f cat /f", tags=(name,))
    session.build(f"FROM {name}")
    assert session.output == "of the context\n"


def test_variables_are_replaced_in_options(session: Session, busybox: str) -> None:
    session.build(
        f"FROM {busybox}\nARG part=sub\nENV at=/here\nRUN --mount=source=$part,target=${{at}}/x cat /here/x/inner"
    )
    assert session.output == "inner\n"


def test_a_relative_target_is_below_the_working_directory(session: Session, busybox: str) -> None:
    session.build(f"FROM {busybox}\nWORKDIR /w\nRUN --mount=type=tmpfs,target=x touch x/y && ls /w/x")
    assert session.output == "y\n"
    with pytest.raises(ParseError, match="invalid mount target"):
        session.build(f"FROM {busybox}\nRUN --mount=type=tmpfs,target=/ true")


def test_a_cache_stays_from_build_to_build(session: Session, busybox: str) -> None:
    name = f"of-{session.context.parent.name}"
    text = f"FROM {busybox}\nRUN --mount=type=cache,id={name},target=/c echo %s >> /c/list; cat /c/list"
    session.build(text % "one")
    image = session.build(text % "two")
    assert session.output == "one\ntwo\n"
    assert image.config.rootfs == session.engine.image(busybox).config.rootfs
    session.build(text % "two")
    assert session.cached == [True, True]  # what is in a cache is in no key
    session.build(
        f"FROM {busybox}\nRUN --mount=type=cache,id={name},target=/other,ro cat /other/list; touch /other/x || echo ro"
    )
    assert "one\ntwo\n" in session.output
    assert "ro\n" in session.output


def test_a_cache_begins_with_its_mode_or_as_a_copy(session: Session, busybox: str) -> None:
    name = f"begins-{session.context.parent.name}"
    session.build(
        f"FROM {busybox} AS base\nRUN mkdir -p /seed/deep && echo seed > /seed/deep/x\nFROM {busybox}\n"
        f"RUN --mount=type=cache,id={name},target=/c,mode=0700 stat -c %a /c\n"
        f"RUN --mount=type=cache,id={name},target=/c,from=base,source=/seed cat /c/deep/x"
    )
    assert "700\n" in session.output
    assert "seed\n" in session.output


def test_a_private_cache_is_another_one_while_the_first_is_in_use(session: Session, busybox: str) -> None:
    """Two commands that are at work at once see each other by what they share, and not in a private cache."""
    name = f"private-{session.context.parent.name}"
    mounts = f"--mount=type=cache,id={name}-shared,target=/s --mount=type=cache,id={name},target=/p,sharing=private"
    meet = "touch /s/{0} /p/{0}; while [ ! -e /s/{1} ]; do usleep 10000; done; echo {0} sees $(ls /p)"
    session.build(
        f"FROM {busybox} AS a\nRUN {mounts} {meet.format('a', 'b')}\n"
        f"FROM {busybox} AS b\nRUN {mounts} {meet.format('b', 'a')}\n"
        "FROM scratch\nCOPY --from=a /etc/group /a\nCOPY --from=b /etc/group /b\n"
    )
    assert "a sees a\n" in session.output
    assert "b sees b\n" in session.output


def test_a_locked_cache_is_waited_for(session: Session, busybox: str) -> None:
    name = f"locked-{session.context.parent.name}"
    mounts = f"--mount=type=cache,id={name},target=/l,sharing=locked"
    alone = "mkdir /l/in && usleep 300000 && rmdir /l/in && echo {0} was alone"
    session.build(
        f"FROM {busybox} AS a\nRUN {mounts} {alone.format('a')}\n"
        f"FROM {busybox} AS b\nRUN {mounts} {alone.format('b')}\n"
        "FROM scratch\nCOPY --from=a /etc/group /a\nCOPY --from=b /etc/group /b\n"
    )
    assert "a was alone" in session.output
    assert "b was alone" in session.output


def test_caches_are_told_pruned_and_given_back(small: Cli, tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(
        "FROM busybox:test\nRUN --mount=type=cache,id=big,target=/c dd if=/dev/zero of=/c/zeros bs=1M count=3 2>&1\n"
    )
    small.good("build", "-q", str(context))
    assert "exec.cachemount" in small.good("system", "df", "-v")
    directory = small.directory / "data" / "cache-mounts"
    held = subprocess.run(["du", "-sm", directory], capture_output=True, text=True, check=True).stdout
    assert int(held.split()[0]) >= 3
    small.good("builder", "prune", "-af")
    assert list(directory.iterdir()) == []
    assert "total" not in small("system", "check").stderr


def test_a_cache_goes_from_one_engine_to_another(small: Cli, tmp_path: Path) -> None:
    context, tar = tmp_path / "context", tmp_path / "c.tar"
    context.mkdir()
    text = "FROM busybox:test\nRUN --mount=type=cache,id=moved,target=/c %s\n"
    (context / "Dockerfile").write_text(text % "mkdir /c/d && echo kept > /c/d/x && chown 0:0 /c/d")
    small.good("build", "-q", str(context))
    small.good("builder", "export", "-o", str(tar), "moved")
    assert "there is no cache called nothing" in small("builder", "export", "nothing").stderr
    small.good("builder", "prune", "-af")
    small.good("builder", "import", "moved", str(tar))
    (context / "Dockerfile").write_text(text % "cat /c/d/x")
    assert "kept\n" in small("build", "--progress", "plain", str(context)).stderr


def test_a_killed_build_leaves_no_lock(small: Cli, tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    text = "FROM busybox:test\nRUN --mount=type=cache,id=k,target=/k,sharing=locked echo %s; touch /k/x; %s\n"
    (context / "Dockerfile").write_text(text % ("begins", "sleep 600"))
    command = [*small.command, "build", "--progress", "plain", str(context)]
    with subprocess.Popen(command, env=small.environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.endswith("begins\n") and "echo" not in line:
                break
        subprocess.run(["kill", "-9", str(small.engine_pid())], check=True)
        process.stderr.read()
    (context / "Dockerfile").write_text(text % ("again", "ls /k"))
    done: list[str] = []
    thread = threading.Thread(target=lambda: done.append(small("build", "--progress", "plain", str(context)).stderr))
    thread.start()
    thread.join(60)
    assert done
    assert "x\n" in done[0]
