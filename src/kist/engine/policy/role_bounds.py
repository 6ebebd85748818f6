"""What a socket's role gives of what guests may be given: the usual, and nothing of the host's. Pure."""

from dataclasses import dataclass

from kist.errors import Forbidden
from kist.spec.scope import Scope


@dataclass(frozen=True, slots=True)
class RoleBounds:
    """The bounds of whoever comes by a socket with a role (see ``kist.engine.policy.rights.Bounds``)."""

    scope: Scope

    @property
    def denied(self) -> frozenset[str]:
        """Binds, and base images of a distribution: the engine would fetch them, into the caches of all."""
        return frozenset({"bind", "bootstrap"})

    def need(self, word: str, asked: str) -> None:
        """Refuse it: no role gives more than the usual."""
        raise self.refuse(asked, f"no role gives {word}")

    def refuse(self, asked: str, rule: str) -> Forbidden:
        """The error for what nobody may who comes by this socket."""
        return Forbidden(
            f"{asked} is refused by this socket ({self.scope.words}): {rule}",
            hint="the engine's own user may do it, by the engine's own socket",
        )

    def check(self, word: str, asked: str) -> None:
        """Refuse what no role may."""
        if word in self.denied:
            raise self.refuse(asked, "it reaches out to what is the host's")
