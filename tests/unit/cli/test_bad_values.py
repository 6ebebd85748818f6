"""A wrong value of any option of any verb is told with the option's name, the value, and what is allowed."""

from pathlib import Path

import pytest

from kist.cli.commands.run import COMMAND as RUN
from kist.cli.dispatch import PROGRAM, load
from kist.cli.option import FLAG, Command, Option
from kist.cli.parser import parse
from kist.cli.usage import UsageError
from kist.cli.verbs import VERBS
from kist.errors import KistError, Unsupported

# No value that means something is all of these.
BAD = ("", "=", "no such value", "/", "-7", "99999999999999999999", "ctrl-", "{{")

# Options that take any text: what it means is known to the engine, or to the file system.
FREE_TEXT = {
    "run": {
        "cgroup_parent", "cidfile", "dns_option", "domainname", "entrypoint", "env_file", "group_add", "health_cmd",
        "hostname", "label_file", "log_driver", "network_alias", "rootfs", "runtime", "user", "volume_driver",
        "volumes_from",
    },
    "exec": {"env_file", "user"},
}  # fmt: skip


def commands() -> dict[str, Command]:
    return {verb: load(verb) for verb in VERBS} | {"kist": PROGRAM}


CASES = [
    pytest.param(command, option, id=f"{verb} {option.names[-1]}")
    for verb, command in commands().items()
    for option in command.options
    if option.kind == FLAG or option.parse is not str
]


def refusal(command: Command, option: Option, text: str) -> KistError | None:
    try:
        parse(command, [f"{option.names[-1]}={text}", *["operand"] * command.least])
    except KistError as error:
        return error
    return None


@pytest.mark.parametrize(("command", "option"), CASES)
def test_a_wrong_value_is_told(command: Command, option: Option) -> None:
    told = {text: error for text in BAD if (error := refusal(command, option, text))}
    assert told, f"{option.names[-1]} takes whatever is written"
    for text, error in told.items():
        start = f'invalid argument "{text}" for "{", ".join(option.names)}": '
        if isinstance(error, Unsupported):  # an option that is not there yet says so, whatever the value
            start = f"{option.names[-1]} "
        assert error.message.startswith(start)
        assert len(error.message) > len(start) + 5, "says what is allowed"
        assert error.exit_code == 125


def test_what_takes_any_text_is_known() -> None:
    for verb, free in FREE_TEXT.items():
        found = {option.key for option in load(verb).options if option.kind != FLAG and option.parse is str}
        assert found == free


# Values that are nearly right, each with a word of what is allowed.
NEARLY = [
    ("--restart", "sometimes", "no, always, unless-stopped"),
    ("--restart", "always:3", "on-failure[:COUNT]"),
    ("--restart", "on-failure:x", "on-failure[:COUNT]"),
    ("--memory", "5m", "minimum memory limit is 6m"),
    ("--memory-swap", "-2", "-1 for as much swap"),
    ("--memory-swappiness", "101", "from -1 to 100"),
    ("--oom-score-adj", "1001", "from -1000 to 1000"),
    ("--cpus", "0.001", "the minimum is 0.01"),
    ("--cpu-period", "999", "from 1000 to 1000000"),
    ("--cpuset-cpus", "3-1", "numbers and ranges"),
    ("--cpuset-cpus", "a", "numbers and ranges"),
    ("--blkio-weight", "9", "from 10 to 1000"),
    ("--blkio-weight-device", "/dev/a:5", "from 10 to 1000"),
    ("--blkio-weight-device", "a:500", "/dev/NAME:WEIGHT"),
    ("--device-read-bps", "/dev/a", "/dev/NAME:SIZE"),
    ("--device-read-bps", "/dev/a:x", "a size is a number"),
    ("--device-read-iops", "/dev/a:1k", "/dev/NAME:NUMBER"),
    ("--ulimit", "files=3", "nofile"),
    ("--ulimit", "nofile=3:2", "at most the hard one"),
    ("--ulimit", "nofile=-1:2", "at most the hard one"),
    ("--ulimit", "nofile", "NAME=SOFT[:HARD]"),
    ("--device", "dev/a", "/dev/NAME"),
    ("--device", "/dev/a:/b:x", "r, w and m"),
    ("--device", "/dev/a:/b:rwm:x", "/dev/NAME"),
    ("--device-cgroup-rule", "c 1:2", "TYPE MAJOR:MINOR ACCESS"),
    ("--device-cgroup-rule", "d 1:2 r", "TYPE MAJOR:MINOR ACCESS"),
    ("--gpus", "some", "all or a whole number"),
    ("--gpus", "colour=red", "unknown word 'colour'"),
    ("--gpus", "count=1,device=2", "count or device"),
    ("--publish", "80:x", "from 1 to 65535"),
    ("--publish", "80:0", "from 1 to 65535"),
    ("--publish", "0-3:80", "from 1 to 65535"),
    ("--publish", "70000:80", "from 1 to 65535"),
    ("--publish", "8000-8001:80-82", "not of the same length"),
    ("--publish", "81-80", "ends before it begins"),
    ("--publish", "300.0.0.1:80:80", "no IP address"),
    ("--publish", "80/icmp", "tcp, udp or sctp"),
    ("--publish", "published=80", "target=PORT is missing"),
    ("--publish", "colour=80", "unknown word 'colour'"),
    ("--expose", "80:80", "-p publishes"),
    ("--expose", "foo", "'foo'; it is PORT[-PORT]"),
    ("--network", "name=", "needs a value"),
    ("--network", "alias=x", "name=NETWORK is missing"),
    ("--network", "name=a,colour=red", "unknown word 'colour'"),
    ("--network", "name=a,alia=x", "did you mean alias?"),
    ("--network", "name=a,ip=x", "ip is not 'x'"),
    ("--network", "container:", "container:NAME"),
    ("--ip", "fd00::1", "an IPv4 address"),
    ("--ip6", "10.0.0.1", "an IPv6 address"),
    ("--mac-address", "92:d0:c6", "a hardware address"),
    ("--mac-address", "93:d0:c6:0a:29:33", "an odd first byte"),
    ("--add-host", "name", "NAME:ADDRESS"),
    ("--add-host", "name:nowhere", "no IP address"),
    ("--dns", "example.com", "an IP address"),
    ("--dns-search", "a..b", "a domain"),
    ("--link", "a:b:c", "CONTAINER:ALIAS"),
    ("--mount", "type=bind,sorce=/a,target=/x", "unknown word 'sorce': did you mean source?"),
    ("--mount", "type=image,subpath=a,target=/x", "allowed are type, source, target, readonly, U and image-subpath"),
    ("--mount", "target=/x,type=nfs", "bind, volume, tmpfs or image"),
    ("--mount", "type=tmpfs,target=/x,bind-propagation=shared", "for mounts of type bind"),
    ("--mount", "type=tmpfs,target=/x,source=/a", "a tmpfs has no source"),
    ("--mount", "type=bind,src=/a,target=/x,bind-propagation=far", "rprivate"),
    ("--mount", "type=bind,src=/a,target=/x,bind-recursive=maybe", "enabled, disabled"),
    ("--mount", "type=bind,src=/a,target=/x,bind-recursive=readonly", "goes together with readonly"),
    ("--mount", "type=bind,src=/a,target=/x,bind-recursive=writable", "goes together with readonly"),
    ("--mount", "type=volume,target=/x,volume-opt=a", "volume-opt is NAME=VALUE"),
    ("--mount", "type=volume,target=/x,volume-subpath=../a", "stays inside"),
    ("--mount", "type=tmpfs,target=/x,tmpfs-mode=9", "octal"),
    ("--mount", 'target=/x,"source=a', "a quote is not closed"),
    ("--volume", "/a:b", "absolute path"),
    ("--tmpfs", "t", "absolute path"),
    ("--security-opt", "colour=red", "seccomp=FILE|unconfined"),
    ("--security-opt", "seccomp=/no/such/file", "cannot be read"),
    ("--security-opt", "systempaths=all", "systempaths is unconfined"),
    ("--security-opt", "no-new-privileges=perhaps", "true or false"),
    ("--userns", "mine", "allowed are host, auto[:OPTIONS], keep-id[:OPTIONS], container:NAME"),
    ("--uts", "mine", "allowed is host"),
    ("--isolation", "hyperv", "allowed is default"),
    ("--pid", "mine", "container:NAME"),
    ("--ipc", "container:", "shareable"),
    ("--cgroupns", "shared", "private, host"),
    ("--isolation", "hyperv", "default"),
    ("--sysctl", "a", "NAME=VALUE"),
    ("--storage-opt", "=a", "NAME=VALUE"),
    ("--log-opt", "a", "NAME=VALUE"),
    ("--annotation", "a", "NAME=VALUE"),
    ("--health-interval", "30", "30s, 1m30s"),
    ("--health-interval", "-1s", "30s, 1m30s"),
    ("--health-timeout", "10us", "the shortest is 1ms"),
    ("--health-retries", "-1", "from 0 up"),
    ("--health-on-failure", "panic", "none, kill, restart, stop"),
    ("--platform", "linux//arm", "OS/ARCHITECTURE"),
    ("--pull", "sometimes", "always, missing, never"),
    ("--attach", "stdlog", "stdin, stdout and stderr"),
    ("--detach-keys", "ctrl-pp", "ctrl-x"),
]


@pytest.mark.parametrize(("name", "text", "allowed"), NEARLY)
def test_a_value_that_is_nearly_right_is_told(name: str, text: str, allowed: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(RUN, [name, text, "image"])
    assert caught.value.message.startswith(f'invalid argument "{text}" for "')
    assert name in caught.value.message
    assert allowed in caught.value.message


def test_a_profile_that_is_no_json_is_told(tmp_path: Path) -> None:
    for content in (b"{", b"[]"):
        path = tmp_path / "profile"
        path.write_bytes(content)
        with pytest.raises(KistError, match=r"is not JSON|is no JSON object"):
            parse(RUN, ["--security-opt", f"seccomp={path}", "image"])
