"""Seccomp profiles as values: which system calls are let through, by name, argument, machine and capability.

The words are wide enough for Docker's JSON profiles and the runtime specification (config-linux.md, "Seccomp"), but not
theirs: rules are in order here, and the first that applies decides.
"""

from typing import Literal

import msgspec

Operator = Literal["eq", "ne", "lt", "le", "gt", "ge", "masked"]


class Action(msgspec.Struct, frozen=True):
    """What the kernel does with a system call: the filter's return value (seccomp(2), SECCOMP_RET_*)."""

    value: int


ALLOW = Action(0x7FFF0000)
LOG = Action(0x7FFC0000)
KILL_PROCESS = Action(0x80000000)
KILL_THREAD = Action(0)
TRAP = Action(0x00030000)


def errno_action(number: int) -> Action:
    """Refuse the call with this errno (at most 4095, as the kernel has it)."""
    return Action(0x00050000 | number & 0xFFF)


def trace_action(number: int) -> Action:
    """Ask a tracer, which is told this number; without one the call gives ENOSYS."""
    return Action(0x7FF00000 | number & 0xFFFF)


class Comparison(msgspec.Struct, frozen=True):
    """One argument of the call, an unsigned number of 64 bits, against a value.

    ``masked`` holds when ``argument & mask == value``.
    """

    index: int
    operator: Operator
    value: int
    mask: int = 0xFFFFFFFFFFFFFFFF


class Rule(msgspec.Struct, frozen=True):
    """What to do with some system calls, under conditions that must all hold.

    Attributes:
        names: system calls; one that an architecture does not have is no fault.
        arguments: all of them must hold.
        with_capabilities: the container must hold all of them.
        without_capabilities: the container must hold none of them.
        architectures: the machine must be one of them (any, when empty), in GOARCH's words. The machine of a 32-bit
            program is the one that it runs on.
        except_architectures: the machine must be none of them.
    """

    names: tuple[str, ...]
    action: Action
    arguments: tuple[Comparison, ...] = ()
    with_capabilities: tuple[str, ...] = ()
    without_capabilities: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()
    except_architectures: tuple[str, ...] = ()

    def applies_to(self, architecture: str, capabilities: frozenset[str]) -> bool:
        """Whether the rule counts on this machine for a container with these capabilities."""
        return (
            capabilities.issuperset(self.with_capabilities)
            and capabilities.isdisjoint(self.without_capabilities)
            and (not self.architectures or architecture in self.architectures)
            and architecture not in self.except_architectures
        )


class Profile(msgspec.Struct, frozen=True):
    """A whole profile.

    Attributes:
        default: for a call that exists and that no rule applies to.
        rules: in order; the first that applies decides.
        unknown: for numbers that are no system call of the architecture, and for calls newer than the newest one that
            the rules name. Programs try new calls and fall back on ENOSYS, but not on EPERM. None: as ``default``.
        abis: the sets of numbers (AUDIT_ARCH_*) that programs may use, others end the process; None for all that the
            machine runs.
    """

    default: Action
    rules: tuple[Rule, ...]
    unknown: Action | None = None
    abis: frozenset[int] | None = None
