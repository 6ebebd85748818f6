"""Seccomp profiles in Docker's JSON, which is the runtime specification's with conditions (config-linux.md, "Seccomp").

``includes`` and ``excludes`` ask for capabilities, architectures and kernels; ``archMap`` stands for ``architectures``.
Where several rules name one call, those with conditions on arguments come before those without, whatever their order in
the file: a refusal of one address family counts although a rule before it allows the call. The x32 ABI is never
allowed: its numbers are none of amd64's.
"""

import msgspec

from kist.errors import InvalidInput, Unsupported
from kist.runtime.seccomp.architectures import of_machine
from kist.runtime.seccomp.profile import (
    ALLOW,
    KILL_PROCESS,
    KILL_THREAD,
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
from kist.spec import json

_EPERM, _ENOSYS = 1, 38
_LARGEST_ERRNO = 4095
_MOST_ARGUMENTS = 6
_WORD = 2**64 - 1
PLAIN = {
    "SCMP_ACT_ALLOW": ALLOW,
    "SCMP_ACT_LOG": LOG,
    "SCMP_ACT_KILL": KILL_THREAD,
    "SCMP_ACT_KILL_THREAD": KILL_THREAD,
    "SCMP_ACT_KILL_PROCESS": KILL_PROCESS,
    "SCMP_ACT_TRAP": TRAP,
}
_WITH_NUMBER = {"SCMP_ACT_ERRNO": errno_action, "SCMP_ACT_TRACE": trace_action}
_ACTIONS = ", ".join((*PLAIN, *_WITH_NUMBER))
OPERATORS: dict[str, Operator] = {
    "SCMP_CMP_NE": "ne",
    "SCMP_CMP_LT": "lt",
    "SCMP_CMP_LE": "le",
    "SCMP_CMP_EQ": "eq",
    "SCMP_CMP_GE": "ge",
    "SCMP_CMP_GT": "gt",
    "SCMP_CMP_MASKED_EQ": "masked",
}
# libseccomp's words for the architectures of these filters (linux/audit.h, AUDIT_ARCH_*).
AUDIT = {
    "SCMP_ARCH_X86_64": 0xC000003E,
    "SCMP_ARCH_X86": 0x40000003,
    "SCMP_ARCH_AARCH64": 0xC00000B7,
    "SCMP_ARCH_ARM": 0x40000028,
}
# What a profile calls machines, where GOARCH has another word.
_MACHINES = {"x86": "386"}


class _Argument(msgspec.Struct, rename="camel"):
    index: int
    value: int = 0
    value_two: int = 0
    op: str = "SCMP_CMP_EQ"


class _Filter(msgspec.Struct, rename="camel"):
    caps: tuple[str, ...] | None = None
    arches: tuple[str, ...] | None = None
    min_kernel: str | None = None


class _Call(msgspec.Struct, rename="camel"):
    action: str
    names: tuple[str, ...] | None = None
    name: str = ""
    errno_ret: int | None = None
    args: tuple[_Argument, ...] | None = None
    includes: _Filter | None = None
    excludes: _Filter | None = None


class _Map(msgspec.Struct, rename="camel"):
    architecture: str
    sub_architectures: tuple[str, ...] | None = None


class _Document(msgspec.Struct, rename="camel"):
    default_action: str = ""
    default_errno_ret: int | None = None
    architectures: tuple[str, ...] | None = None
    arch_map: tuple[_Map, ...] | None = None
    syscalls: tuple[_Call, ...] | None = None
    listener_path: str = ""


def read(text: str | bytes, *, architecture: str, kernel: tuple[int, int]) -> Profile | None:
    """The profile that a JSON document spells, for a machine; None for an empty one, which is no filter at all.

    Args:
        text: the document.
        architecture: the machine's, in GOARCH's words.
        kernel: version and patch level, for ``minKernel``.

    Raises:
        InvalidInput: it is not such a document; the message says where.
        Unsupported: it hands calls to a supervisor (``SCMP_ACT_NOTIFY``).
    """
    document = json.decode(text, _Document, what="seccomp profile")
    if not document.default_action and not document.syscalls:
        return None
    default = _action(document.default_action, document.default_errno_ret, "defaultAction")
    rules: list[Rule] = []
    for number, call in enumerate(document.syscalls or ()):
        rules += _rules(call, f"syscalls[{number}]", document.default_errno_ret, kernel)
    return Profile(
        default=default,
        # Those without conditions last: sorting is stable, so among themselves they keep the file's order.
        rules=tuple(sorted(rules, key=lambda rule: not rule.arguments)),
        # Who refuses what he does not name does not know calls that are newer than the profile.
        unknown=None if default in {ALLOW, LOG} else errno_action(_ENOSYS),
        abis=_abis(document, architecture),
    )


def _abis(document: _Document, architecture: str) -> frozenset[int]:
    """The sets of numbers that programs may use: the machine's own, always, and those that the document names."""
    if document.architectures and document.arch_map:
        raise InvalidInput(
            "'architectures' and 'archMap' were specified in the seccomp profile, use either 'architectures' or "
            "'archMap'"
        )
    own = of_machine(architecture)[0].audit
    named = set(document.architectures or ())
    for entry in document.arch_map or ():
        if AUDIT.get(entry.architecture) == own:
            named |= {entry.architecture, *(entry.sub_architectures or ())}
    return frozenset({own} | {AUDIT[name] for name in named if name in AUDIT})


def _rules(call: _Call, where: str, errno_default: int | None, kernel: tuple[int, int]) -> list[Rule]:
    if call.name and call.names:
        raise InvalidInput("'name' and 'names' were specified in the seccomp profile, use either 'name' or 'names'")
    names = call.names or ((call.name,) if call.name else ())
    if not names:
        raise InvalidInput(f"invalid seccomp profile: {where} names no system call", hint='write "names": ["read"]')
    includes, excludes = call.includes or _Filter(), call.excludes or _Filter()
    if not _kernel_fits(includes, excludes, where, kernel):
        return []
    action = _action(call.action, call.errno_ret if call.errno_ret is not None else errno_default, f"{where}.action")
    return [
        Rule(
            names,
            action,
            arguments=arguments,
            with_capabilities=tuple(includes.caps or ()),
            without_capabilities=tuple(excludes.caps or ()),
            architectures=_machines(includes),
            except_architectures=_machines(excludes),
        )
        for arguments in _conditions(call.args or (), where)
    ]


def _machines(condition: _Filter) -> tuple[str, ...]:
    return tuple(_MACHINES.get(name, name) for name in condition.arches or ())


def _kernel_fits(includes: _Filter, excludes: _Filter, where: str, kernel: tuple[int, int]) -> bool:
    least, below = includes.min_kernel, excludes.min_kernel
    if least and kernel < _version(least, f"{where}.includes.minKernel"):
        return False
    return not (below and kernel >= _version(below, f"{where}.excludes.minKernel"))


def _version(text: str, where: str) -> tuple[int, int]:
    major, _, minor = text.partition(".")
    if not (major.isdecimal() and minor.isdecimal()):
        raise InvalidInput(f"invalid seccomp profile: {where} is {text!r}", hint="a kernel version is like 4.8")
    return int(major), int(minor)


def _conditions(args: tuple[_Argument, ...], where: str) -> list[tuple[Comparison, ...]]:
    """The alternatives, each of conditions that must all hold.

    Two conditions on one argument are alternatives, as in runc: a filter of libseccomp cannot hold both.
    """
    comparisons = tuple(_comparison(arg, f"{where}.args[{number}]") for number, arg in enumerate(args))
    if len({comparison.index for comparison in comparisons}) == len(comparisons):
        return [comparisons]
    return [(comparison,) for comparison in comparisons]


def _comparison(arg: _Argument, where: str) -> Comparison:
    if not 0 <= arg.index < _MOST_ARGUMENTS:
        raise InvalidInput(f"invalid seccomp profile: {where}.index is {arg.index}", hint="a call has arguments 0 to 5")
    operator = OPERATORS.get(arg.op)
    if operator is None:
        raise InvalidInput(
            f"invalid seccomp profile: {where}.op is {arg.op!r}", hint="allowed are " + ", ".join(OPERATORS)
        )
    if operator == "masked":
        return Comparison(arg.index, operator, arg.value_two & _WORD, mask=arg.value & _WORD)
    return Comparison(arg.index, operator, arg.value & _WORD)


def _action(name: str, number: int | None, where: str) -> Action:
    if name in PLAIN:
        return PLAIN[name]
    if name in _WITH_NUMBER:
        if number is not None and not 0 <= number <= _LARGEST_ERRNO:
            raise InvalidInput(f"invalid seccomp profile: the errnoRet of {where} is {number}", hint="0 to 4095")
        return _WITH_NUMBER[name](_EPERM if number is None else number)
    if name == "SCMP_ACT_NOTIFY":
        raise Unsupported(f"the seccomp profile's {where} is SCMP_ACT_NOTIFY, and there is nobody to be notified")
    raise InvalidInput(f"invalid seccomp profile: {where} is {name!r}", hint=f"allowed are {_ACTIONS}")
