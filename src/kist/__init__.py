"""Kist: build, share and run containers; a whole engine as a typed Python library.

Names are imported when they are first used, so that ``import kist`` costs nothing::

    with kist.Engine() as engine:
        image = engine.build(".")
        result = engine.run(image, ["plot", "data.csv"], mounts=[kist.Mount.bind("/data", "/data")])
        print(result.stdout)
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kist import errors as errors
    from kist.client.checking import check as check
    from kist.spec.build import BootstrapOptions as BootstrapOptions
    from kist.spec.build import BuildOptions as BuildOptions
    from kist.spec.build import Secret as Secret
    from kist.spec.build import SshAgent as SshAgent
    from kist.spec.build import StepOptions as StepOptions
    from kist.spec.container import Container as Container
    from kist.spec.container import ContainerOptions as ContainerOptions
    from kist.spec.container import ContainerState as ContainerState
    from kist.spec.container import ExecOptions as ExecOptions
    from kist.spec.container import LogRecord as LogRecord
    from kist.spec.container import RunResult as RunResult
    from kist.spec.digest import Digest as Digest
    from kist.spec.dockerfile.checks.finding import CheckReport as CheckReport
    from kist.spec.dockerfile.checks.finding import Finding as Finding
    from kist.spec.event import SystemEvent as SystemEvent
    from kist.spec.interface import EngineInterface as EngineInterface
    from kist.spec.mount import Mount as Mount
    from kist.spec.network import Network as Network
    from kist.spec.network import NetworkOptions as NetworkOptions
    from kist.spec.network import Subnet as Subnet
    from kist.spec.networking import Endpoint as Endpoint
    from kist.spec.networking import Networking as Networking
    from kist.spec.networking import PortBinding as PortBinding
    from kist.spec.reference import Reference as Reference
    from kist.spec.summary import Image as Image
    from kist.spec.volume import Volume as Volume
    from kist.spec.volume import VolumeOptions as VolumeOptions

__version__ = "0.1.0"

_HOME = {
    "BootstrapOptions": "kist.spec.build",
    "BuildOptions": "kist.spec.build",
    "CheckReport": "kist.spec.dockerfile.checks.finding",
    "Container": "kist.spec.container",
    "ContainerOptions": "kist.spec.container",
    "ContainerState": "kist.spec.container",
    "Digest": "kist.spec.digest",
    "Endpoint": "kist.spec.networking",
    "EngineInterface": "kist.spec.interface",
    "ExecOptions": "kist.spec.container",
    "Finding": "kist.spec.dockerfile.checks.finding",
    "Image": "kist.spec.summary",
    "LogRecord": "kist.spec.container",
    "Mount": "kist.spec.mount",
    "Network": "kist.spec.network",
    "NetworkOptions": "kist.spec.network",
    "Networking": "kist.spec.networking",
    "PortBinding": "kist.spec.networking",
    "Reference": "kist.spec.reference",
    "Resources": "kist.spec.container",
    "RunResult": "kist.spec.container",
    "Secret": "kist.spec.build",
    "SshAgent": "kist.spec.build",
    "StepOptions": "kist.spec.build",
    "Subnet": "kist.spec.network",
    "SystemEvent": "kist.spec.event",
    "Volume": "kist.spec.volume",
    "VolumeOptions": "kist.spec.volume",
    "check": "kist.client.checking",
}

__all__ = ["Engine", "__version__", "errors", *_HOME]  # noqa: PLE0604 - the table above is the list


def Engine(  # noqa: N802 - it stands for the class that it chooses
    *, local: bool = False, host: str = "", data_root: str = "", run_root: str = ""
) -> "EngineInterface":
    """The engine, to be used in a ``with`` block.

    Args:
        local: False talks to the engine over its socket and starts it when it does not run; True makes an engine that
            is a part of this process, or of a child of it where this is an ordinary user's: the containers are then
            this process's descendants, in its control groups, and end with it.
        host: another engine: ``unix:///PATH``, ``tcp://ADDRESS:PORT`` (with ``$DOCKER_TLS_VERIFY`` and
            ``$DOCKER_CERT_PATH``) or ``ssh://USER@HOST``; empty for that of ``$DOCKER_HOST`` or of Docker's context,
            else Kist's own. Not with ``local``.
        data_root: where images and containers are kept; empty for ``$KIST_ROOT``, else the usual place.
        run_root: the directory of the socket; empty for ``$KIST_RUN``, else the default.

    Raises:
        Unsupported: there is no such kind of host.
        NotFound: there is no such context.
        Forbidden: with ``local``: this machine makes no user namespaces for its users.
    """
    import os  # noqa: PLC0415 - nothing is imported for those who only look

    from kist.client import endpoint  # noqa: PLC0415 - the same
    from kist.client.environment import settled  # noqa: PLC0415 - the same

    given = {"KIST_ROOT": data_root, "KIST_RUN": run_root}
    environment = {**settled(os.environ, os.getuid()), **{name: value for name, value in given.items() if value}}
    if local:
        uid = os.geteuid()
        places = endpoint.data_root(environment, uid), endpoint.run_root(environment, uid)
        if uid:
            from kist.client.private import PrivateEngine  # noqa: PLC0415 - msgspec

            return PrivateEngine(*places)
        from kist.local import LocalEngine  # noqa: PLC0415 - the whole engine

        return LocalEngine(*places)
    from kist.client.client import Client  # noqa: PLC0415 - msgspec

    context = ""
    if run_root and not host:
        environment.pop("DOCKER_HOST", None)
        context = endpoint.DEFAULT
    return Client(endpoint.resolve(environment, os.getuid(), host, context=context))


def __getattr__(name: str) -> object:
    """Import what ``kist.NAME`` stands for."""
    import importlib  # noqa: PLC0415 - light as it is, a command line that needs none of this does without

    if name == "errors":
        return importlib.import_module("kist.errors")
    if name not in _HOME:
        raise AttributeError(f"module 'kist' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
