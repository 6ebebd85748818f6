"""What ``build`` and ``bootstrap`` are told."""

from typing import Literal

import msgspec

from kist.errors import InvalidInput
from kist.spec.container import NetworkMode
from kist.spec.outputs import IMAGE, SENT, parse_output
from kist.spec.platform import Platform
from kist.spec.reference import Reference
from kist.spec.resources import Resources


class StepOptions(msgspec.Struct, frozen=True, omit_defaults=True):
    """What each command of a build (RUN) has, as a container has it.

    Attributes:
        network: as a container's.
        extra_hosts: ``NAME:ADDRESS`` lines of /etc/hosts.
        resources: its limits.
        cgroup_parent: the cgroup that its own is made in; empty for Kist's.
        security_options: as ``--security-opt`` has them.
        privileged: every right that the engine can give (``RUN --security=insecure``).
        devices: by their CDI names (``RUN --device``).
    """

    network: NetworkMode = "bridge"
    extra_hosts: tuple[str, ...] = ()
    resources: Resources = Resources()
    cgroup_parent: str = ""
    security_options: tuple[str, ...] = ()
    privileged: bool = False
    devices: tuple[str, ...] = ()


USUAL_STEPS = StepOptions()
STEP_HOSTNAME = "kist-build"
"""The name of the machine that a command sees, where nobody says otherwise."""
LockUse = Literal["none", "auto", "locked", "update"]


def lock_use(text: str) -> LockUse:
    """What a build does with its lock, by its word; empty for nothing.

    Raises:
        InvalidInput: there is no such word.
    """
    match text:
        case "" | "none":
            return "none"
        case "auto" | "locked" | "update":
            return text
    raise InvalidInput(f"unknown use of a lock: {text!r}", hint="it is none, auto, locked or update")


class Secret(msgspec.Struct, frozen=True, omit_defaults=True):
    """A secret that the caller has.

    Attributes:
        id: what the Dockerfile calls it.
        source: the path of a file with it.
        env: the caller's variable that is it, where there is no file.
    """

    id: str
    source: str = ""
    env: str = ""


class SshAgent(msgspec.Struct, frozen=True, omit_defaults=True):
    """An ssh agent that the caller has.

    Attributes:
        id: what the Dockerfile calls it.
        paths: of the agent's socket, or of private keys; none for ``$SSH_AUTH_SOCK``.
    """

    id: str = "default"
    paths: tuple[str, ...] = ()


class BuildOutput(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a build's result goes.

    Attributes:
        type: ``local`` (its files, into a directory), ``tar`` (of its files), ``oci`` or ``docker`` (an archive of the
            image; with ``tar=false`` an OCI layout's directory), ``image`` (kept by the engine), ``cacheonly``
            (nowhere).
        dest: a path on the caller's side, ``-`` for standard output; the engine is not told.
        attributes: as BuildKit's exporters have them (docs/guide/building.md): ``name`` (references of the image in
            place of the build's tags, with commas between them), ``tar``, ``compression``, ``annotation.KEY``, …
    """

    type: str
    dest: str = ""
    attributes: dict[str, str] = {}

    @classmethod
    def parse(cls, text: str) -> "BuildOutput":
        """One value of ``-o``: ``DIRECTORY``, ``-``, ``type=oci,dest=image.tar``.

        Raises:
            InvalidInput: it is none; says what is.
        """
        try:
            found = parse_output(text)
        except ValueError as error:
            raise InvalidInput(f"invalid output: {error}") from None
        return cls(found.type, found.dest, found.attributes)

    @property
    def sends_data(self) -> bool:
        """Whether bytes go to the caller."""
        return self.type in SENT


class BuildOptions(msgspec.Struct, frozen=True, omit_defaults=True):
    """Options of a build.

    Attributes:
        dockerfile: path of the Dockerfile inside the context.
        tags: references that the result gets.
        build_args: values of ARGs.
        target: name or number of the stage to build; empty for the last.
        no_cache: run every step.
        no_cache_filter: names or numbers of stages of which every step is run.
        labels: added to the result's config.
        platform: that is built for, and of the bases whose FROM names none; empty for this machine's. Several, with
            commas between them, make an image for each.
        pull: ask for newer bases, which nobody can be asked for yet.
        cache_from: images whose steps are taken for those of this build where they are the same; or
            ``type=local,src=DIRECTORY`` or ``type=registry,ref=NAME``.
        cache_to: where the steps' results are brought for other builds: ``type=local,dest=DIRECTORY[,mode=max]``,
            ``type=registry,ref=NAME[,mode=max]`` or ``type=inline`` (into the image).
        steps: what its commands have.
        allow: what steps may have that ask for it: ``network.host``, ``security.insecure``, ``device``.
        secrets, ssh: what the caller has for ``RUN --mount``; they stay the caller's, who is asked for them.
        lock: ``auto`` takes the images of the lock beside the Dockerfile, tells what packages are other ones, and adds
            to it what is new; ``locked`` fails where something is not as in it; ``update`` makes it anew; ``none``
            leaves it alone. Whoever has the directory writes the file.
        sbom: attach a bill of materials to the image.
        provenance: attach what the image was made of, and how.
        contexts: by the name that FROM and ``--from`` use in place of an image or a stage: a directory of the caller's,
            ``docker-image://IMAGE``, ``oci-layout://DIRECTORY[:TAG]``, or a URL of an archive or a Git repository.
        outputs: where the result goes; none is an image that the engine keeps.
        annotations: of the image's manifest.
        reproducible: nothing of the moment and the machine is in the result, which takes the build argument
            SOURCE_DATE_EPOCH (seconds since 1970, by default 1980-01-01) for its time; with the argument, so it is too.
        verify: build twice, the second time without the cache; what is not the same in both is told by ``Verified``,
            and ends the build. It is ``reproducible`` then.
        squash: one layer above those of the base image, in place of one for each step.
    """

    dockerfile: str = "Dockerfile"
    tags: tuple[str, ...] = ()
    build_args: dict[str, str] = {}
    target: str = ""
    no_cache: bool = False
    no_cache_filter: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    platform: str = ""
    pull: bool = False
    cache_from: tuple[str, ...] = ()
    cache_to: tuple[str, ...] = ()
    steps: StepOptions = USUAL_STEPS
    allow: tuple[str, ...] = ()
    secrets: tuple[Secret, ...] = ()
    ssh: tuple[SshAgent, ...] = ()
    lock: LockUse = "none"
    sbom: bool = False
    provenance: bool = False
    contexts: dict[str, str] = {}
    outputs: tuple[BuildOutput, ...] = ()
    annotations: dict[str, str] = {}
    squash: bool = False
    reproducible: bool = False
    verify: bool = False

    def names_of(self, output: BuildOutput) -> tuple[str, ...]:
        """The full names of the image in an output: its own, else the build's tags.

        Raises:
            InvalidInput: one of them is no reference.
        """
        own = output.attributes.get("name", "")
        return tuple(dict.fromkeys(str(Reference.parse(name)) for name in (own.split(",") if own else self.tags)))

    @property
    def platforms(self) -> tuple[str, ...]:
        """The platforms that are named, in their usual form, each once.

        Raises:
            InvalidInput: one of them is none.
        """
        named = (name.strip() for name in self.platform.split(","))
        return tuple(dict.fromkeys(str(Platform.parse(name)) for name in named if name))

    @property
    def references(self) -> tuple[str, ...]:
        """The full names that the kept image gets; none where it is not kept."""
        kept = self.outputs or (BuildOutput(IMAGE),)
        names = (name for output in kept if output.type == IMAGE for name in self.names_of(output))
        return tuple(dict.fromkeys(names))


class BootstrapOptions(msgspec.Struct, frozen=True, omit_defaults=True):
    """Options of a bootstrap.

    Attributes:
        distribution: ``debian:12``, ``debian:13``, or a code name (``debian:bookworm``).
        variant: ``minbase`` (essential packages and apt) or ``standard`` (priority important and standard too).
        include: further packages.
        mirror: base URL of the archive; empty for the host's own apt configuration, else Debian's public one.
        snapshot: a date (``20260101T000000Z`` or ``2026-01-01``) at Debian's snapshot archive.
        lock: the text of a lock file; exactly its packages are installed.
        tag: the name of the result; empty for the distribution's own (``debian:12``).
        architecture: Debian's word (``amd64``); empty for the host's.
        keyring: armoured OpenPGP certificates that sign the mirror, in place of Debian's own; mostly empty.
    """

    distribution: str
    variant: str = "minbase"
    include: tuple[str, ...] = ()
    mirror: str = ""
    snapshot: str = ""
    lock: str = ""
    tag: str = ""
    architecture: str = ""
    keyring: str = ""
