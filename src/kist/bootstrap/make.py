"""Makes an image of a lock: packages into the cache, from there into a snapshot, configured, cleaned, committed."""

import os
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from kist.bootstrap import contents
from kist.bootstrap.cache import PackageCache
from kist.bootstrap.configure import PATH, Container, configure_base, install
from kist.bootstrap.deb import read_built
from kist.bootstrap.distribution import Archive
from kist.bootstrap.dpkg_database import database
from kist.bootstrap.fetch import Fetcher, Wanted
from kist.bootstrap.lock import Lock, LockedPackage, format_lock
from kist.bootstrap.normalise import normalise
from kist.bootstrap.select import package_url
from kist.bootstrap.steps import Step, Steps
from kist.bootstrap.tree import Tree
from kist.bootstrap.unpack import Unpacked, merge_usr, unpack_all
from kist.errors import NotFound, Unavailable, see_doctor
from kist.spec.image import ContainerConfig, History, ImageConfig, Layer, RootFS
from kist.spec.platform import Platform
from kist.spec.summary import Image

if TYPE_CHECKING:
    from kist.engine.engine import Engine

_KEYRINGS = ("usr/share/keyrings/debian-archive-keyring.gpg", "usr/share/keyrings/debian-archive-keyring.pgp")


def fetch_packages(cache: PackageCache, fetcher: Fetcher, lock: Lock, archives: Sequence[Archive], step: Step) -> None:
    """Bring the packages that are not in the cache there."""
    missing = [package for package in lock.packages if not cache.holds(package.sha256)]
    step.cached = not missing
    step.expect(sum(package.size for package in missing))
    fetcher.on_bytes = step.advance
    fetcher.files([Wanted(package_url(package, archives), package.sha256, package.size) for package in missing])


def dated(lock: Lock, cache: PackageCache) -> Lock:
    """The lock with its date: when the newest of its packages was built, which its own files never are newer than.

    So the date, and with it the image, stays the same until a package changes.

    Raises:
        Unavailable: this machine's clock is behind that date, so that new files could not be told from old ones.
    """
    if not lock.date:
        date = max(read_built(cache.path(package.sha256)) for package in lock.packages)
        lock = msgspec.structs.replace(lock, date=date)
    if lock.date > time.time():
        raise Unavailable(
            f"the packages are of {_rfc3339(lock.date)}, which this machine's clock says is in the future",
            hint=see_doctor("clock", "set this machine's clock"),
        )
    return lock


def make_image(engine: "Engine", cache: PackageCache, lock: Lock, steps: Steps, references: Sequence[str]) -> Image:
    """Make the image of a lock whose packages are in the cache, under the given names."""
    steps.more(1 if lock.added else 0)
    key = f"bootstrap-{uuid.uuid4().hex}"
    (root,) = engine.store.snapshots.prepare(key, None)
    try:
        _fill(engine, key, root.source, cache, lock, steps)
        with steps.step("commit", "Clean up and write the layer"):
            _finish(root.source, lock)
            layer = engine.catalogue.commit_snapshot(key, None, mtime=lock.date)
    except BaseException:
        engine.catalogue.discard_snapshot(key)
        raise
    assert layer is not None, "a base image has files"
    return engine.catalogue.create(_config(lock, layer), (layer.descriptor,), references)


def _fill(engine: "Engine", key: str, root: str, cache: PackageCache, lock: Lock, steps: Steps) -> None:
    with steps.step("unpack", f"Unpack {len(lock.base)} packages") as step:
        packages = _unpack(root, cache, lock, step)
    with steps.step("configure", "Configure them in a container") as step:
        configure_base(Container(engine, key, lock.date, step.output), packages)
    if lock.added:
        title = f"Install {len(lock.added)} more packages"
        with steps.step("install", title) as step, engine.store.temporary() as directory:
            _gather(cache, lock.added, directory)
            install(Container(engine, key, lock.date, step.output), lock, directory)


def _finish(root: str, lock: Lock) -> None:
    with Tree(root) as tree:
        tree.write(contents.EXTENDED_STATES, contents.extended_states(lock).encode())
        tree.write(contents.LOCK_PATH, format_lock(lock).encode())
        normalise(tree)


def _unpack(root: str, cache: PackageCache, lock: Lock, step: Step) -> tuple[Unpacked, ...]:
    # base-files settles the attributes of the directories that all packages share.
    base = sorted(lock.base, key=lambda package: (package.name != "base-files", package.name))
    step.expect(sum(package.size for package in base))
    with Tree(root) as tree:
        merge_usr(tree, lock.architecture)
    packages = unpack_all(root, [cache.path(package.sha256) for package in base], step.advance)
    with Tree(root) as tree:
        for file in database(packages):
            tree.write(file.path, file.data, file.mode)
        for path, data, mode in contents.files_before(lock.archives, _keyring(tree)):
            tree.write(path, data, mode)
    return packages


def _keyring(tree: Tree) -> str:
    """The path of Debian's keyring in the image.

    Raises:
        NotFound: it has none, so that apt could not verify anything.
    """
    for path in _KEYRINGS:
        if tree.stat(path) is not None:
            return f"/{path}"
    raise NotFound("the base has no keyring of Debian's", hint="the lock or the mirror lacks debian-archive-keyring")


def _gather(cache: PackageCache, packages: Sequence[LockedPackage], directory: str) -> None:
    for package in packages:
        os.link(cache.path(package.sha256), os.path.join(directory, package.file_name))


def _config(lock: Lock, layer: Layer) -> ImageConfig:
    platform = Platform.of_machine(lock.architecture)
    made = _rfc3339(lock.date)
    return ImageConfig(
        architecture=platform.architecture,
        os="linux",
        variant=platform.variant,
        created=made,
        rootfs=RootFS((layer.diff_id,)),
        config=ContainerConfig(env=(PATH,), cmd=("bash",)),
        history=(History(created=made, created_by=_command(lock), comment=f"{len(lock.packages)} packages"),),
    )


def _command(lock: Lock) -> str:
    include = f" --include {','.join(lock.include)}" if lock.include else ""
    return f"kist bootstrap debian:{lock.release.version} --variant {lock.variant}{include}"


def _rfc3339(date: int) -> str:
    return datetime.fromtimestamp(date, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
