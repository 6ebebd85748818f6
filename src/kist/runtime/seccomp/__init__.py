"""Seccomp profiles and their compilation to the kernel's filter programs. Pure; loading is ``kist.kernel.seccomp``."""

from kist.runtime.seccomp.compiler import compile  # noqa: A004 - read as seccomp.compile, like re.compile
from kist.runtime.seccomp.default import DEFAULT
from kist.runtime.seccomp.profile import Action, Comparison, Profile, Rule

__all__ = ["DEFAULT", "Action", "Comparison", "Profile", "Rule", "compile"]
