"""Options that can be asked for and that the engine does not do yet: each is refused by name.

Who makes one work takes its row out; the last one takes the file.
"""

from collections.abc import Callable

from kist.errors import Unsupported
from kist.spec.container import ContainerOptions

_UNDONE: tuple[tuple[str, Callable[[ContainerOptions], object]], ...] = (
    ("--runtime", lambda o: o.runtime not in {"", "runc"}),
)  # fmt: skip


def refuse(options: ContainerOptions) -> None:
    """Raise ``Unsupported`` for the first option that is set and not done yet."""
    for name, is_set in _UNDONE:
        if is_set(options):
            raise Unsupported(f"{name}: not supported yet", hint="leave it out")
