"""Docker's profiles: its default allows all that ours does and no less is refused, and its JSON is read."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from bpf_machine import run
from docker_profile import ALWAYS, ON_MACHINES, REFUSED_FAMILIES, WITH_CAPABILITIES
from kist.errors import InvalidInput, Unsupported
from kist.kernel.process import CAPABILITIES
from kist.runtime import seccomp
from kist.runtime.seccomp import docker
from kist.runtime.seccomp.architectures import of_machine
from kist.runtime.seccomp.profile import ALLOW, KILL_PROCESS, KILL_THREAD, LOG, TRAP, Action, errno_action, trace_action

MACHINES = ("amd64", "386", "arm64", "arm")
# The last three on any kernel since 4.8.
ANYWAY = frozenset(ALWAYS.split()) | {"ptrace", "process_vm_readv", "process_vm_writev"}
CONDITIONAL = frozenset({"socket", "personality", "clone"})
KERNEL = (6, 1)


def dockers(machine: str, capabilities: frozenset[str]) -> frozenset[str]:
    """What Docker allows without a look at the arguments."""
    found = set(ANYWAY)
    for capability in capabilities:
        found |= set(WITH_CAPABILITIES.get(capability, "").split())
    for name, calls in ON_MACHINES:
        if name == machine:
            found |= set(calls.split())
    return frozenset(found)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("capability", ["", *CAPABILITIES, "ALL"])
def test_the_default_allows_no_call_that_dockers_refuses(machine: str, capability: str) -> None:
    held = frozenset(CAPABILITIES) if capability == "ALL" else frozenset(filter(None, (capability,)))
    program = seccomp.compile(seccomp.DEFAULT, architecture=machine, capabilities=held)
    allowed = dockers(machine, held)
    for abi in of_machine(machine):
        for name, number in abi.numbers().items():
            # Arguments that are most likely to be let through.
            if run(program, number, abi.audit)[0] == ALLOW:
                assert name in allowed | CONDITIONAL, (name, abi)


@pytest.mark.parametrize("machine", MACHINES)
def test_address_families_that_docker_refuses_are_refused(machine: str) -> None:
    program = seccomp.compile(seccomp.DEFAULT, architecture=machine, capabilities=frozenset())
    for abi in of_machine(machine):
        if "socket" in abi.numbers():
            number = abi.numbers()["socket"]
            answers = {family: run(program, number, abi.audit, (family, 1, 0, 0, 0, 0))[0] for family in range(300)}
            assert all(answers[family] == errno_action(1) for family in REFUSED_FAMILIES)
            # Unix, IPv4, IPv6, netlink, packet, CAN and XDP are what containers use.
            assert all(answers[family] == ALLOW for family in (1, 2, 10, 16, 17, 29, 44))


# the JSON


def read(document: Mapping[str, Any], machine: str = "amd64") -> bytes:
    profile = docker.read(json.dumps(document), architecture=machine, kernel=KERNEL)
    assert profile is not None
    return seccomp.compile(profile, architecture=machine, capabilities=frozenset({"CAP_CHOWN"}))


def decision(document: Mapping[str, Any], name: str, *arguments: int, machine: str = "amd64", abi: int = 0) -> Action:
    architecture = of_machine(machine)[abi]
    values = (*arguments, *(0,) * (6 - len(arguments)))
    return run(read(document, machine), architecture.numbers()[name], architecture.audit, values)[0]


def rule(name: str = "chmod", action: str = "SCMP_ACT_ALLOW", **more: Any) -> dict[str, Any]:
    return {"names": [name], "action": action, **more}


def profile(*rules: dict[str, Any], default: str = "SCMP_ACT_ERRNO", **more: Any) -> dict[str, Any]:
    return {"defaultAction": default, "syscalls": list(rules), "archMap": [
        {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}], **more}  # fmt: skip


@pytest.mark.parametrize(
    ("action", "more", "expected"),
    [
        ("SCMP_ACT_ALLOW", {}, ALLOW),
        ("SCMP_ACT_LOG", {}, LOG),
        ("SCMP_ACT_KILL", {}, KILL_THREAD),
        ("SCMP_ACT_KILL_THREAD", {}, KILL_THREAD),
        ("SCMP_ACT_KILL_PROCESS", {}, KILL_PROCESS),
        ("SCMP_ACT_TRAP", {}, TRAP),
        ("SCMP_ACT_ERRNO", {}, errno_action(1)),
        ("SCMP_ACT_ERRNO", {"errnoRet": 95}, errno_action(95)),
        ("SCMP_ACT_TRACE", {}, trace_action(1)),
        ("SCMP_ACT_TRACE", {"errnoRet": 7}, trace_action(7)),
    ],
)
def test_actions(action: str, more: dict[str, Any], expected: Action) -> None:
    document = profile(rule(action=action, **more), default="SCMP_ACT_KILL_PROCESS")
    assert decision(document, "chmod") == expected
    assert decision(document, "read") == KILL_PROCESS


def test_the_default_action_has_an_errno_too() -> None:
    assert decision(profile(rule(), defaultErrnoRet=13), "read") == errno_action(13)
    assert decision(profile(rule("chmod", "SCMP_ACT_ERRNO"), defaultErrnoRet=13), "chmod") == errno_action(13)


@pytest.mark.parametrize(
    ("args", "arguments", "holds"),
    [
        ([{"index": 1, "value": 5, "op": "SCMP_CMP_EQ"}], (0, 5), True),
        ([{"index": 1, "value": 5, "op": "SCMP_CMP_EQ"}], (5, 0), False),
        ([{"index": 0, "value": 5, "op": "SCMP_CMP_NE"}], (4,), True),
        ([{"index": 0, "value": 5, "op": "SCMP_CMP_LT"}], (5,), False),
        ([{"index": 0, "value": 5, "op": "SCMP_CMP_LE"}], (5,), True),
        ([{"index": 0, "value": 5, "op": "SCMP_CMP_GT"}], (1 << 40,), True),
        ([{"index": 0, "value": 5, "op": "SCMP_CMP_GE"}], (4,), False),
        ([{"index": 0, "value": 0xF0, "valueTwo": 0x30, "op": "SCMP_CMP_MASKED_EQ"}], (0x3F,), True),
        ([{"index": 0, "value": 0xF0, "valueTwo": 0x30, "op": "SCMP_CMP_MASKED_EQ"}], (0x4F,), False),
        ([{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}, {"index": 1, "value": 2, "op": "SCMP_CMP_EQ"}], (1, 3), False),
        # On one argument they are alternatives.
        ([{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}, {"index": 0, "value": 2, "op": "SCMP_CMP_EQ"}], (2,), True),
    ],
)
def test_conditions(args: list[dict[str, Any]], arguments: tuple[int, ...], holds: bool) -> None:
    assert (decision(profile(rule(args=args)), "chmod", *arguments) == ALLOW) == holds


def test_a_refused_argument_counts_although_the_call_is_allowed_before_it() -> None:
    refused = rule("socket", "SCMP_ACT_ERRNO", args=[{"index": 0, "value": 40, "op": "SCMP_CMP_EQ"}])
    document = profile(rule("socket"), refused)
    assert decision(document, "socket", 40) == errno_action(1)
    assert decision(document, "socket", 2) == ALLOW


@pytest.mark.parametrize(
    ("condition", "applies"),
    [
        ({"includes": {"caps": ["CAP_CHOWN"]}}, True),
        ({"includes": {"caps": ["CAP_SYS_ADMIN"]}}, False),
        ({"excludes": {"caps": ["CAP_CHOWN"]}}, False),
        ({"includes": {"arches": ["arm64"]}}, False),
        ({"includes": {"arches": ["amd64", "x32"]}}, True),
        ({"excludes": {"arches": ["amd64"]}}, False),
        ({"includes": {"minKernel": "4.8"}}, True),
        ({"includes": {"minKernel": "6.2"}}, False),
        ({"excludes": {"minKernel": "6.1"}}, False),
        ({"includes": {}, "excludes": None}, True),
    ],
)
def test_rules_apply_where_they_say(condition: dict[str, Any], applies: bool) -> None:
    assert (decision(profile(rule(**condition)), "chmod") == ALLOW) == applies


def test_the_architectures_that_are_named() -> None:
    assert decision(profile(rule()), "chmod", abi=1) == ALLOW
    alone = profile(rule(), archMap=None, architectures=["SCMP_ARCH_X86_64"])
    assert decision(alone, "chmod", abi=1) == KILL_PROCESS
    assert decision(profile(rule("chmod"), archMap=None), "chmod") == ALLOW


def test_calls_newer_than_the_profile_are_not_known_rather_than_refused() -> None:
    assert decision(profile(rule("chmod")), "openat2") == errno_action(38)
    assert decision(profile(default="SCMP_ACT_ALLOW"), "openat2") == ALLOW


def test_an_empty_document_is_no_filter() -> None:
    assert docker.read("{}", architecture="amd64", kernel=KERNEL) is None


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("", "invalid seccomp profile"),
        ("[]", "invalid seccomp profile"),
        ('{"syscalls": 5}', "syscalls"),
        ('{"defaultAction": "ALLOW"}', "defaultAction is 'ALLOW'"),
        (profile(rule(action="SCMP_ACT_ERRNO", errnoRet=5000)), "errnoRet"),
        (profile(rule(action="x")), r"syscalls\[0\].action is 'x'"),
        (profile(rule(args=[{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}])), r"args\[0\].index is 6"),
        (profile(rule(args=[{"index": 0, "value": 1, "op": "EQ"}])), r"args\[0\].op is 'EQ'"),
        (profile(rule(includes={"minKernel": "new"})), "minKernel is 'new'"),
        (profile({"action": "SCMP_ACT_ALLOW"}), "names no system call"),
        (profile({"action": "SCMP_ACT_ALLOW", "name": "read", "names": ["write"]}), "'name' and 'names'"),
        (profile(rule(), architectures=["SCMP_ARCH_X86_64"]), "'architectures' and 'archMap'"),
    ],
)
def test_what_is_no_profile(document: Any, words: str) -> None:
    text = document if isinstance(document, str) else json.dumps(document)
    with pytest.raises(InvalidInput, match=words):
        docker.read(text, architecture="amd64", kernel=KERNEL)


def test_nobody_can_be_notified() -> None:
    with pytest.raises(Unsupported, match="SCMP_ACT_NOTIFY"):
        docker.read(json.dumps(profile(rule(action="SCMP_ACT_NOTIFY"))), architecture="amd64", kernel=KERNEL)
