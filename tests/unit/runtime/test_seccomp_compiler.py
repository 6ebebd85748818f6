"""Compiled filters, run by a small BPF machine, against what the profile says in its own words."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpf_machine import run
from kist.errors import InvalidInput, Unsupported
from kist.runtime import seccomp
from kist.runtime.seccomp.architectures import PRIVATE, of_machine
from kist.runtime.seccomp.profile import ALLOW, KILL_PROCESS, LOG, Action, Comparison, Profile, Rule, errno_action

MACHINES = ("amd64", "386", "arm64", "arm")
CAPABILITIES = ("CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "CAP_SYS_TIME", "CAP_BPF", "CAP_SYS_CHROOT", "CAP_NET_ADMIN")
DOCKERS = frozenset({"CAP_CHOWN", "CAP_SYS_CHROOT", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETUID"})
EPERM, ENOSYS = errno_action(1), errno_action(38)


def holds(comparison: Comparison, arguments: tuple[int, ...]) -> bool:
    argument, value = arguments[comparison.index], comparison.value
    return {
        "eq": argument == value,
        "ne": argument != value,
        "lt": argument < value,
        "le": argument <= value,
        "gt": argument > value,
        "ge": argument >= value,
        "masked": argument & comparison.mask == value,
    }[comparison.operator]


def decide(
    profile: Profile,
    machine: str,
    table: dict[str, int],
    capabilities: frozenset[str],
    call: int,
    arguments: tuple[int, ...],
) -> Action:
    """The profile's meaning, without any of the compiler's ways."""
    name = next((name for name, number in table.items() if number == call), None)
    newest = max((table[n] for r in profile.rules for n in r.names if table.get(n, PRIVATE) < PRIVATE), default=-1)
    if name is None or newest < call < PRIVATE:
        return profile.unknown or profile.default
    for rule in profile.rules:
        applies = name in rule.names and rule.applies_to(machine, capabilities)
        if applies and all(holds(comparison, arguments) for comparison in rule.arguments):
            return rule.action
    return profile.default


SHARP = [0, 1, 8, 37, 38, 39, 40, 41, 0x20000, 0x20008, 0x7E020000, 0xFFFFFFFF, 1 << 32, (1 << 32) + 38, 2**64 - 1]
words = st.one_of(st.sampled_from(SHARP), st.integers(0, 2**64 - 1))
arguments_ = st.tuples(*[words] * 6)
capabilities_ = st.frozensets(st.sampled_from(CAPABILITIES))


@settings(max_examples=300)
@given(st.data(), st.sampled_from(MACHINES), capabilities_, arguments_)
def test_the_default_profile_decides_as_it_says(data, machine, capabilities, arguments):
    abi = data.draw(st.sampled_from(of_machine(machine)))
    table = abi.numbers()
    special = [table[name] for name in ("socket", "personality", "clone", "clone3") if name in table]
    call = data.draw(
        st.one_of(st.sampled_from(special), st.sampled_from(sorted(table.values())), st.integers(0, 2**32 - 1))
    )
    program = seccomp.compile(seccomp.DEFAULT, architecture=machine, capabilities=capabilities)
    expected = decide(seccomp.DEFAULT, machine, table, capabilities, call, arguments)
    assert run(program, call, abi.audit, arguments)[0] == expected


@pytest.mark.parametrize(
    "capabilities", [frozenset(), DOCKERS, frozenset(CAPABILITIES)], ids=["none", "dockers", "many"]
)
@pytest.mark.parametrize("machine", MACHINES)
def test_every_number_of_the_tables_and_around_them(machine, capabilities):
    program = seccomp.compile(seccomp.DEFAULT, architecture=machine, capabilities=capabilities)
    zeros = (0,) * 6
    for abi in of_machine(machine):
        table = abi.numbers()
        for call in {*range(600), *table.values(), PRIVATE, 0x40000000, 2**32 - 1}:
            expected = decide(seccomp.DEFAULT, machine, table, capabilities, call, zeros)
            assert run(program, call, abi.audit, zeros)[0] == expected, (call, abi)


comparisons = st.builds(
    Comparison,
    st.integers(0, 5),
    st.sampled_from(["eq", "ne", "lt", "le", "gt", "ge", "masked"]),
    words,
    st.sampled_from([0, 0xFF, 0xFFFFFFFF, 0xFFFFFFFF << 32, 2**64 - 1]),
)
few_names = st.lists(st.sampled_from(["read", "write", "openat", "mseal", "nosuchcall"]), min_size=1, max_size=3)
actions = st.sampled_from([ALLOW, LOG, KILL_PROCESS, EPERM])
rules = st.builds(
    Rule,
    few_names.map(tuple),
    actions,
    arguments=st.lists(comparisons, max_size=4).map(tuple),
    with_capabilities=st.sampled_from([(), (), ("CAP_BPF",)]),
    without_capabilities=st.sampled_from([(), (), ("CAP_SYS_ADMIN",)]),
    architectures=st.sampled_from([(), (), ("amd64",), ("arm64", "arm")]),
    except_architectures=st.sampled_from([(), (), ("amd64",)]),
)
profiles = st.builds(Profile, actions, st.lists(rules, max_size=8).map(tuple), st.sampled_from([None, ENOSYS]))


@settings(max_examples=100, deadline=None)
@given(profiles, st.sampled_from(MACHINES), capabilities_, st.data())
def test_any_profile_decides_as_it_says(profile, machine, capabilities, data):
    abi = data.draw(st.sampled_from(of_machine(machine)))
    table = abi.numbers()
    call = data.draw(st.sampled_from([*(table[n] for n in ("read", "write", "openat", "mseal")), 0, 7, 400, 470, 5000]))
    # Values that the comparisons name, so that equality is met as often as not.
    named = [c.value for rule in profile.rules for c in rule.arguments] or [0]
    arguments = tuple(data.draw(st.one_of(st.sampled_from(named), words)) for _ in range(6))
    program = seccomp.compile(profile, architecture=machine, capabilities=capabilities)
    assert run(program, call, abi.audit, arguments)[0] == decide(profile, machine, table, capabilities, call, arguments)


def ask(name: str, *arguments: int, capabilities: frozenset[str] = DOCKERS, compat: bool = False) -> Action:
    abi = of_machine("amd64")[int(compat)]
    program = seccomp.compile(seccomp.DEFAULT, architecture="amd64", capabilities=capabilities)
    return run(program, abi.numbers()[name], abi.audit, (*arguments, *(0,) * (6 - len(arguments))))[0]


ADMIN = frozenset({"CAP_SYS_ADMIN"})


@pytest.mark.parametrize(
    ("answer", "call"),
    [
        (ALLOW, ("read",)),
        (ALLOW, ("clone", 0x01200011)),  # fork, as the C library makes it
        (EPERM, ("clone", 0x10000000)),
        (EPERM, ("clone", 0x04000011)),
        (ENOSYS, ("clone3",)),
        (EPERM, ("unshare", 0x10000000)),
        (EPERM, ("mount",)),
        (EPERM, ("keyctl",)),
        (EPERM, ("io_uring_setup",)),
        (EPERM, ("userfaultfd",)),
        (EPERM, ("bpf",)),
        (ENOSYS, ("rseq_slice_yield",)),  # newer than what the rules name
        (ALLOW, ("socket", 2)),
        (ALLOW, ("socket", 39)),
        (EPERM, ("socket", 38)),
        (EPERM, ("socket", 40)),
        (EPERM, ("socket", (1 << 32) + 38)),  # the kernel reads 32 bits, and so does the filter
        (ALLOW, ("personality", 0x20008)),
        (EPERM, ("personality", 0x40000)),
        (ALLOW, ("chroot",)),
    ],
)
def test_what_the_default_profile_says_on_amd64(answer, call):
    assert ask(*call) == answer


@pytest.mark.parametrize("call", [("clone", 0x10000000), ("clone3",), ("unshare",), ("mount",), ("bpf",), ("setns",)])
def test_the_administrator_of_the_container_may_more(call):
    assert ask(*call, capabilities=ADMIN) == ALLOW


def test_programs_of_32_bits_are_held_to_the_same():
    assert ask("getpid", compat=True) == ALLOW
    assert ask("chown32", compat=True) == ALLOW
    assert ask("unshare", compat=True) == EPERM
    assert ask("clone", 0x10000000, compat=True) == EPERM


def test_a_call_of_the_x32_abi_does_not_exist():
    abi = of_machine("amd64")[0]
    program = seccomp.compile(seccomp.DEFAULT, architecture="amd64", capabilities=DOCKERS)
    assert run(program, 0x40000000, abi.audit)[0] == ENOSYS


def test_an_architecture_that_is_not_the_machines_ends_the_process():
    program = seccomp.compile(seccomp.DEFAULT, architecture="amd64", capabilities=DOCKERS)
    assert run(program, 0, of_machine("arm64")[0].audit)[0] == KILL_PROCESS


@pytest.mark.parametrize("machine", MACHINES)
def test_a_program_is_short_and_a_call_costs_few_instructions(machine):
    program = seccomp.compile(seccomp.DEFAULT, architecture=machine, capabilities=DOCKERS)
    assert len(program) // 8 < 1024
    for abi in of_machine(machine):
        assert max(run(program, call, abi.audit)[1] for call in abi.numbers().values()) <= 40
        assert run(program, abi.numbers()["read"], abi.audit)[1] <= 16


def test_an_unknown_machine_is_named():
    with pytest.raises(Unsupported, match="'vax'"):
        seccomp.compile(seccomp.DEFAULT, architecture="vax", capabilities=frozenset())


def _rule(name: str, conditions: int) -> Rule:
    return Rule((name,), ALLOW, arguments=tuple(Comparison(0, "ne", value) for value in range(conditions)))


def test_a_rule_with_too_many_conditions_is_refused():
    with pytest.raises(InvalidInput, match="49 conditions"):
        seccomp.compile(Profile(EPERM, (_rule("read", 49),)), architecture="amd64", capabilities=frozenset())


def test_a_program_that_is_too_long_is_refused():
    long = Profile(EPERM, tuple(_rule("read", 48) for _ in range(20)))
    with pytest.raises(InvalidInput, match="the kernel takes 4096"):
        seccomp.compile(long, architecture="amd64", capabilities=frozenset())


def test_no_call_is_in_two_groups():
    names = [name for rule in seccomp.DEFAULT.rules for name in rule.names if rule == Rule(rule.names, ALLOW)]
    assert len(names) > 300
    assert len(names) == len(set(names))


def test_no_name_of_the_profile_is_misspelt():
    known = {name for machine in MACHINES for abi in of_machine(machine) for name in abi.numbers()}
    others = {"riscv_hwprobe", "riscv_flush_icache", "swapcontext"}
    others |= {"s390_pci_mmio_read", "s390_pci_mmio_write", "s390_runtime_instr"}
    others |= {"sync_file_range2"}  # arm has it under the name arm_sync_file_range as well
    unknown = {name for rule in seccomp.DEFAULT.rules for name in rule.names} - known
    assert unknown == others


@pytest.mark.parametrize("machine", MACHINES)
def test_a_number_is_one_call(machine):
    for abi in of_machine(machine):
        numbers = list(abi.numbers().values())
        assert len(numbers) == len(set(numbers))
        assert abi.numbers()["openat2"] == 437  # from 424 on every architecture counts alike
