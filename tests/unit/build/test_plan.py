"""From a Dockerfile to a graph of steps; nothing is done."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.build import cache
from kist.build.builder_arguments import with_builder_arguments
from kist.build.plan import Configure, CopyFiles, Download, MakeDirectory, Plan, Run, Scratch, UseImage, UseStage
from kist.build.planner import plan
from kist.build.run_mount import CacheMount
from kist.errors import InvalidInput, KistError, NotFound, ParseError
from kist.spec.build import BuildOptions
from kist.spec.dockerfile import parse
from kist.spec.dockerfile.mode import Mode
from kist.spec.image import ContainerConfig, ImageConfig, RootFS
from kist.spec.platform import Platform

HOST = Platform("amd64")
BASE = ContainerConfig(env=("PATH=/bin", "BASE=1"), cmd=("sh",), working_dir="/start")
CONFIGS = {
    "base": BASE,
    "debian:12": ContainerConfig(env=("PATH=/bin",)),
    "tools": ContainerConfig(),
    "parent": ContainerConfig(on_build=("ARG V=2", "COPY . /src", "RUN make $V")),
    "broken": ContainerConfig(on_build=("ENV x=${",)),
}

PIECES = (
    *("FROM b", "FROM base AS c", "COPY --from=b", "COPY --from=c", "COPY", "ADD", "ENV", "ARG", "LABEL", "RUN", "CMD"),
    *("EXPOSE", "VOLUME", "USER", "WORKDIR", "STOPSIGNAL", "ONBUILD", "ENTRYPOINT", "HEALTHCHECK CMD", "--chown=$x"),
    *(" ", " ", " ", "\n", "\n", "\n", "a", "a=", "=$x", "$x", "${y:-", "}", "..", "/", "*", "[", '"', "'", "80", "-9"),
)


def lookup(name: str, platform: Platform | None, exact: bool) -> ImageConfig:
    del platform, exact
    if name not in CONFIGS:
        raise NotFound(f"No such image: {name}")
    return ImageConfig("amd64", "linux", RootFS(), author="Base", config=CONFIGS[name])


def planned(text: str, **options: object) -> Plan:
    return plan(parse(text), BuildOptions(**options), lookup, HOST)  # type: ignore[arg-type]


def after(text: str, **options: object) -> ContainerConfig:
    """The config after these instructions on ``base``."""
    return planned(f"FROM base\n{text}", **options).config


def runs(found: Plan) -> list[Run]:
    return [step.action for step in found.steps if isinstance(step.action, Run)]


def titles(found: Plan) -> list[str]:
    return [step.title for step in found.steps]


# The graph


def test_a_build_for_a_platform_asks_its_bases_for_it() -> None:
    asked = []

    def note(name: str, platform: Platform | None, exact: bool) -> ImageConfig:
        asked.append((name, platform, exact))
        return lookup(name, platform, exact)

    text = "FROM base\nARG TARGETARCH\nARG BUILDARCH\nENV a=$TARGETARCH-$BUILDARCH\n"
    text += "FROM --platform=linux/386 tools\nCOPY --from=0 a /\nCOPY --from=debian:12 a /"
    found = plan(parse(text), BuildOptions(platform="linux/arm64"), note, HOST)
    assert asked == [
        ("tools", Platform("386"), True), ("base", Platform("arm64"), True), ("debian:12", Platform("arm64"), False)
    ]  # fmt: skip
    uses = {step.action for step in found.steps if isinstance(step.action, UseImage)}
    assert uses == {
        UseImage("tools", "linux/386"), UseImage("base", "linux/arm64"), UseImage("debian:12", "linux/arm64")
    }  # fmt: skip
    assert found.platform == Platform("arm64"), "what it is built for"
    assert "a=arm64-amd64" in next(step.config.env or () for step in found.steps if step.title.startswith("ENV"))
    assert plan(parse("FROM scratch"), BuildOptions(platform="linux/arm/v7"), note, HOST).platform == Platform(
        "arm", "linux", "v7"
    )


def test_each_step_stands_on_the_one_before() -> None:
    found = planned("FROM base\nRUN a\nENV x=y\nWORKDIR w")
    assert [type(step.action) for step in found.steps] == [UseImage, Run, Configure, MakeDirectory]
    assert [step.requires for step in found.steps] == [(), ("0.0",), ("0.1",), ("0.2",)]
    assert found.result == "0.3"


def test_stages_that_nobody_needs_are_left_out() -> None:
    found = planned("FROM missing AS unused\nRUN x\nFROM base AS used\nRUN y\nFROM used\nRUN z")
    assert titles(found) == ["FROM base AS used", "RUN y", "FROM used", "RUN z"]


def test_a_copy_requires_the_stage_that_it_copies_from() -> None:
    found = planned("FROM base AS one\nRUN x\nFROM scratch\nCOPY --from=one /a /b\nCOPY --from=0 /c /d")
    copies = [step for step in found.steps if isinstance(step.action, CopyFiles)]
    assert [step.requires for step in copies] == [("1.0", "0.1"), ("1.1", "0.1")]
    assert isinstance(found.steps[2].action, Scratch)


def test_a_stage_on_a_stage_requires_its_last_step() -> None:
    found = planned("FROM base AS one\nRUN x\nFROM one\nRUN y")
    use = found.steps[2]
    assert isinstance(use.action, UseStage)
    assert use.requires == ("0.1",)


def test_an_image_can_be_copied_from() -> None:
    found = planned("FROM scratch\nCOPY --from=tools /t /\nCOPY --from=tools /u /")
    assert titles(found) == ["FROM tools", "FROM scratch", "COPY --from=tools /t /", "COPY --from=tools /u /"]
    assert found.steps[0].action == UseImage("tools")
    assert found.steps[3].requires == ("0.1", "image tools")


def test_a_later_stage_may_be_copied_from() -> None:
    found = planned("FROM base AS a\nCOPY --from=b /x /\nFROM base AS b\nRUN y", target="a")
    assert titles(found) == ["FROM base AS a", "FROM base AS b", "RUN y", "COPY --from=b /x /"] or titles(found) == [
        "FROM base AS b",
        "RUN y",
        "FROM base AS a",
        "COPY --from=b /x /",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "FROM base AS a\nCOPY --from=a /x /",
        "FROM base AS a\nCOPY --from=b /x /\nFROM base AS b\nCOPY --from=a /x /",
    ],
)
def test_a_cycle_between_stages_is_refused(text: str) -> None:
    with pytest.raises(ParseError, match="circular dependency detected on stage") as caught:
        planned(text)
    assert "COPY --from" in caught.value.text, "it is told where the circle closes"
    assert " → " in caught.value.hint


def test_stages_on_stages_only_so_deep() -> None:
    chain = "FROM base AS s0\n" + "".join(f"FROM s{n} AS s{n + 1}\n" for n in range(400))
    assert planned(chain, target="s50").steps[-1].id == "50.0"
    with pytest.raises(ParseError, match="more than 100 stages stand on one another"):
        planned(chain)


@given(st.lists(st.sampled_from(PIECES), max_size=25).map("".join))
def test_whatever_the_text_it_is_planned_or_refused(text: str) -> None:
    try:
        found: Plan | KistError = planned(f"FROM base AS b\n{text}", build_args={"x": "1"})
    except KistError as error:
        found = error
    assert isinstance(found, Plan) or str(found).encode()


@pytest.mark.parametrize(("target", "last"), [("", "RUN c"), ("ONE", "RUN a"), ("1", "RUN b"), ("two", "RUN b")])
def test_target(target: str, last: str) -> None:
    text = "FROM base AS one\nRUN a\nFROM base AS two\nRUN b\nFROM base\nRUN c"
    assert titles(planned(text, target=target))[-1] == last


@pytest.mark.parametrize(("target", "hint"), [("tow", "did you mean two?"), ("7", "its stages are two, 1")])
def test_unknown_target(target: str, hint: str) -> None:
    with pytest.raises(InvalidInput, match=f'target stage "{target}" could not be found') as caught:
        planned("FROM base AS two\nFROM base", target=target)
    assert caught.value.hint == hint


def test_every_step_names_its_line() -> None:
    assert [step.place for step in planned("# c\nFROM base\nRUN a \\\n b\nRUN c").steps] == [
        "Dockerfile:2",
        "Dockerfile:3",
        "Dockerfile:5",
    ]


# Variables


@pytest.mark.parametrize(
    ("text", "build_args", "image"),
    [
        ("ARG V=12\nFROM debian:$V", {}, "debian:12"),
        ("ARG V=11\nFROM debian:${V}", {"V": "12"}, "debian:12"),
        ("ARG V\nFROM debian:${V:-12}", {}, "debian:12"),
        ("ARG A=debian\nARG B=${A}:12\nFROM $B", {}, "debian:12"),
        ("FROM ${TARGETOS:+base}", {}, "base"),
    ],
)
def test_arguments_before_from(text: str, build_args: dict[str, str], image: str) -> None:
    assert planned(text, build_args=build_args).steps[0].action == UseImage(image)


@pytest.mark.parametrize(
    ("text", "build_args", "environment"),
    [
        ("ARG A=1", {}, ["A=1"]),
        ("ARG A=1", {"A": "2"}, ["A=2"]),
        ("ARG A", {}, []),
        ("ARG A", {"A": ""}, ["A="]),
        ("ARG A=1\nARG A", {}, ["A=1"]),
        ("ARG A=1\nENV A=2", {}, ["A=2"]),
        ("ENV A=2\nARG A=1", {"A": "3"}, ["A=2"]),
        ("ARG A=1\nENV B=$A", {}, ["B=1", "A=1"]),
        ("ARG A=1 B=$A", {}, ["A=1", "B="]),
        ("ARG A=1\nARG B=${A}x", {}, ["A=1", "B=1x"]),
        ("ARG G", {}, ["G=global"]),
        ("ARG G=stage", {}, ["G=stage"]),
        ("ARG G=stage", {"G": "given"}, ["G=given"]),
        ("ENV X=$G", {}, ["X="]),
        ("ARG TARGETARCH", {}, ["TARGETARCH=amd64"]),
        ("ENV A=1 B=$A", {}, ["A=1", "B="]),
        ("ENV A=1\nENV A=2 B=$A", {}, ["A=2", "B=1"]),
        ("ENV BASE=${BASE}1", {}, ["BASE=11"]),
        ("ENV A='$BASE' B=\"$BASE\" C=\\$BASE", {}, ["A=$BASE", "B=1", "C=$BASE"]),
        ("ENV A a b  'c'", {}, ["A=a b  c"]),
    ],
)
def test_what_a_command_sees(text: str, build_args: dict[str, str], environment: list[str]) -> None:
    found = planned(f"ARG G=global\nFROM base\n{text}\nRUN x", build_args=build_args)
    seen = [entry for entry in runs(found)[0].environment if entry not in BASE.env]  # type: ignore[operator]
    assert seen == environment


def test_an_argument_is_not_seen_before_its_line_and_not_in_other_stages() -> None:
    found = planned("FROM base AS a\nRUN 1\nARG A=1\nRUN 2\nFROM base\nRUN 3\nCOPY --from=a / /")
    assert {run.argv[-1]: "A=1" in run.environment for run in runs(found)} == {"1": False, "2": True, "3": False}


def test_a_stage_has_the_arguments_of_the_stage_that_it_stands_on() -> None:
    found = planned("FROM base AS a\nARG A=1 B=1\nFROM a AS b\nARG B=2\nFROM b\nRUN a $A\nCOPY $A-$B /")
    assert runs(found)[0].environment[-2:] == ("A=1", "B=2")
    assert titles(found)[-1] == "COPY $A-$B /"
    assert found.steps[-1].action.sources == ("1-2",)  # type: ignore[union-attr]


def test_proxies_are_seen_by_commands_alone() -> None:
    found = planned("FROM base\nRUN a\nENV x=y$HTTP_PROXY", build_args={"HTTP_PROXY": "p"})
    assert runs(found)[0].proxies == ("HTTP_PROXY=p",)
    assert "HTTP_PROXY=p" not in runs(found)[0].environment
    assert (found.config.env or ())[-1] == "x=y"
    assert not found.warnings


def test_a_declared_proxy_counts_like_any_argument() -> None:
    run = runs(planned("FROM base\nARG http_proxy\nRUN a", build_args={"http_proxy": "p"}))[0]
    assert run.proxies == ()
    assert "http_proxy=p" in run.environment


def test_arguments_that_nobody_declares_are_warned_about() -> None:
    found = planned("ARG A\nFROM base\nARG B", build_args={"A": "", "B": "", "C": "", "D": ""})
    assert found.warnings == ("one or more build-args [C, D] were not consumed",)


# The config


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("CMD a $BASE", {"cmd": ("/bin/sh", "-c", "a $BASE")}),
        ('CMD ["a", "$BASE"]', {"cmd": ("a", "$BASE")}),
        ("CMD []", {"cmd": ()}),
        ('SHELL ["/bin/bash", "-c"]\nCMD a', {"shell": ("/bin/bash", "-c"), "cmd": ("/bin/bash", "-c", "a")}),
        ('ENTRYPOINT ["a"]', {"entrypoint": ("a",), "cmd": None}),
        ('CMD ["c"]\nENTRYPOINT ["a"]', {"entrypoint": ("a",), "cmd": ("c",)}),
        ("ENTRYPOINT []", {"entrypoint": None, "cmd": None}),
        ("LABEL a=$BASE b='x y'\nLABEL a=2", {"labels": {"a": "2", "b": "x y"}}),
        ("LABEL $BASE=x", {"labels": {"1": "x"}}),
        ("EXPOSE 80 53/UDP", {"exposed_ports": {"80/tcp": {}, "53/udp": {}}}),
        ("EXPOSE 80-82", {"exposed_ports": {"80/tcp": {}, "81/tcp": {}, "82/tcp": {}}}),
        ("EXPOSE 127.0.0.1:8080:80", {"exposed_ports": {"80/tcp": {}}}),
        ('ARG P="1 2"\nEXPOSE $P', {"exposed_ports": {"1/tcp": {}, "2/tcp": {}}}),
        ("VOLUME /a $BASE", {"volumes": {"/a": {}, "1": {}}}),
        ("USER u$BASE:g", {"user": "u1:g"}),
        ("WORKDIR /a/../b", {"working_dir": "/b"}),
        ("WORKDIR c/$BASE", {"working_dir": "/start/c/1"}),
        ("WORKDIR a\nWORKDIR ../b", {"working_dir": "/start/b"}),
        ("STOPSIGNAL SIGUSR1", {"stop_signal": "SIGUSR1"}),
        ("STOPSIGNAL 9", {"stop_signal": "9"}),
        ("STOPSIGNAL rtmin+3", {"stop_signal": "rtmin+3"}),
        ("ONBUILD RUN $BASE", {"on_build": ("RUN $BASE",)}),
    ],
)
def test_config(text: str, changes: dict[str, object]) -> None:
    config = after(text)
    assert {name: getattr(config, name) for name in changes} == changes


def test_of_a_published_port_the_containers_counts() -> None:
    assert after("EXPOSE 127.0.0.1:1:2/UDP").exposed_ports == {"2/udp": {}}


def test_maintainer_is_the_author() -> None:
    assert planned("FROM base").author == "Base"
    assert planned("FROM base\nMAINTAINER Me\nRUN x").author == "Me"


def test_labels_of_the_build_are_added() -> None:
    assert after("LABEL a=1 b=2", labels={"b": "3"}).labels == {"a": "1", "b": "3"}


# COPY and ADD


@pytest.mark.parametrize(
    ("text", "sources", "destination", "into"),
    [
        ("COPY a b", ("a",), "/start/b", False),
        ("COPY a b/", ("a",), "/start/b", True),
        ("COPY a .", ("a",), "/start", True),
        ("COPY a /x/./y/..", ("a",), "/x", True),
        ("COPY a /", ("a",), "/", True),
        ("COPY . /app", (".",), "/app", False),
        ("COPY / /app", (".",), "/app", False),
        ("COPY /a/../b ./c/ /d/", ("b", "c"), "/d", True),
        ("COPY a$BASE /$BASE", ("a1",), "/1", False),
        ('COPY ["a b", "c d"]', ("a b",), "/start/c d", False),
    ],
)
def test_paths_of_a_copy(text: str, sources: tuple[str, ...], destination: str, into: bool) -> None:
    action = planned(f"FROM base\n{text}").steps[-1].action
    assert isinstance(action, CopyFiles)
    assert (action.sources, action.destination, action.into_directory) == (sources, destination, into)


def test_flags_of_a_copy() -> None:
    action = planned("FROM base\nADD --chown=$BASE:g --chmod=0755 a b").steps[-1].action
    assert isinstance(action, CopyFiles)
    assert (action.owner, action.mode, action.unpack) == ("1:g", Mode(0o755), True)


def test_in_another_stage_dots_stop_at_the_root() -> None:
    action = planned("FROM base AS a\nFROM base\nCOPY --from=a ../../x y").steps[-1].action
    assert isinstance(action, CopyFiles)
    assert action.sources == ("x",)


# ONBUILD


def test_triggers_of_the_base_are_run_first_and_once() -> None:
    found = planned("FROM parent AS a\nRUN own\nFROM a\nRUN more")
    assert titles(found) == [
        "FROM parent AS a",
        "ARG V=2",
        "COPY . /src",
        "RUN make $V",
        "RUN own",
        "FROM a",
        "RUN more",
    ]
    assert runs(found)[0].environment == ("V=2",)
    assert found.config.on_build is None


def test_a_mistake_in_a_trigger_points_into_the_trigger() -> None:
    with pytest.raises(ParseError) as caught:
        planned("FROM broken")
    assert (caught.value.source, caught.value.text) == ("trigger of broken", "ONBUILD ENV x=${")


# History


@pytest.mark.parametrize(
    ("text", "created_by"),
    [
        ("RUN a  b", "RUN /bin/sh -c a  b"),
        ('RUN ["a", "b"]', "RUN a b"),
        ("ARG A=1\nRUN a", "RUN |1 A=1 /bin/sh -c a"),
        ("ENV A=1 B='x y'", "ENV A=1 B=x y"),
        ("ARG A\n", "ARG A"),
        ("ARG A=1", "ARG A=1"),
        ("CMD a", 'CMD ["/bin/sh" "-c" "a"]'),
        ("COPY a b c/", "COPY a b /start/c/"),
        ("ADD --chown=1 --chmod=7 a /", "ADD --chown=1 --chmod=0007 a /"),
        ("WORKDIR a", "WORKDIR /start/a"),
        ("EXPOSE 80", "EXPOSE 80/tcp"),
        ("VOLUME /a /b", "VOLUME [/a /b]"),
        ("USER a", "USER a"),
        ("LABEL a=b", "LABEL a=b"),
        ("HEALTHCHECK   --retries=2   CMD a", "HEALTHCHECK --retries=2 CMD a"),
        ("ONBUILD RUN a", "ONBUILD RUN a"),
    ],
)
def test_history(text: str, created_by: str) -> None:
    assert planned(f"FROM base\n{text}").steps[-1].created_by == created_by


# What is told to the builder


def test_commands_have_the_name_of_a_machine_and_a_space_of_caches() -> None:
    text = "FROM base\nRUN --mount=type=cache,target=/c a"
    (usual,) = runs(planned(text))
    args = {"BUILDKIT_SANDBOX_HOSTNAME": "builder", "BUILDKIT_CACHE_MOUNT_NS": "ours"}
    (told,) = runs(planned(text, build_args=args))
    assert (usual.hostname, told.hostname) == ("", "builder")
    ids = [mount.id for run in (usual, told) for mount in run.mounts if isinstance(mount, CacheMount)]
    assert ids == ["/c", "ours//c"]
    assert cache.key("x", usual) != cache.key("x", told)
    assert planned(text, build_args=args).warnings == (), "they need no ARG"


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("BUILDKIT_SYNTAX", "docker/dockerfile:1.9", ""),
        ("BUILDKIT_SYNTAX", "dockerfile.v0", ""),
        ("BUILDKIT_SYNTAX", "other/syntax", "is not used"),
        ("BUILDKIT_BUILD_NAME", "x", "no effect"),
        ("BUILDKIT_SANDBOX_HOST", "x", "did you mean BUILDKIT_SANDBOX_HOSTNAME?"),
        ("BUILDKIT_CACHE_MOUNT_NS", "x", ""),
        ("BUILDKIT_OWN", "x", ""),
    ],
)
def test_what_a_builder_is_told_and_does_not_know(name: str, value: str, told: str) -> None:
    options, warnings = with_builder_arguments(
        BuildOptions(build_args={name: value}), parse("FROM base\nARG BUILDKIT_OWN")
    )
    assert options.cache_to == ()
    assert bool(told) == bool(warnings)
    assert told in "".join(warnings)


def test_a_cache_in_the_image_may_be_asked_for_by_an_argument() -> None:
    for value, expected in (("1", ("min", "inline")), ("0", ("min",)), ("true", ("min", "inline"))):
        asked = BuildOptions(build_args={"BUILDKIT_INLINE_CACHE": value}, cache_to=("min",))
        assert with_builder_arguments(asked, parse("FROM base"))[0].cache_to == expected


def test_a_machine_cannot_have_any_name() -> None:
    with pytest.raises(InvalidInput, match="invalid hostname"):
        with_builder_arguments(BuildOptions(build_args={"BUILDKIT_SANDBOX_HOSTNAME": "a b"}), parse("FROM base"))


# Mistakes


def test_names_of_contexts_are_near_too() -> None:
    contexts = {"sources": "docker-image://base"}
    for text in ("FROM source", "FROM base\nCOPY --from=source a /"):
        with pytest.raises(ParseError, match='is called "source"') as caught:
            planned(text, contexts=contexts)
        assert caught.value.hint == "did you mean sources?"


def test_a_stage_that_copies_is_not_what_was_meant() -> None:
    with pytest.raises(ParseError, match='is called "nxt"') as caught:
        planned("FROM base AS nxt1\nFROM nxt1 AS nxtx\nCOPY --from=nxt a /")
    assert caught.value.hint == "did you mean nxt1?"


def test_commands_that_cannot_run_here_are_told_at_their_line() -> None:
    text = "FROM --platform=$BUILDPLATFORM scratch AS build\nRUN a\nFROM scratch\nCOPY --from=build a /\n"
    options = BuildOptions(platform="linux/arm64")
    found = plan(parse(text), options, lookup, HOST)
    assert len(runs(found)) == 1, "that is one of this machine"
    unneeded = "FROM scratch\nRUN b\nFROM scratch\nCOPY c /\n"
    assert plan(parse(unneeded), options, lookup, HOST).platform == Platform("arm64")
    with pytest.raises(ParseError) as caught:
        plan(parse(text + "RUN b\n"), options, lookup, HOST)
    assert caught.value.line == 5
    assert "programs of linux/arm64" in str(caught.value)
    assert "FROM --platform=$BUILDPLATFORM" in caught.value.hint
    assert runs(plan(parse(text + "RUN b\n"), options, lookup, HOST, cannot=lambda _: ""))


@pytest.mark.parametrize(
    ("text", "kind", "column", "message"),
    [
        ("FROM $NOTHING", ParseError, 6, "should not be blank"),
        ("FROM --platform=a/b/c/d base", ParseError, 17, "invalid platform"),
        ("FROM base\nCOPY ../x y", ParseError, 6, "forbidden path outside the build context: ../x"),
        ("FROM base\nCOPY a/../../x y", ParseError, 6, "forbidden path outside the build context"),
        ("FROM base\nCOPY a b c", ParseError, 10, "the destination must be a directory"),
        ("FROM base\nCOPY $NOTHING c", ParseError, 6, "this source is empty"),
        ("FROM base\nSTOPSIGNAL " + "9" * 5000, ParseError, 12, "invalid signal"),
        ("FROM base\nCOPY --from=" + "9" * 5000 + " a b", NotFound, 0, "No such image"),
        ("FROM base\nCOPY --from=3 a b", ParseError, 13, "invalid from flag value 3"),
        ("FROM base\nCOPY --chmod=u+q a b", ParseError, 14, "expected an octal number"),
        ("FROM base\nENV $NOTHING=x", ParseError, 5, "empty after its variables"),
        ("FROM base\nENV a='x", ParseError, 7, "single quote is not closed"),
        ("FROM base\nLABEL a=b \\\n  c=${", ParseError, 5, "not closed"),
        ("FROM base\nEXPOSE 80 x", ParseError, 11, "invalid port 'x'"),
        ("FROM base\nEXPOSE 70000", ParseError, 8, "invalid port"),
        ("FROM base\nEXPOSE 9-8", ParseError, 8, "invalid port"),
        ("FROM base\nUSER $NOTHING", ParseError, 6, "USER needs"),
        ("FROM base\nWORKDIR $NOTHING", ParseError, 9, "WORKDIR needs"),
        ("FROM base\nVOLUME $NOTHING", ParseError, 1, "empty string"),
        ("FROM base\nSTOPSIGNAL SIGFOO", ParseError, 12, "invalid signal: SIGFOO"),
        ("FROM missing", NotFound, 0, "No such image: missing"),
        ("FROM base\nCOPY --from=missing a b", NotFound, 0, "Dockerfile:2:13: No such image: missing\n"),
        ("ARG N=missing\nFROM base\nFROM $N", NotFound, 0, "Dockerfile:3:6: No such image: missing\n"),
    ],
)
def test_mistake(text: str, kind: type[KistError], column: int, message: str) -> None:
    with pytest.raises(kind) as caught:
        planned(text)
    assert message in caught.value.message
    assert getattr(caught.value, "column", 0) == column


def test_variables_make_no_file_of_any_length() -> None:
    """Each word is short enough, and there are many."""
    lines = "".join(f"LABEL l{number}=x$v\n" for number in range(40))
    values = {"v": "x" * 500_000}
    for text in (f"FROM base\nARG v\n{lines}", f"FROM base\nARG v\n{lines.replace('LABEL', 'ARG')}"):
        with pytest.raises(ParseError, match="longer by more than 16 MiB") as caught:
            planned(text, build_args=values)
        assert caught.value.line > 30
    assert planned(f"FROM base\nARG v\n{lines[:200]}", build_args=values)


def test_a_base_that_is_a_later_stage() -> None:
    with pytest.raises(NotFound, match="No such image: b") as caught:
        planned("FROM b AS a\nFROM a AS b")
    assert caught.value.hint == 'a stage stands on one before it, and "b" begins in line 2'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("COPY --parents x/a.txt ./y/./b*/c /d/", "COPY --parents x/a.txt y/./b*/c /d/"),
        ("COPY --link --exclude=*.o --chmod=u=rwX,go= a /d/", "COPY --chmod=u=rwX,go= --exclude=*.o --link a /d/"),
        ("COPY a <<b /d/\nb", "COPY a <<b /d/"),
        ("ADD https://me:secret@host/x?y /d", "ADD https://host/x?y /d"),
        ("ADD https://me:secret@host/x.git#v1:sub /d", "ADD https://host/x.git#v1:sub /d"),
    ],
)
def test_history_tells_what_was_copied_and_no_password(text: str, told: str) -> None:
    assert planned(f"FROM base\n{text}").steps[-1].created_by == told


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://h/a/b.tar?x=/y#/z", "b.tar"),
        ("http://h/a%20b", "a b"),
        ("http://h/a%2Fb", "b"),
        ("http://h/%FF", "\ufffd"),
        ("http://h/a/", ""),
        ("http://h", ""),
        ("http://h/a/%2E%2E", ""),
    ],
)
def test_the_name_of_what_is_fetched(url: str, name: str) -> None:
    action = planned(f"FROM base\nADD {url} /d/").steps[-1].action
    assert isinstance(action, CopyFiles)
    (remote,) = action.remotes
    assert isinstance(remote, Download)
    assert remote.name == name


@pytest.mark.parametrize(
    ("names", "anew"),
    [((), []), (("b",), ["1.0", "1.1"]), (("B", "0"), ["0.0", "0.1", "1.0", "1.1"])],
)
def test_stages_that_are_not_taken_from_the_cache(names: tuple[str, ...], anew: list[str]) -> None:
    text = (
        "FROM scratch AS a\nCOPY a /\nFROM scratch AS b\nCOPY a /\nFROM scratch\nCOPY --from=a / /\nCOPY --from=b / /"
    )
    made = planned(text, no_cache_filter=names)
    assert sorted(step.id for step in made.steps if step.anew) == anew
    assert not made.warnings


def test_a_stage_that_is_not_there_to_be_done_anew_is_warned_about() -> None:
    made = planned("FROM scratch AS builder\nCOPY a /", no_cache_filter=("bilder",))
    assert made.warnings == (
        "no stage is called bilder, of which nothing is to be taken from the cache: did you mean builder?",
    )
