"""Golden parses: a text beside what it means."""

from collections.abc import Callable

import pytest

from kist.spec.dockerfile import Instruction, Location, Source, parse, parse_trigger
from kist.spec.dockerfile import instructions as ins
from kist.spec.dockerfile.instructions import Directives
from kist.spec.image import Healthcheck as Check

SECOND = 10**9


def only(text: str) -> Instruction:
    """The one instruction after FROM."""
    (instruction,) = parse(f"FROM x\n{text}\n").stages[0].instructions
    return instruction


def pairs(one: ins.Env | ins.Label) -> object:
    return [(name.text, value.text) for name, value in one.pairs]


def command(one: ins.Run | ins.Cmd | ins.Entrypoint) -> object:
    return (one.command.words, "shell" if one.command.in_shell else "exec")


def copied(one: ins.Copy) -> object:
    return ([word.text for word in one.sources], one.destination.text)


MEANING: dict[type[Instruction], Callable[..., object]] = {
    ins.Add: copied,
    ins.Arg: lambda one: [(name.text, value.text if value else None) for name, value in one.arguments],
    ins.Cmd: command,
    ins.Copy: copied,
    ins.Entrypoint: command,
    ins.Env: pairs,
    ins.Expose: lambda one: [word.text for word in one.ports],
    ins.Healthcheck: lambda one: one.check,
    ins.Label: pairs,
    ins.Maintainer: lambda one: one.name,
    ins.Onbuild: lambda one: (one.trigger, texts(one.instruction)),
    ins.Run: command,
    ins.Shell: lambda one: one.words,
    ins.Stopsignal: lambda one: one.signal.text,
    ins.User: lambda one: one.user.text,
    ins.Volume: lambda one: [word.text for word in one.paths],
    ins.Workdir: lambda one: one.path.text,
}


def texts(one: Instruction) -> object:
    """The words of an instruction without their places."""
    return MEANING[type(one)](one)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # ENV and LABEL: the first word tells which spelling
        ("ENV a b", [("a", "b")]),
        ("ENV a  b  c ", [("a", "b  c")]),
        ("ENV a b=c", [("a", "b=c")]),
        ("ENV a=b", [("a", "b")]),
        ("ENV a=", [("a", "")]),
        ("ENV a=b=c", [("a", "b=c")]),
        ("ENV a=b c=d", [("a", "b"), ("c", "d")]),
        ("env A=1\tB=2", [("A", "1"), ("B", "2")]),
        ('ENV a="b c" d=e', [("a", '"b c"'), ("d", "e")]),
        ("ENV a='b c' d=e", [("a", "'b c'"), ("d", "e")]),
        (r"ENV a=b\ c d=e", [("a", r"b\ c"), ("d", "e")]),
        (r'ENV a="b\" c" d=e', [("a", r'"b\" c"'), ("d", "e")]),
        (r"ENV a='b\' c=d", [("a", r"'b\'"), ("c", "d")]),
        ('ENV a=x"y z"w c=d', [("a", 'x"y z"w'), ("c", "d")]),
        ('ENV "a b"=c', [('"a b"', "c")]),
        ('ENV a=""', [("a", '""')]),
        ("ENV a=b \\\n c=d", [("a", "b"), ("c", "d")]),
        ("ENV a=$b c=${d:-e}", [("a", "$b"), ("c", "${d:-e}")]),
        ('ENV a "b c" d', [("a", '"b c" d')]),
        ('LABEL "com.example.vendor"="ACME Incorporated"', [('"com.example.vendor"', '"ACME Incorporated"')]),
        ("LABEL version 1.0 beta", [("version", "1.0 beta")]),
        # ARG
        ("ARG a", [("a", None)]),
        ("ARG a=", [("a", "")]),
        ("ARG a=b", [("a", "b")]),
        ("ARG a b=c d", [("a", None), ("b", "c"), ("d", None)]),
        ('ARG a="b c"', [("a", '"b c"')]),
        # commands
        ("RUN echo hi", (("echo hi",), "shell")),
        ("RUN   echo  hi  ", (("echo  hi",), "shell")),
        ('RUN ["echo", "hi"]', (("echo", "hi"), "exec")),
        ('RUN [ "echo" , "h\\u0069" ]', (("echo", "hi"), "exec")),
        ("RUN ['echo', 'hi']", (("['echo', 'hi']",), "shell")),
        ('RUN ["echo", "hi"', (('["echo", "hi"',), "shell")),
        ('RUN ["echo"] && x', (('["echo"] && x',), "shell")),
        ("RUN [ -f a ] || b", (("[ -f a ] || b",), "shell")),
        ("RUN echo $((1<<2)) <<<x", (("echo $((1<<2)) <<<x",), "shell")),
        ('RUN echo "<<EOF"', (('echo "<<EOF"',), "shell")),
        ("RUN echo 1 << 2", (("echo 1 << 2",), "shell")),
        ("RUN a \\\n  b", (("a   b",), "shell")),
        ("RUN a \\  \n  b", (("a   b",), "shell")),
        ("RUN a\\\nb", (("ab",), "shell")),
        ("RUN a && \\\n# comment\n   # another\n\n  b", (("a &&   b",), "shell")),
        ("RUN a # no comment", (("a # no comment",), "shell")),
        ("RUN a \\\\", (("a \\\\",), "shell")),
        ("RUN -- a", (("a",), "shell")),
        ("RUN a --mount=x", (("a --mount=x",), "shell")),
        ("CMD", ((), "exec")),
        ("CMD []", ((), "exec")),
        ("CMD a b", (("a b",), "shell")),
        ('CMD ["a", "b"]', (("a", "b"), "exec")),
        ("ENTRYPOINT []", ((), "exec")),
        ('ENTRYPOINT ["/a b"]', (("/a b",), "exec")),
        ('SHELL ["/bin/bash", "-o", "pipefail", "-c"]', ("/bin/bash", "-o", "pipefail", "-c")),
        # COPY and ADD
        ("COPY a b", (["a"], "b")),
        ("COPY a b c/", (["a", "b"], "c/")),
        ('COPY ["a b", "c d/"]', (["a b"], "c d/")),
        ("COPY --chown=1:2 --from=x a b", (["a"], "b")),
        ("ADD a.tar.gz /", (["a.tar.gz"], "/")),
        ("ADD  a\tb   c", (["a", "b"], "c")),
        # the rest
        ("EXPOSE 80 443/tcp $PORT", ["80", "443/tcp", "$PORT"]),
        ("VOLUME /data /log", ["/data", "/log"]),
        ('VOLUME ["/data dir"]', ["/data dir"]),
        ("USER app:app", "app:app"),
        ("WORKDIR /a b", "/a b"),
        ("STOPSIGNAL SIGTERM", "SIGTERM"),
        ("MAINTAINER A B <a@b>", "A B <a@b>"),
        ("ONBUILD RUN  make", ("RUN  make", (("make",), "shell"))),
        ('ONBUILD copy ["a","b"]', ('copy ["a","b"]', (["a"], "b"))),
        ("HEALTHCHECK NONE", Check(test=("NONE",))),
        ("HEALTHCHECK CMD a b", Check(test=("CMD-SHELL", "a b"))),
        ('HEALTHCHECK cmd ["a","b"]', Check(test=("CMD", "a", "b"))),
        (
            "HEALTHCHECK --interval=1m30s --timeout=500ms --start-period=0 --retries=3 CMD a",
            Check(test=("CMD-SHELL", "a"), interval=90 * SECOND, timeout=SECOND // 2, retries=3),
        ),
        (
            "HEALTHCHECK --start-interval=1.5s \\\n CMD a",
            Check(test=("CMD-SHELL", "a"), start_interval=3 * SECOND // 2),
        ),
    ],
)
def test_instruction_is_read(text: str, expected: object) -> None:
    assert texts(only(text)) == expected


@pytest.mark.parametrize(
    ("text", "image", "name", "platform"),
    [
        ("FROM debian:12", "debian:12", "", None),
        ("from debian", "debian", "", None),
        ("FROM debian AS Build", "debian", "build", None),
        ("FROM debian as a-b_c.1", "debian", "a-b_c.1", None),
        ("FROM --platform=linux/arm64 $BASE AS x", "$BASE", "x", "linux/arm64"),
        ("FROM --platform=$P a@sha256:0", "a@sha256:0", "", "$P"),
    ],
)
def test_from_is_read(text: str, image: str, name: str, platform: str | None) -> None:
    base = parse(text).stages[0].base
    assert (base.image.text, base.name, base.platform.text if base.platform else None) == (image, name, platform)


def test_stages_and_global_arguments() -> None:
    file = parse("ARG A=1\nARG B\nFROM a AS one\nRUN x\nFROM b\nFROM one\nRUN y\nRUN z")
    assert [arg.text for arg in file.arguments] == ["ARG A=1", "ARG B"]
    assert [(stage.index, stage.name, len(stage.instructions)) for stage in file.stages] == [
        (0, "one", 1),
        (1, "1", 0),
        (2, "2", 2),
    ]


def test_escape_directive_changes_continuation_and_escapes() -> None:
    file = parse("# syntax=docker/dockerfile:1\n# escape=`\nFROM a\nRUN dir `\n c:\\\nENV a=b` c")
    run, env = file.stages[0].instructions
    assert file.escape == "`"
    assert texts(run) == (("dir  c:\\",), "shell")
    assert texts(env) == [("a", "b` c")]


@pytest.mark.parametrize("head", ["\n# escape=`\n", "# comment\n# escape=`\n", "# other=1\n# escape=`\n"])
def test_a_directive_after_anything_else_is_a_comment(head: str) -> None:
    assert parse(head + "FROM a").escape == "\\"


def test_carriage_returns_and_a_byte_order_mark_do_not_count() -> None:
    file = parse(b"\xef\xbb\xbfFROM a\r\nRUN b \\\r\n c\r\n")
    assert texts(file.stages[0].instructions[0]) == (("b  c",), "shell")


def test_bytes_that_are_not_text_are_allowed_in_comments() -> None:
    assert len(parse(b"# caf\xe9\nFROM a\n").stages) == 1


def test_words_know_where_they_stand() -> None:
    copy = only("COPY --chown=me \\\n  # between\n  first \\\n  second/ third/")
    assert isinstance(copy, ins.Copy)
    assert copy.location == Location(2, 1)
    assert copy.owner is not None
    assert copy.owner.location == Location(2, 14)
    assert [word.location for word in copy.sources] == [Location(4, 3), Location(5, 3)]
    assert copy.destination.location == Location(5, 11)


def test_text_of_an_instruction_is_one_line_with_its_keyword_in_capitals() -> None:
    assert only("run a \\\n b").text == "RUN a  b"


def test_an_array_in_single_quotes_is_warned_about() -> None:
    (warning,) = parse("FROM a\nCMD ['x', 'y']").warnings
    assert warning.startswith("Dockerfile:2: CMD looks like the exec form")
    assert len(parse('FROM a\nCMD ["x", "a\\"b", \'y\']\nENTRYPOINT [ \'x\' ]').warnings) == 2
    assert not parse("FROM a\nRUN [ \"a\" = 'b' ]").warnings
    assert not parse("FROM a\nRUN [ 'a' = b ] && c\nRUN [ -f x ]").warnings


# Here-documents

Document = tuple[str, str, bool, bool]


def documents(instruction: ins.Instruction) -> list[Document]:
    assert isinstance(instruction, ins.Run | ins.Copy)
    return [(one.name, one.content.text, one.expands, one.chomps) for one in instruction.documents]


@pytest.mark.parametrize(
    ("text", "expected", "whole"),
    [
        ("RUN <<EOF\na\n\n # b \\\nEOF", [("EOF", "a\n\n # b \\\n", True, False)], True),
        ("RUN <<EOF\nEOF", [("EOF", "", True, False)], True),
        ("RUN <<-EOF\n\ta\n\t\t b\n\tEOF", [("EOF", "a\n b\n", True, True)], True),
        ("RUN <<'EOF'\n$a\nEOF", [("EOF", "$a\n", False, False)], True),
        ('RUN <<-"E O"\na\nE O', [("E O", "a\n", False, True)], True),
        ("RUN << EOF\na\nEOF", [("EOF", "a\n", True, False)], True),
        ("RUN <<\\EOF\na\nEOF", [("EOF", "a\n", True, False)], True),
        ("RUN cat <<EOF\na\nEOF", [("EOF", "a\n", True, False)], False),
        ("RUN <<EOF cat\na\nEOF", [("EOF", "a\n", True, False)], False),
        ("RUN <<A 3<<B cat\na\nA\nb\nB", [("A", "a\n", True, False), ("B", "b\n", True, False)], False),
        ("RUN cat <<A \\\n # c\n && x\na\nA", [("A", "a\n", True, False)], False),
        ("RUN cat<<EOF", [], False),
        ("RUN echo '<<EOF'", [], False),
        ("RUN echo $((1 << 2)) $((x << y))", [], False),
        ("RUN cat <<<word", [], False),
        ('RUN ["cat", "<<EOF"]', [], False),
        ("COPY <<EOF /x\na\nEOF", [("EOF", "a\n", True, False)], False),
        ("COPY << EOF /x\na\nEOF", [("EOF", "a\n", True, False)], False),
        ("ADD a <<b c <<'d' /x/\n1\nb\n2\nd", [("b", "1\n", True, False), ("d", "2\n", False, False)], False),
    ],
)
def test_documents_are_read(text: str, expected: list[Document], whole: bool) -> None:
    for written in (text, text.replace("\n", "\r\n"), text + "\nRUN after"):
        instruction = parse(f"FROM a\n{written}").stages[0].instructions[0]
        assert documents(instruction) == expected
        assert getattr(instruction, "is_document", False) is whole


def test_sources_and_documents_are_kept_apart() -> None:
    copy = only("COPY a <<b c << d --x /y/\n1\nb\n2\nd")
    assert isinstance(copy, ins.Copy)
    assert [word.text for word in copy.sources] == ["a", "c", "--x"]
    assert copy.destination.text == "/y/"


def test_a_trigger_keeps_its_documents() -> None:
    onbuild = only("ONBUILD COPY <<-A <<B /x/\n\t1\n\tA\n2\nB")
    assert isinstance(onbuild, ins.Onbuild)
    assert onbuild.trigger == "COPY <<-A <<B /x/\n\t1\nA\n2\nB"
    again = parse_trigger(Source.of(f"ONBUILD {onbuild.trigger}", "trigger"))
    assert documents(again) == documents(onbuild.instruction) == [("A", "1\n", True, True), ("B", "2\n", True, False)]


def test_directives_are_kept() -> None:
    given = parse(
        "# syntax = docker/dockerfile:1.7-labs\n#check=skip=JSONArgsRecommended;error=true\nFROM a"
    ).directives
    assert given == Directives("docker/dockerfile:1.7-labs", "\\", "skip=JSONArgsRecommended;error=true")


@pytest.mark.parametrize(
    ("name", "told"), [("docker/dockerfile:1", 0), ("docker.io/docker/dockerfile", 0), ("x/y:2", 1)]
)
def test_a_syntax_of_somebody_elses_is_told(name: str, told: int) -> None:
    assert len(parse(f"# syntax={name}\nFROM a").warnings) == told
