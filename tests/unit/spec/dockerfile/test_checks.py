"""The rules: a Dockerfile, and which of them it breaks on which lines."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.errors import InvalidInput, ParseError
from kist.spec.dockerfile import Ignore, parse
from kist.spec.dockerfile.checks.checking import look_at
from kist.spec.dockerfile.checks.finding import CheckReport
from kist.spec.dockerfile.checks.subject import Facts
from kist.spec.dockerfile.checks.suggesting import nearest
from kist.spec.dockerfile.checks.table import RULES
from kist.spec.platform import Platform

HERE = Platform("amd64")
OWN = ",".join(rule.name for rule in RULES if rule.own)
BUILDKITS = f"# check=skip={OWN}\n"
KNOWN = {"alpine": ("PATH=/bin", "HOME_OF_X=/x")}
FOREIGN = {"arm64v8/debian:12": Platform("arm64"), "both": Platform("arm64")}


def report(text: str, **facts: object) -> CheckReport:
    """What is found in a text; the environment of alpine is known, and the platform of some, "both" has two."""

    def platform(name: str, wanted: Platform) -> Platform | None:
        return wanted if name in {"both", "alpine"} else FOREIGN.get(name)

    given = {"base_platform": platform, **facts}
    return look_at(parse(text), Facts(HERE, HERE, environment=KNOWN.get, **given))  # type: ignore[arg-type]


def found(text: str, **facts: object) -> list[str]:
    return [f"{each.rule}:{each.line}" for each in report(text, **facts).findings]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM alpine AS BuilderBase", ["StageNameCasing:2"]),
        ("FROM alpine AS builder-base", []),
        ("FROM alpine as b", ["FromAsCasing:2"]),
        ("from alpine AS b", ["FromAsCasing:2"]),
        ("from alpine as b", []),
        ("From alpine as b", ["ConsistentInstructionCasing:2"]),
        ("FROM alpine\nEXPOSE \\\n\n80\n", ["NoEmptyContinuation:4"]),
        ("FROM alpine\nEXPOSE \\\n# port\n80\n\n", []),
        ("FROM alpine\nRUN <<EOF\n\ntrue\n\nEOF\n", []),
        ("FROM alpine\nRun true\nCMD []", ["ConsistentInstructionCasing:3"]),
        ("from alpine\nrun true\nCMD []", ["ConsistentInstructionCasing:4"]),
        ("arg x\nFROM alpine", []),
        ("FROM alpine AS b\nFROM alpine AS B", ["StageNameCasing:3", "DuplicateStageName:3"]),
        ("FROM alpine AS scratch\nFROM alpine AS context", ["ReservedStageName:2", "ReservedStageName:3"]),
        ("FROM alpine\nCMD a", ["JSONArgsRecommended:3"]),
        ('FROM alpine\nENTRYPOINT a b\nCMD ["a"]', ["JSONArgsRecommended:3"]),
        ('FROM alpine\nSHELL ["/bin/bash", "-c"]\nCMD a', []),
        ('FROM alpine AS b\nSHELL ["/bin/bash", "-c"]\nFROM b\nCMD a', []),
        ("FROM alpine\nHEALTHCHECK CMD a", []),
        ("FROM alpine\nMAINTAINER me", ["MaintainerDeprecated:3"]),
        ("FROM alpine$x", ["UndefinedArgInFrom:2"]),
        ("ARG x\nFROM alpine$x", []),
        ("ARG x=1\nFROM alpine:$x", []),
        ("FROM --platform=$BUILDPLATFORM alpine", []),
        ("FROM --platform=$BULIDPLATFORM alpine", ["UndefinedArgInFrom:2"]),
        ("FROM alpine\nWORKDIR app", ["WorkdirRelativePath:3"]),
        ("FROM alpine\nWORKDIR app\nWORKDIR below", ["WorkdirRelativePath:3"]),
        ("FROM alpine\nWORKDIR /app\nWORKDIR below", []),
        ("FROM alpine AS a\nWORKDIR /app\nFROM a\nWORKDIR below", []),
        ("FROM alpine\nARG d=/app\nWORKDIR $d", []),
        ("FROM other\nWORKDIR $HOME_OF_Y/x", []),
        ("FROM alpine\nARG foo\nCOPY Dockerfile${foo} .", []),
        ("FROM alpine AS base\nARG foo=Dockerfile\nFROM base\nCOPY $foo .", []),
        ("FROM alpine\nRUN echo $PATH $nothing", []),
        ("FROM alpine\nCOPY $foo .\nARG foo=bar\nRUN echo $foo", ["UndefinedVar:3"]),
        ("FROM alpine\nENV PATH=$PATH:/x Y=$HOME_OF_X", []),
        ("FROM alpine\nENV PATH=$PAHT:/x", ["UndefinedVar:3"]),
        ("FROM scratch\nENV a='$x' b=\\$x c=$x", ["UndefinedVar:3"]),
        ("FROM scratch\nENV a=1 \\\n b=$x", ["UndefinedVar:4"]),
        ("FROM scratch\nCOPY <<E <<'F' /x/\n$a\nE\n$b\nF", ["UndefinedVar:4"]),
        ("FROM alpine\nARG a=$b", ["UndefinedVar:3"]),
        ("FROM other\nCOPY $foo .", []),
        ("FROM other AS a\nFROM a\nCOPY $foo .", []),
        ("FROM alpine\nCMD []\nCMD []", ["MultipleInstructionsDisallowed:3"]),
        ("FROM alpine AS a\nCMD []\nFROM a\nCMD []", []),
        ("FROM alpine\nHEALTHCHECK NONE\nHEALTHCHECK CMD a", ["MultipleInstructionsDisallowed:3"]),
        ("FROM alpine\nENV a b\nLABEL c d", ["LegacyKeyValueFormat:3", "LegacyKeyValueFormat:4"]),
        ("FROM alpine\nENV a=b\nLABEL c=d", []),
        ("FROM --platform=$TARGETPLATFORM alpine", ["RedundantTargetPlatform:2"]),
        ("FROM --platform=${TARGETOS}/${TARGETARCH} alpine", []),
        ("FROM alpine\nARG SECRET_PASSPHRASE\nENV password=a secret=b",
         ["SecretsUsedInArgOrEnv:3", "SecretsUsedInArgOrEnv:4", "SecretsUsedInArgOrEnv:4"]),
        ("FROM alpine\nARG PUBLIC_KEY AUTH_VERSION monkey password_file keyboard", []),
        ("ARG TOKEN\nFROM alpine", []),
        ("ARG TAG\nFROM alpine:$TAG", ["InvalidDefaultArgInFrom:3"]),
        ("ARG TAG=latest\nFROM alpine:$TAG", []),
        ("ARG TAG\nFROM alpine:${TAG:-3}", []),
        ("ARG V\nFROM alpine:stable$V", []),
        ("FROM --platform=linux/amd64 alpine AS base", ["FromPlatformFlagConstDisallowed:2"]),
        ("FROM --platform=linux/amd64 alpine AS build_amd64", []),
        ("FROM --platform=$BUILDPLATFORM alpine AS base", []),
        ("FROM arm64v8/debian:12 AS base", ["InvalidBaseImagePlatform:2"]),
        ("FROM both\nFROM unknown", []),
        ("ARG P=linux/arm64\nFROM --platform=$P arm64v8/debian:12", []),
        ("ARG P=linux/arm64\nFROM --platform=$P arm64v8/debian:12 AS a\nFROM a", []),
        ("ARG P=linux/s390x\nFROM --platform=$P arm64v8/debian:12", ["InvalidBaseImagePlatform:3"]),
        ("FROM scratch", []),
        ("# what is this\nFROM alpine AS base", []),
        ("FROM alpine\nEXPOSE 80/TcP 81/tcp", ["ExposeProtoCasing:3"]),
        ("FROM alpine\nEXPOSE 127.0.0.1:80:80", ["ExposeInvalidFormat:3"]),
        ("FROM alpine\nEXPOSE 80:80", ["ExposeInvalidFormat:3"]),
        ("FROM alpine\nARG p=80/UDP\nEXPOSE $p", ["ExposeProtoCasing:4"]),
    ],
)  # fmt: skip
def test_buildkits_rules(text: str, expected: list[str]) -> None:
    assert found(BUILDKITS + text, build_args={"TAG": "3"}) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM alpine", ["UnpinnedBaseImage:1"]),
        ("FROM alpine:3 AS a\nFROM a\nFROM scratch", ["UnpinnedBaseImage:1"]),
        (f"FROM alpine@sha256:{'a' * 64}", []),
        ("FROM locked", []),
        ("FROM locked\nRUN apk add --no-cache -X http://x curl git=2.1", ["UnpinnedPackages:2"]),
        ("FROM locked\nRUN apk add -t build curl=1 git~2", []),
        ("FROM locked\nRUN set -e; if true; then apt-get -y install curl; fi", ["UnpinnedPackages:2"]),
        ("FROM locked\nRUN apt-get install -y -t bookworm curl=7 ./x.deb old-", []),
        ("FROM locked\nRUN <<E\nDEBIAN_FRONTEND=x apt-get install curl\nE", ["UnpinnedPackages:2"]),
        ("FROM locked\nRUN python3 -m pip install numpy==2.0 'scipy>=1'", ["UnpinnedPackages:2"]),
        ("FROM locked\nRUN pip install -r requirements.txt numpy", []),
        ("FROM locked\nRUN pip install --require-hashes . numpy", []),
        ("FROM locked\nRUN pip install numpy==2.0 . && pip install -e . > /log", []),
        ('FROM locked\nRUN ["dnf", "install", "curl"]', ["UnpinnedPackages:2"]),
        ("FROM locked\nRUN dnf install -y curl-7.76.1-14.el9", []),
        ("FROM locked\nRUN echo apt-get install curl; apt-get install 'curl", []),
        ("FROM locked AS a\nFROM a\nRUN apk add curl", ["UnpinnedPackages:3"]),
        ("FROM locked\nRUN apt-get update && apt-get install -y curl=7", ["AptListsInLayer:2"]),
        ("FROM locked\nRUN apt-get update && apt-get install curl=7 && rm -rf /var/lib/apt/lists/*", []),
        ("FROM locked\nRUN apt-get update \\\n && apt-get install curl=7 \\\n && apt-get dist-clean", []),
        ("FROM locked\nRUN --mount=type=cache,target=/var/lib/apt apt-get update", []),
        ("FROM locked\nRUN rm -rf /var/lib/apt/lists/* && apt-get update", ["AptListsInLayer:2"]),
        ("FROM locked AS build\nRUN apt-get update\nFROM locked", []),
        ("FROM locked\nUSER root", ["RootAsLastUser:2"]),
        ("FROM locked\nUSER 0:0", ["RootAsLastUser:2"]),
        ("FROM locked\nUSER root\nUSER me", []),
        ("FROM locked AS a\nUSER root\nFROM a", ["RootAsLastUser:2"]),
        ("FROM locked AS a\nUSER root\nFROM locked", []),
    ],
)
def test_our_own_rules(text: str, expected: list[str]) -> None:
    assert found(text, locked=frozenset({"locked"})) == expected


@pytest.mark.parametrize(
    ("patterns", "copy", "expected"),
    [
        (["Dockerfile"], "COPY Dockerfile .", ["CopyIgnoredFile:3"]),
        (["Dockerfile"], "ADD /Dockerfile /x", ["CopyIgnoredFile:3"]),
        (["Dockerfile"], "ADD http://x/Dockerfile /x", []),
        (["Dockerfile"], "COPY --from=alpine Dockerfile .", []),
        (["secret"], "COPY a ./secret/key /x/", ["CopyIgnoredFile:3"]),
        (["**", "!Dockerfile"], "COPY Dockerfile .", []),
        ([".*"], "COPY . .", []),
        (["*"], "COPY . .", ["CopyIgnoredFile:3"]),
        (["*.tmp"], "ARG n=a.tmp\nCOPY $n .", ["CopyIgnoredFile:4"]),
    ],
)
def test_what_is_ignored(patterns: list[str], copy: str, expected: list[str]) -> None:
    assert found(f"{BUILDKITS}FROM scratch\n{copy}", ignore=Ignore.of(patterns)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# foo this is it\nARG foo\n# base is x\nFROM scratch AS base\n# a b\n#\nARG v", []),
        ("# is it\nARG foo", ["InvalidDefinitionDescription:3"]),
        ("# is it\n\nARG foo", []),
        ("# BasE x\nFROM scratch AS base", ["InvalidDefinitionDescription:3"]),
        ("# BasE x\nFROM scratch", []),
    ],
)
def test_an_experimental_rule(text: str, expected: list[str]) -> None:
    rest = "" if "FROM" in text else "\nFROM scratch"
    assert found(f"# check=experimental=InvalidDefinitionDescription\n{text}{rest}") == expected
    assert found(f"# check=skip=all;experimental=all\n{text}{rest}") == expected
    assert found(f"# check=skip=all\n{text}{rest}") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("#check=skip=all\nFROM scratch as base\ncopy Dockerfile .", []),
        ("#check=skip=ConsistentInstructionCasing, FromAsCasing\nFROM scratch as base\ncopy x .", []),
        ("# check=skip=ConsistentInstructionCasing\nFROM scratch as base\ncopy x .", ["FromAsCasing:2"]),
        ("FROM scratch\n# check=skip=JSONArgsRecommended // it must be\nCMD a", []),
        ("FROM scratch\n# check=skip=all\nCMD a\nCMD b", ["JSONArgsRecommended:4"]),
        ("FROM scratch\n# why\n# check=skip=JSONArgsRecommended\n\nCMD a", []),
        ("FROM scratch\n# check=skip=JSONArgsRecommended\n#\nCMD a", ["JSONArgsRecommended:4"]),
        ("FROM scratch\n# check=nonsense\nCMD a", ["JSONArgsRecommended:3"]),
    ],
)
def test_rules_are_left_out(text: str, expected: list[str]) -> None:
    assert found(text) == expected


def test_the_argument_stands_for_the_directive() -> None:
    text = "# check=skip=all\nFROM scratch\nCMD a"
    assert found(text, build_args={"BUILDKIT_DOCKERFILE_CHECK": "skip=FromAsCasing"}) == ["JSONArgsRecommended:3"]
    assert report(text, build_args={"BUILDKIT_DOCKERFILE_CHECK": "error=true"}).is_error


def test_a_directive_may_make_findings_errors() -> None:
    assert report("# check=error=true\nFROM scratch").is_error
    assert not report("# check=error=false;skip=x\nFROM scratch").is_error


@pytest.mark.parametrize("value", ["nonsense", "error=maybe", "skip", "skip=all;what=x"])
def test_a_directive_that_cannot_be_read_is_pointed_at(value: str) -> None:
    with pytest.raises(ParseError, match="invalid check option") as caught:
        found(f"# syntax=docker/dockerfile:1\n#  check={value}\nFROM scratch")
    assert (caught.value.line, caught.value.column) == (2, 10)


def test_names_of_no_rule_are_told() -> None:
    (note,) = report("# check=skip=JSONArgRecommended\nFROM scratch").notes
    assert note == "no rule is called 'JSONArgRecommended': did you mean JSONArgsRecommended?"


def test_what_is_not_known_is_told_once() -> None:
    notes = report("FROM other\nCOPY $foo $foo/").notes
    assert notes == ("$foo on line 2: which variables other has is not known here",)


def test_a_name_that_is_near_is_suggested() -> None:
    (finding,) = report(f"{BUILDKITS}FROM alpine\nARG DIR_ASSETS=a\nCOPY x $DIR_ASSET").findings
    assert finding.message == "Usage of undefined variable '$DIR_ASSET' (did you mean $DIR_ASSETS?)"
    assert finding.short == f"UndefinedVar: {finding.message} (line 4)"
    assert (finding.column, finding.first, finding.last) == (8, 4, 4)


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [("PAHT", ["PATH", "HOME"], "PATH"), ("x" * 10**6, ["y" * 10**6], ""), ("A", ["A", "B"], ""), ("ab", ["wxyz"], "")],
)
def test_suggestions(name: str, known: list[str], expected: str) -> None:
    assert nearest(name, known) == expected


def test_a_build_tells_buildkits_rules_of_what_it_makes() -> None:
    dockerfile = parse("FROM alpine as a\nCMD a\nFROM scratch\nCMD b\nUSER root")
    told = look_at(dockerfile, Facts(HERE, HERE), stages={1}).findings
    assert [each.rule for each in told] == ["FromAsCasing", "JSONArgsRecommended"]
    assert told[1].line == 4


def test_no_message_has_what_a_terminal_obeys() -> None:
    (finding,) = report(f"{BUILDKITS}ARG V=1\nFROM a:$V/\x1b[2J\x9b1m").findings
    assert finding.message == "Default value for ARG a:$V/\ufffd[2J\ufffd1m results in empty or invalid base image name"


def test_an_unknown_target_is_an_error() -> None:
    with pytest.raises(InvalidInput, match="could not be found"):
        found("FROM scratch", target="x")


def test_all_rules_have_a_section_in_the_reference() -> None:
    text = (Path(__file__).resolve().parents[4] / "docs/reference/build-checks.md").read_text()
    assert re.findall(r"^### (\w+)$", text, re.MULTILINE) == [rule.name for rule in RULES]


def test_the_references_examples_are_bad_and_good() -> None:
    """Each section: a bad example, which breaks the rule, and a good one, which does not."""
    text = (Path(__file__).resolve().parents[4] / "docs/reference/build-checks.md").read_text()
    for section in re.split(r"^### ", text, flags=re.MULTILINE)[1:]:
        name = section.partition("\n")[0]
        bad, good = re.findall(r"```dockerfile\n(.*?)```", section, re.DOTALL)
        ignore = Ignore.of(["*.log"])
        facts = {"ignore": ignore, "build_args": {"TAG": "3"}, "locked": frozenset({"debian:12"})}
        broken = {each.partition(":")[0] for each in found(f"# check=experimental=all\n{bad}", **facts)}
        kept = {each.partition(":")[0] for each in found(f"# check=experimental=all\n{good}", **facts)}
        assert name in broken, name
        assert name not in kept, name


def test_the_examples_of_the_project_are_as_they_should_be() -> None:
    """Only what is said of them on purpose: the quickstart is not pinned before its first build."""
    for path in (Path(__file__).resolve().parents[4] / "examples").rglob("Dockerfile"):
        rules = {each.partition(":")[0] for each in found(path.read_text())}
        assert rules <= {"UnpinnedBaseImage"}, path


@given(st.lists(st.sampled_from([
    "FROM a AS b", "FROM --platform=$x b", "ARG x=${y:-$z} TOKEN", "ENV x ${x", "ENV x=$y", "RUN apt-get update; (x",
    "RUN <<E\napt-get install $(x)\nE", "COPY $x ${y#*} /", "WORKDIR $x", "USER 0", "EXPOSE $x:1/TCP",
    "# check=skip=all", "", "VOLUME $x", "CMD x \\\n\n y", "ONBUILD RUN x", 'SHELL ["x"]', 'LABEL a="$b"',
    "STOPSIGNAL $x",
]), max_size=12).map("\n".join))  # fmt: skip
def test_whatever_can_be_read_can_be_checked(text: str) -> None:
    try:
        dockerfile = parse(f"FROM a\n{text}")
    except InvalidInput:
        return
    lines = len(dockerfile.source.lines)
    for finding in look_at(dockerfile, Facts(HERE, HERE)).findings:
        assert 1 <= finding.first <= finding.line <= max(finding.last, finding.line) <= lines
