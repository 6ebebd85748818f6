"""Options that can be asked for and that the engine does not do yet: each is refused by name.

Who makes one work takes its row out; the last one takes the file.
"""

from collections.abc import Callable

from kist.engine.devices import is_cdi
from kist.errors import Unsupported
from kist.spec.container import ContainerOptions

_UNDONE: tuple[tuple[str, Callable[[ContainerOptions], object]], ...] = (
    ("--network", lambda o: o.network not in {"bridge", "host", "none"} and not o.network.startswith("container:")),
    ("--userns", lambda o: o.namespaces.user not in {"", "host"}),
    ("--device with a CDI name", lambda o: any(map(is_cdi, o.devices))),
    ("--gpus", lambda o: o.device_requests),
    ("--runtime", lambda o: o.runtime not in {"", "runc"}),
)  # fmt: skip


def refuse(options: ContainerOptions) -> None:
    """Raise ``Unsupported`` for the first option that is set and not done yet."""
    for name, is_set in _UNDONE:
        if is_set(options):
            raise Unsupported(f"{name}: not supported yet", hint="leave it out")
