"""``kist bootstrap``: a base image from Debian's signed archive."""

import hashlib
import os
import platform as machine
import shlex
from contextlib import suppress
from typing import TYPE_CHECKING

from kist.bootstrap.archives import choose_archives
from kist.bootstrap.cache import PackageCache
from kist.bootstrap.dependency import parse_relations
from kist.bootstrap.distribution import Archive, Release, find_release
from kist.bootstrap.fetch import Fetcher
from kist.bootstrap.host import read_host_apt
from kist.bootstrap.keep import keep_lock, lock_path
from kist.bootstrap.lock import Lock, format_lock, parse_lock
from kist.bootstrap.make import dated, fetch_packages, make_image
from kist.bootstrap.select import choice_key, choose, package_lists, read_suites
from kist.bootstrap.steps import Steps
from kist.errors import Conflict, InvalidInput, NotFound, Unsupported
from kist.spec import debian_version
from kist.spec.build import BootstrapOptions
from kist.spec.interface import Progress
from kist.spec.platform import Platform
from kist.spec.reference import Reference
from kist.spec.summary import Image

if TYPE_CHECKING:
    from kist.engine.engine import Engine

# Goes up whenever the same lock makes another image than before, so that no image of the old kind is taken for it.
_RECIPE = 1

# Debian's names of architectures where they are not the kernel's, Docker's or both.
_DEBIAN_ARCHITECTURES = {"arm/v7": "armhf", "arm/v6": "armel", "386": "i386", "ppc64le": "ppc64el"}


def bootstrap(engine: "Engine", options: BootstrapOptions, progress: Progress | None = None) -> Image:
    """Make a base image, name it and return it.

    Raises:
        InvalidInput, ParseError: the options cannot be right.
        Unsupported: another distribution, or an architecture that this machine does not run.
        NotFound: a package, a release or a file is not in the archive.
        Conflict: packages that refuse each other.
        Unavailable: a mirror cannot be reached, has expired, or the disk is full.
        Corrupt: a signature, a hash or a package is not right.
        StepFailed: a package could not be configured.
    """
    return _Bootstrap(engine, options, progress).run()


class _Bootstrap:
    """One bootstrap with its cache and its steps."""

    def __init__(self, engine: "Engine", options: BootstrapOptions, progress: Progress | None) -> None:
        self._engine = engine
        self._options = options
        self._release = find_release(options.distribution)
        self._architecture = _architecture(options)
        self._locked = _check_lock(options, self._release, self._architecture) if options.lock else None
        self._steps = Steps(progress, total=4 if self._locked else 6)
        limit = engine.housekeeping.limits().packages
        self._cache = PackageCache(os.path.join(engine.store.root, "cache", "debian"), limit=limit)

    def run(self) -> Image:
        host = read_host_apt()
        archives = choose_archives(self._release, self._options, host)
        with Fetcher(self._cache, host.settings) as fetcher:
            choice, lock = ("", self._locked) if self._locked else self._choose(fetcher, archives)
            known = self._known_image(lock)
            if known is not None:
                return known
            with self._steps.step("download", f"Fetch {len(lock.packages)} packages") as step:
                fetch_packages(self._cache, fetcher, lock, archives, step)
        lock = dated(lock, self._cache)
        with self._engine.store.writing():
            image = make_image(self._engine, self._cache, lock, self._steps, self._references)
        self._remember(choice, lock, image)
        return image

    def _choose(self, fetcher: Fetcher, archives: tuple[Archive, ...]) -> tuple[str, Lock]:
        """The choice's name and the lock; a choice among the same lists of packages has been made before, perhaps."""
        with self._steps.step("release", f"Verify the archive of {self._release.codename}") as step:
            suites = read_suites(fetcher, archives, self._options.keyring, step)
            lists = package_lists(suites, self._architecture)
        key = choice_key(lists, self._options, self._architecture)
        choice = f"{self._engine.catalogue.scope}bootstrap-choice:{key}"
        with self._steps.step("resolve", "Choose the packages") as step:
            before = self._engine.store.records.cache_get(choice)
            if before is not None:
                step.cached = True
                return choice, parse_lock(before.decode())
            wanted = [one.wanted for one in lists if not self._cache.holds(one.wanted.sha256)]
            step.expect(sum(one.size for one in wanted))
            fetcher.on_bytes = step.advance
            fetcher.files(wanted)
            try:
                return choice, choose(self._cache, lists, self._release, self._options, self._architecture)
            finally:
                # Sixty thousand packages were read; an engine that goes on for weeks need not remember their parts.
                debian_version.forget()
                parse_relations.cache_clear()

    def _known_image(self, lock: Lock) -> Image | None:
        """The image that this lock has made here before, under the names that are asked for now."""
        found = self._engine.store.records.cache_get(self._engine.catalogue.scope + _image_key(lock))
        if found is None:
            return None
        with suppress(NotFound):
            image = self._engine.catalogue.get(found.decode())
            chosen = self._engine.store.origins.chosen(image.id)
            with self._steps.step("image", "Made before from the same packages") as step:
                step.cached = True
                for reference in self._references:
                    self._engine.catalogue.tag(image.id, reference)
            if os.path.exists(lock_path(self._engine, image.id)):
                self._note_origin(image, self._names - chosen)
            return self._engine.catalogue.get(image.id)
        return None

    def _remember(self, choice: str, lock: Lock, image: Image) -> None:
        text = format_lock(lock)
        if choice:
            self._engine.store.records.cache_put(choice, text.encode())
        self._engine.store.records.cache_put(self._engine.catalogue.scope + _image_key(lock), image.id.hex.encode())
        keep_lock(self._engine, image, text)
        self._note_origin(image, self._names)
        self._cache.trim()

    def _note_origin(self, image: Image, names: frozenset[str]) -> None:
        """The image can be had again, unless somebody chose its name, or where its packages and keys come from."""
        options = self._options
        if options.tag or options.mirror or options.keyring:
            return
        words = ["kist", "bootstrap", f"debian:{self._release.version}", "--lock", lock_path(self._engine, image.id)]
        if options.architecture:
            words += ["--architecture", options.architecture]
        self._engine.store.origins.note(image.id, shlex.join(words), names)

    @property
    def _names(self) -> frozenset[str]:
        """The names that are asked for, in full."""
        return frozenset(str(Reference.parse(each)) for each in self._references)

    @property
    def _references(self) -> tuple[str, ...]:
        """What was asked for, and the names that Debian's own images bear."""
        if self._options.tag:
            return (self._options.tag,)
        return tuple(f"debian:{name}" for name in (self._release.version, self._release.codename))


def _image_key(lock: Lock) -> str:
    return f"bootstrap-image:{_RECIPE}:{hashlib.sha256(format_lock(lock).encode()).hexdigest()}"


def own_architecture() -> str:
    """Debian's name of this machine's architecture."""
    host = Platform.of_machine(machine.machine())
    name = "/".join(part for part in (host.architecture, host.variant) if part)
    return _DEBIAN_ARCHITECTURES.get(name, host.architecture)


def _architecture(options: BootstrapOptions) -> str:
    """Debian's name of the architecture to make an image for.

    Raises:
        Unsupported: this machine does not run its programs, and configuring is running programs.
    """
    own = own_architecture()
    wanted = options.architecture or own
    if wanted != own and not Platform.of_machine(wanted).runs_on(Platform.of_machine(own)):
        raise Unsupported(
            f"cannot bootstrap for {wanted}: this machine is {own} and does not run its programs",
            hint=f"make it on a machine that is {wanted}, and move it with kist save and kist load",
        )
    return wanted


def _check_lock(options: BootstrapOptions, release: Release, architecture: str) -> Lock:
    """The lock, which has to be one for what the other options ask for.

    Raises:
        ParseError: it is malformed.
        InvalidInput: it has a package less than asked for.
        Conflict: it is of another release or architecture.
    """
    lock = parse_lock(options.lock)
    if lock.release.codename != release.codename:
        raise Conflict(
            f"the lock is of debian:{lock.release.version}, not of {options.distribution}",
            hint=f"say kist bootstrap debian:{lock.release.version}, or give the lock of {options.distribution}",
        )
    if lock.architecture != architecture:
        raise Conflict(f"the lock is for {lock.architecture}, not for {architecture}")
    missing = sorted(set(options.include) - {package.name for package in lock.packages})
    if missing:
        raise InvalidInput(
            f"the lock has no {', '.join(missing)}", hint="a lock says all: make a new one without --lock"
        )
    return lock
