"""What a build will do, as values: a graph of steps, every variable in them already replaced.

The planner makes it from a Dockerfile without doing anything; the executor walks it. A step names the steps whose
results it needs, so independent ones may run in any order or at once; ``Plan.steps`` is one order that works.
"""

import msgspec

from kist.build.repository import Repository
from kist.build.run_mount import Mounted
from kist.spec.dockerfile.mode import Mode
from kist.spec.dockerfile.mounts import RunDevice
from kist.spec.image import ContainerConfig
from kist.spec.platform import Platform

SCRIPTS = "/dev/pipes"
"""The directory in which a step's command finds its script."""


class Scratch(msgspec.Struct, frozen=True):
    """``FROM scratch``: nothing."""


class UseImage(msgspec.Struct, frozen=True):
    """Begin with an image that is kept here.

    Attributes:
        reference: as the Dockerfile has it.
        platform: that it was asked for; empty for this machine's, if there is one.
    """

    reference: str
    platform: str = ""


class UseStage(msgspec.Struct, frozen=True):
    """Begin with what an earlier stage made."""


class Document(msgspec.Struct, frozen=True):
    """A here-document: a file of this name and text."""

    name: str
    text: str


class Download(msgspec.Struct, frozen=True):
    """A file that is fetched.

    Attributes:
        url: ``http`` or ``https``.
        name: of the file; empty where only the server may know it.
        checksum: the digest that it must have; empty for any.
        unpack: an archive is unpacked.
    """

    url: str
    name: str
    checksum: str = ""
    unpack: bool = False


class Checkout(msgspec.Struct, frozen=True):
    """Files of a Git repository that are fetched: what ``repository.Repository`` says."""

    repository: Repository


class Run(msgspec.Struct, frozen=True):
    """Run a command.

    Attributes:
        argv: with the shell, where there is one.
        script: what is at ``SCRIPTS`` while it runs: a here-document with an interpreter of its own.
        environment: ``NAME=value``: the image's and the ARGs in scope.
        proxies: predefined build arguments; the command sees them, the cache key does not.
        mounts: what it sees besides the tree.
        network: ``none`` or ``host``; empty for what the build has.
        insecure: it has all of the rights that this engine can give.
        devices: CDI devices that it sees.
        hostname: the name of the machine that it sees; empty for the usual one.
    """

    argv: tuple[str, ...]
    environment: tuple[str, ...] = ()
    proxies: tuple[str, ...] = ()
    user: str = ""
    working_dir: str = ""
    script: Document | None = None
    mounts: tuple[Mounted, ...] = ()
    network: str = ""
    insecure: bool = False
    devices: tuple[RunDevice, ...] = ()
    hostname: str = ""


class CopyFiles(msgspec.Struct, frozen=True):
    """Copy files into the image.

    Attributes:
        sources: patterns, relative to the root of the tree they come from, in their clean form.
        destination: absolute, in its clean form.
        into_directory: the destination was written as a directory (``/`` or ``.`` at its end).
        owner: ``user[:group]``, names or numbers; empty for 0:0.
        mode: what becomes of permission bits; None to keep them.
        unpack: a local tar archive is unpacked (ADD).
        origin: the step whose result the files come from; empty for the context.
        origin_name: what the Dockerfile calls it.
        documents: here-documents; they come after the sources.
        excludes: patterns of what is left out below a source, as in ``.dockerignore``; of a file its name.
        parents: for each source, which is a directory then, the pattern below it of what is copied with the directories
            on the way; empty for whole sources.
        link: the files are a layer of their own.
        remotes: what is fetched (ADD); it comes after the sources, and before the documents.
        context: the named context that the files come from; empty for the build's own.
    """

    sources: tuple[str, ...]
    destination: str
    into_directory: bool
    owner: str = ""
    mode: Mode | None = None
    unpack: bool = False
    origin: str = ""
    origin_name: str = ""
    documents: tuple[Document, ...] = ()
    excludes: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()
    link: bool = False
    remotes: tuple[Download | Checkout, ...] = ()
    context: str = ""


class MakeDirectory(msgspec.Struct, frozen=True):
    """``WORKDIR``: make the directory where it does not exist."""

    path: str


class Configure(msgspec.Struct, frozen=True):
    """Change nothing but the image's config."""


Action = Scratch | UseImage | UseStage | Run | CopyFiles | MakeDirectory | Configure


class Step(msgspec.Struct, frozen=True):
    """One node of the graph.

    Attributes:
        id: ``stage.position``, or ``image NAME`` for an image that only serves a COPY.
        title: the instruction as it was written, on one line.
        created_by: the line of the image's history; empty for no entry.
        requires: ids of the steps whose results are needed; the first is what this step stands on.
        config: the container config after the step.
        place: the file and line of the instruction, for messages: ``Dockerfile:3``.
        anew: it is done whether its result is in the cache or not (``--no-cache-filter``).
    """

    id: str
    title: str
    action: Action
    place: str
    created_by: str = ""
    requires: tuple[str, ...] = ()
    config: ContainerConfig = ContainerConfig()
    anew: bool = False


class Plan(msgspec.Struct, frozen=True):
    """A whole build.

    Attributes:
        steps: in an order in which each comes after those it requires.
        result: the id of the step whose result is the image.
        config: the image's container config (the result's, with the build's labels).
        author: from MAINTAINER, else the base image's.
        warnings: what the writer of the Dockerfile should know.
    """

    steps: tuple[Step, ...]
    result: str
    config: ContainerConfig
    platform: Platform
    author: str = ""
    warnings: tuple[str, ...] = ()
