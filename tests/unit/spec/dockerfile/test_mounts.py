"""The options of RUN --mount and RUN --device, as values or as errors that point at them."""

import pytest

from kist.errors import ParseError
from kist.spec.dockerfile import Source, Word, expand, parse
from kist.spec.dockerfile import instructions as ins
from kist.spec.dockerfile.mounts import RunDevice, RunMount, read_device, read_mount

VARIABLES = {"DIR": "/data", "NAME": "pip", "MODE": "0750"}


def run(text: str) -> tuple[ins.Run, Source]:
    dockerfile = parse(f"FROM scratch\nRUN {text} true")
    (found,) = dockerfile.stages[0].instructions
    assert isinstance(found, ins.Run)
    return found, dockerfile.source


def mount(text: str) -> RunMount:
    found, source = run(f"--mount={text}")
    read = read_mount(found.mounts[0], source, lambda word: expand(word, VARIABLES, source, "\\"))
    origin = read.origin
    if origin is None:
        return read
    values = {name: getattr(read, name) for name in read.__struct_fields__}
    return RunMount(**values | {"origin": Word(origin.text, PLACE)})


PLACE = parse("FROM scratch").stages[0].base.location


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("target=/a", RunMount(target="/a")),
        ("type=bind,source=b,dst=/a,rw", RunMount(target="/a", source="b", read_only=False)),
        ("src=b,destination=/a,readwrite=false", RunMount(target="/a", source="b")),
        ("from=base,target=/a", RunMount(target="/a", origin=Word("base", PLACE))),
        ("TYPE=Cache,target=$DIR/x", RunMount(type="cache", target="/data/x", read_only=False)),
        (
            "type=cache,id=${NAME},target=/c,sharing=locked,mode=$MODE,uid=7,gid=8,ro",
            RunMount(type="cache", id="pip", target="/c", sharing="locked", mode=0o750, uid=7, gid=8),
        ),
        ("type=tmpfs,target=/t,size=64m", RunMount(type="tmpfs", target="/t", size=64 << 20, read_only=False)),
        ("type=secret,id=a", RunMount(type="secret", id="a")),
        ("type=secret,id=a,required,env=A", RunMount(type="secret", id="a", required=True, env="A")),
        ("required=0,type=secret,source=a", RunMount(type="secret", source="a")),
        ("type=ssh,required=true,mode=0666", RunMount(type="ssh", required=True, mode=0o666)),
        ('target=/a,"source=b,c"', RunMount(target="/a", source="b,c")),
    ],
)
def test_a_mount_is_read_with_every_spelling(text: str, expected: RunMount) -> None:
    # a quoted field has a comma of its own; the shell's quotes of the flag are taken away before
    assert mount(text.replace('"', '\\"')) == expected


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("tagret=/a", 13, "unexpected key 'tagret'"),
        ("type=bnd,target=/a", 13, "unsupported mount type 'bnd'"),
        ("type=cache,target=/a,sharing=lock", 34, "unsupported mount sharing 'lock'"),
        ("target=/a,size=1m", 23, "unexpected key 'size' for mount type 'bind'"),
        ("type=tmpfs,target=/a,size=big", 34, "invalid value for size"),
        ("target=/a,mode=0644", 23, "unexpected key 'mode' for mount type 'bind'"),
        ("type=ssh,mode=888", 22, "invalid value '888' for mode"),
        ("type=ssh,uid=99999999999", 22, "invalid value '99999999999' for uid"),
        ("target=/a,ro=maybe", 23, "invalid value for ro: maybe"),
        ("type=secret", 13, "one of id, source, target is required"),
        ("type=secret,id=a,source=b", 30, "both source and id"),
        ("type=secret,id=a,from=b", 30, "unexpected key 'from'"),
        ("type=ssh,source=b", 22, "ssh does not support source"),
        ("target", 13, "expected target=VALUE"),
        ("from=$BASE,target=/a", 18, "define alias stage"),
    ],
)
def test_a_wrong_mount_is_pointed_at(text: str, column: int, message: str) -> None:
    with pytest.raises(ParseError, match=message) as caught:
        mount(text)
    assert (caught.value.line, caught.value.column) == (2, column)


def test_near_names_are_suggested() -> None:
    with pytest.raises(ParseError) as caught:
        mount("tagret=/a")
    assert caught.value.hint == "did you mean target?"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("vendor.com/gpu=all", RunDevice("vendor.com/gpu=all")),
        ("vendor.com/gpu=0,required", RunDevice("vendor.com/gpu=0", required=True)),
        ("name=vendor.com/gpu,required=false", RunDevice("vendor.com/gpu")),
    ],
)
def test_a_device_is_read(text: str, expected: RunDevice) -> None:
    assert run(f"--device={text}")[0].devices == (expected,)


@pytest.mark.parametrize("text", ["required", "a/b=c,d=e", "a/b=c,required=perhaps"])
def test_a_wrong_device_is_refused(text: str) -> None:
    source = Source.of(f"RUN --device={text} x", "Dockerfile")
    with pytest.raises(ParseError):
        read_device(Word(text, PLACE), source)


@pytest.mark.parametrize(
    ("flags", "network", "security"),
    [("", "", ""), ("--network=none --security=insecure", "none", "insecure"), ("--network=default", "default", "")],
)
def test_network_and_security(flags: str, network: str, security: str) -> None:
    found, _ = run(flags)
    assert (found.network.text if found.network else "") == network
    assert (found.security.text if found.security else "") == security


@pytest.mark.parametrize("flag", ["--network=bridge", "--security=none", "--network=none --network=host"])
def test_what_is_no_network_or_security_is_refused(flag: str) -> None:
    with pytest.raises(ParseError):
        run(flag)
