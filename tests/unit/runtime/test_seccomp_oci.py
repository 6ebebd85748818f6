"""Profiles in the runtime specification's JSON: the same decisions, although rules have no order there."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.runtime.seccomp import DEFAULT, oci
from kist.runtime.seccomp.profile import (
    ALLOW,
    KILL_PROCESS,
    LOG,
    TRAP,
    Action,
    Comparison,
    Operator,
    Profile,
    Rule,
    errno_action,
    trace_action,
)

REFUSED = errno_action(1)
HOLDS = {
    "SCMP_CMP_NE": lambda a, v, _: a != v,
    "SCMP_CMP_LT": lambda a, v, _: a < v,
    "SCMP_CMP_LE": lambda a, v, _: a <= v,
    "SCMP_CMP_EQ": lambda a, v, _: a == v,
    "SCMP_CMP_GE": lambda a, v, _: a >= v,
    "SCMP_CMP_GT": lambda a, v, _: a > v,
    "SCMP_CMP_MASKED_EQ": lambda a, v, two: a & v == two,
}
OURS = {
    "eq": lambda a, c: a == c.value,
    "ne": lambda a, c: a != c.value,
    "lt": lambda a, c: a < c.value,
    "le": lambda a, c: a <= c.value,
    "gt": lambda a, c: a > c.value,
    "ge": lambda a, c: a >= c.value,
    "masked": lambda a, c: a & c.mask == c.value,
}


def document(*rules: Rule, default: Action = REFUSED, capabilities: frozenset[str] = frozenset()) -> dict[str, Any]:
    return oci.document(Profile(default, rules), architecture="amd64", capabilities=capabilities)


def decided(written: dict[str, Any], name: str, arguments: dict[int, int]) -> set[str]:
    """What the rules that apply say; they have no order, so all of them must say the same."""
    found = set()
    for rule in written["syscalls"]:
        conditions = rule.get("args", [])
        indices = [each["index"] for each in conditions]
        assert len(set(indices)) == len(indices), "libseccomp takes one condition on an argument"
        if name in rule["names"] and all(
            HOLDS[each["op"]](arguments[each["index"]], each["value"], each.get("valueTwo", 0)) for each in conditions
        ):
            found.add(f"{rule['action']} {rule.get('errnoRet', '')}".strip())
    return found or {f"{written['defaultAction']} {written.get('defaultErrnoRet', '')}".strip()}


def wanted(profile: Profile, name: str, arguments: dict[int, int]) -> Action:
    for rule in profile.rules:
        holds = all(OURS[each.operator](arguments[each.index], each) for each in rule.arguments)
        if name in rule.names and holds and rule.applies_to("amd64", frozenset()):
            return rule.action
    return profile.default


@pytest.mark.parametrize(
    ("action", "written"),
    [
        (ALLOW, {"action": "SCMP_ACT_ALLOW"}),
        (LOG, {"action": "SCMP_ACT_LOG"}),
        (TRAP, {"action": "SCMP_ACT_TRAP"}),
        (KILL_PROCESS, {"action": "SCMP_ACT_KILL_PROCESS"}),
        (errno_action(38), {"action": "SCMP_ACT_ERRNO", "errnoRet": 38}),
        (trace_action(7), {"action": "SCMP_ACT_TRACE", "errnoRet": 7}),
    ],
)
def test_actions(action: Action, written: dict[str, Any]) -> None:
    [rule] = document(Rule(("read",), action))["syscalls"]
    assert rule == {"names": ["read"], **written}


def test_what_the_default_does_anyway_is_no_rule() -> None:
    written = document(Rule(("read",), REFUSED), Rule(("write",), ALLOW))
    assert (written["defaultAction"], written["defaultErrnoRet"]) == ("SCMP_ACT_ERRNO", 1)
    assert [rule["names"] for rule in written["syscalls"]] == [["write"]]


def test_rules_of_capabilities_that_are_not_there_are_left_out() -> None:
    rule = Rule(("mount",), ALLOW, with_capabilities=("CAP_SYS_ADMIN",))
    assert document(rule)["syscalls"] == []
    assert len(document(rule, capabilities=frozenset({"CAP_SYS_ADMIN"}))["syscalls"]) == 1


def test_the_32_bit_programs_of_the_machine_are_filtered_too() -> None:
    assert document()["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]
    only = oci.document(
        Profile(REFUSED, (), abis=frozenset({0xC000003E})), architecture="amd64", capabilities=frozenset()
    )
    assert only["architectures"] == ["SCMP_ARCH_X86_64"]


@pytest.mark.parametrize("argument", [0, 7, 8, 9, 2**32, 2**64 - 1])
@pytest.mark.parametrize("operator", ["eq", "ne", "lt", "le", "gt", "ge"])
def test_all_but_what_one_condition_refuses(operator: Operator, argument: int) -> None:
    profile = Profile(REFUSED, (Rule(("one",), TRAP, (Comparison(0, operator, 8),)), Rule(("one",), ALLOW)))
    written = oci.document(profile, architecture="amd64", capabilities=frozenset())
    expected = "SCMP_ACT_TRAP" if wanted(profile, "one", {0: argument}) == TRAP else "SCMP_ACT_ALLOW"
    assert decided(written, "one", {0: argument}) == {expected}


def test_conditions_on_several_arguments_are_as_the_profile_has_them() -> None:
    both = (Comparison(0, "eq", 1), Comparison(1, "eq", 2))
    written = document(Rule(("one",), TRAP, both), Rule(("one",), ALLOW))
    assert [rule["action"] for rule in written["syscalls"]] == ["SCMP_ACT_TRAP", "SCMP_ACT_ALLOW"]


CONDITIONS = st.builds(
    Comparison,
    st.just(0),
    st.sampled_from(list(OURS)),
    st.integers(0, 2**64 - 1) | st.integers(0, 63),
    st.sampled_from([0xF, 2**64 - 1]),
)
ACTIONS = st.sampled_from([ALLOW, TRAP, REFUSED])
RULES = st.lists(st.builds(Rule, st.just(("one",)), ACTIONS, st.tuples(CONDITIONS)), min_size=1, max_size=3)


@given(rules=RULES, last=ACTIONS | st.none(), asked=st.integers(0, 2**64 - 1) | st.integers(0, 80))
def test_the_first_rule_that_applies_decides(rules: list[Rule], last: Action | None, asked: int) -> None:
    profile = Profile(REFUSED, (*rules, *([] if last is None else [Rule(("one",), last)])))
    written = oci.document(profile, architecture="amd64", capabilities=frozenset())
    near = [value + step for rule in rules for value in (rule.arguments[0].value,) for step in (-1, 0, 1)]
    for argument in (asked, *(value for value in near if 0 <= value < 2**64)):
        expected = oci.document(
            Profile(wanted(profile, "one", {0: argument}), ()), architecture="amd64", capabilities=frozenset()
        )
        assert decided(written, "one", {0: argument}) == decided(expected, "", {})


@pytest.mark.parametrize("family", [0, 1, 2, 10, 37, 38, 39, 40, 41, 2**32 - 1, 2**32 + 38, 2**32 + 2, 2**63 + 40])
def test_families_of_sockets_as_the_default_profile_has_them(family: int) -> None:
    written = oci.document(DEFAULT, architecture="amd64", capabilities=frozenset())
    arguments = dict.fromkeys(range(6), 0) | {0: family}
    refused = wanted(DEFAULT, "socket", arguments) == DEFAULT.default
    assert refused or (family & 0xFFFFFFFF) not in {38, 40}
    assert decided(written, "socket", arguments) == {"SCMP_ACT_ERRNO 1" if refused else "SCMP_ACT_ALLOW"}


@given(
    values=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=4, unique=True),
    asked=st.integers(0, 2**64 - 1),
    near=st.integers(0, 31),
)
def test_all_but_some_numbers(values: list[int], asked: int, near: int) -> None:
    refusing = [Rule(("socket",), TRAP, (Comparison(0, "masked", value, mask=0xFFFFFFFF),)) for value in values]
    profile = Profile(REFUSED, (*refusing, Rule(("socket",), ALLOW)))
    written = oci.document(profile, architecture="amd64", capabilities=frozenset())
    for argument in (asked, values[0], values[-1] ^ 1 << near, values[0] | 1 << 40):
        expected = "SCMP_ACT_TRAP" if argument & 0xFFFFFFFF in values else "SCMP_ACT_ALLOW"
        assert decided(written, "socket", {0: argument}) == {expected}


def test_no_call_of_the_default_profile_is_decided_in_two_ways() -> None:
    written = oci.document(DEFAULT, architecture="amd64", capabilities=frozenset())
    names = {name for rule in DEFAULT.rules for name in rule.names}
    for name in sorted(names):
        for argument in (0, 1, 38, 40, 0x10000000, 0xFFFFFFFF, 0x20008):
            assert len(decided(written, name, dict.fromkeys(range(6), argument))) == 1, name
