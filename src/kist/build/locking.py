"""A build with its lock: which images it takes, and what the packages that its RUNs install are held against.

The digests of a lock are taken before the first step; packages are compared when all steps are done, from the layers
that they made, so nothing is different for a step that a lock knows.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from msgspec.structs import replace

from kist.build import describe
from kist.build.plan import Checkout, CopyFiles, Download, Plan, Run
from kist.build.repository import shown
from kist.build.result import Result
from kist.errors import Conflict, Corrupt, KistError, NotFound
from kist.spec.build import LockUse
from kist.spec.digest import Digest
from kist.spec.dockerfile import Dockerfile
from kist.spec.image import Layer
from kist.spec.interface import Progress
from kist.spec.lockfile import Lock, LockedImage, LockedSource, LockedStep, format_lock, parse_lock
from kist.spec.package import Package
from kist.spec.progress import LockRenewed, Warned
from kist.spec.reference import Reference
from kist.spec.summary import Image

if TYPE_CHECKING:
    from kist.engine.engine import Engine

_LARGEST_KEPT = 64 << 10
_MOST_TOLD = 8
_LONGEST_TOLD = 60


@lru_cache(maxsize=16)
def _parse_again(text: str, path: str) -> Lock:
    """A lock that was perhaps read for a build before."""
    return parse_lock(text, path)


class Locking:
    """The lock of one build.

    Args:
        engine: has the images, and reads what is in layers.
        text: of the lock that there is; None where there is none.
        path: where it lies in the context, for messages.
        use: what is to be done with it.
        platforms: that the build is for.

    Raises:
        NotFound: there has to be a lock, and there is none.
        ParseError, InvalidInput: it cannot be read.
    """

    def __init__(self, engine: "Engine", text: str | None, path: str, use: LockUse, platforms: Sequence[str]) -> None:
        self._engine = engine
        self._path = path
        self._use = use
        self._platforms = tuple(platforms)
        self._text = text
        if use == "locked" and text is None:
            raise NotFound(f"--locked needs a lock, and there is no {path}", hint="kist build writes one")
        parse = _parse_again if len(text or "") <= _LARGEST_KEPT else parse_lock
        is_read = text is not None and use in {"auto", "locked"}
        self._old = parse(text or "", path).with_platforms(self._platforms[0]) if is_read else Lock()
        self._images: dict[tuple[str, str], LockedImage] = {}
        self._sources: dict[str, LockedSource] = {}
        self._pins: dict[Download | Checkout, str] = {}
        self._notes: list[str] = []
        self._new: Lock | None = None

    def image(self, name: str, platform: str) -> Image | None:
        """The image that the lock has for a name and a platform (empty for the build's); None where it has none.

        Raises:
            NotFound: it is not here.
            Conflict: nothing may be taken that is not in the lock.
        """
        key = self._key(name, platform)
        locked = next((each for each in self._old.images if (each.name, each.platform) == key), None)
        if locked is None:
            if self._use == "locked":
                raise Conflict(f"{self._path} has no image for {name}", hint="kist build adds it")
            return None
        try:
            found = self._engine.catalogue.to_run(locked.id)
        except NotFound:
            found = self._engine.catalogue.to_run(self._of_manifest(name, locked))
        self._look_at_now(name, found)
        return found

    def _of_manifest(self, name: str, locked: LockedImage) -> Digest:
        """The id of another image with that manifest, which has the same layers."""
        for each in self._engine.images():
            if locked.digest == each.manifest:
                return each.id
        raise NotFound(
            f"the image of {name} that {self._path} names is not here: {locked.id}",
            hint=f"load it ({name}@{locked.digest}), or take the {name} of now with kist build --update-lock",
        )

    def _look_at_now(self, name: str, taken: Image) -> None:
        """Note where the name means another image by now, for whoever has just made that."""
        try:
            if str(Reference.parse(name)) in taken.references:
                return
            now = self._engine.catalogue.of_platform(name, taken.config.platform)
        except KistError:
            return  # the name is gone; the image is not
        if now.id != taken.id:
            self._notes.append(
                f"{name} is another image now ({now.id.short}); that of the lock is taken ({taken.id.short}), "
                "kist build --update-lock takes the new one"
            )

    def note_image(self, name: str, platform: str, image: Image) -> None:
        """Take notice of an image that the build uses."""
        key = self._key(name, platform)
        self._images[key] = LockedImage(*key, image.manifest, image.id)

    def pinned(self, plan: Plan) -> Plan:
        """The plan with the digests and commits of the lock for what ADD fetches.

        Raises:
            Conflict: nothing may be fetched that is not in the lock.
        """
        known = {each.url: each.digest for each in self._old.sources}
        if not known and self._use != "locked":
            return plan
        steps = []
        for step in plan.steps:
            action = step.action
            if isinstance(action, CopyFiles) and action.remotes:
                remotes = tuple(self._pinned(remote, known) for remote in action.remotes)
                steps.append(replace(step, action=replace(action, remotes=remotes)))
            else:
                steps.append(step)
        return replace(plan, steps=tuple(steps))

    def _pinned(self, remote: Download | Checkout, known: Mapping[str, str]) -> Download | Checkout:
        url = _url(remote)
        if url not in known:
            if self._use == "locked":
                raise Conflict(f"{self._path} has no digest for {url}", hint="kist build adds it")
            return remote
        digest = known[url]
        if isinstance(remote, Download):
            made: Download | Checkout = remote if remote.checksum else replace(remote, checksum=digest)
        else:
            wanted = remote.repository
            # With its history, the name that was asked for is a part of what is copied.
            checked = wanted._replace(checksum=wanted.checksum or digest)
            made = Checkout(checked if wanted.keep_git_dir else wanted._replace(ref=digest))
        self._pins[made] = url
        return made

    def explained(self, error: Corrupt) -> Corrupt:
        """What is to be told of something that is not what it must be: that it is so by the lock, where it is."""
        known = {each.url: each.digest for each in self._old.sources}
        for made, url in self._pins.items():
            address = made.url if isinstance(made, Download) else shown(made.repository.address)
            if address in error.message:
                return Corrupt(
                    f"{url} has changed: {self._path} has {known[url]}",
                    hint="look at what is there now; kist build --update-lock takes it",
                )
        return error

    def note_fetched(self, fetched: Mapping[Download | Checkout, str]) -> None:
        """Take notice of what ADD has fetched, and what it was."""
        for remote, identity in fetched.items():
            url = self._pins.get(remote) or _url(remote)
            self._sources[url] = LockedSource(url, identity.partition(" ")[0])

    def _key(self, name: str, platform: str) -> tuple[str, str]:
        return name, platform or self._platforms[0]

    def settle(
        self, dockerfile: Dockerfile, plans: Sequence[Plan], results: Sequence[Mapping[str, Result]], progress: Progress
    ) -> None:
        """Hold the packages that the steps have installed against the lock, and see what is to be in it now.

        Args:
            dockerfile: that was built.
            plans: one for each platform.
            results: what the steps of each have made.
            progress: told of what is not as in the lock.

        Raises:
            Conflict: there is something else in them, and nothing else may be.
        """
        if self._use == "none":
            return
        for note in self._notes:
            progress(Warned(f"{self._path}: {note}"))
        known = {step.key: step for step in self._old.steps}
        made = [
            step
            for one, plan, of_one in zip(self._platforms, plans, results, strict=True)
            for step in self._steps(dockerfile, plan, of_one, one)
        ]
        drifted = [line for step in made if step.key in known for line in self._drift(known[step.key], step)]
        if self._use == "locked":
            drifted += [
                f"{self._named(step)}: it is not in the lock"
                for step in made
                if step.key not in known and step.packages
            ]
        if drifted and self._use == "locked":
            raise Conflict(
                "\n  ".join([f"the packages are not those of {self._path}:", *_shortened(drifted)]),
                hint="if they are right, kist build --update-lock renews it",
            )
        for line in drifted:
            progress(Warned(f"{self._path}: {line}"))
        self._new = self._merged(dockerfile, plans, made, known)

    def _steps(
        self, dockerfile: Dockerfile, plan: Plan, results: Mapping[str, Result], platform: str
    ) -> list[LockedStep]:
        """The RUNs of the build for a platform with what they have installed; those that installed nothing too."""
        found = []
        seen: dict[tuple[str, str], int] = {}
        for step in plan.steps:
            if not isinstance(step.action, Run) or step.id not in results:
                continue
            stage = dockerfile.stages[int(step.id.partition(".")[0])].name
            count = seen[stage, step.title] = seen.get((stage, step.title), 0) + 1
            title = step.title if count == 1 else f"{step.title} # {count}"
            own, below = results[step.id].layers, results[step.requires[0]].layers
            packages = self._brought(below, own[-1]) if len(own) > len(below) else ()
            found.append(LockedStep(stage, title, tuple(sorted({spelled(each) for each in packages})), platform))
        return found

    def _brought(self, below: tuple[Layer, ...], layer: Layer) -> tuple[Package, ...]:
        return self._engine.insight.contents.brought(below, layer)

    def _merged(
        self,
        dockerfile: Dockerfile,
        plans: Sequence[Plan],
        made: list[LockedStep],
        known: Mapping[tuple[str, str, str], LockedStep],
    ) -> Lock:
        """What the lock is from now on: what it had stays as it was, what is new comes in, what is gone goes.

        A stage that this build did not need, or a platform that it was not for, keeps its steps, as long as the
        Dockerfile has them.
        """
        images = {(each.name, each.platform): each for each in self._old.images}
        for image in self._images.values():
            images.setdefault((image.name, image.platform), image)
        sources = {each.url: each for each in self._old.sources} | self._sources
        gone_through = {step.id.partition(".")[0] for plan in plans for step in plan.steps}
        if gone_through >= {str(stage.index) for stage in dockerfile.stages}:
            # All of the Dockerfile was gone through: what it did not ask for is not asked for any more.
            platforms = {*self._platforms, *(platform for _, platform in self._images)}
            images = {key: each for key, each in images.items() if key in self._images or key[1] not in platforms}
            sources = self._sources
        current = {step.key: known.get(step.key, step) for step in made}
        titles = {
            (stage.name, describe.one_line(each.text)) for stage in dockerfile.stages for each in stage.instructions
        }
        kept = [step for step in self._old.steps if step.key in current or (step.stage, _plain(step.run)) in titles]
        order = {stage.name: number for number, stage in enumerate(dockerfile.stages)}
        missing = [step for step in current.values() if step.key not in {each.key for each in kept}]
        places = {key[:2]: number for number, key in reversed([*enumerate(current)])}
        steps = sorted(
            [*kept, *missing],
            key=lambda each: (order.get(each.stage, len(order)), places.get(each.key[:2], 0), each.platform),
        )
        told = tuple(step for step in steps if step.packages)
        return Lock(tuple(images.values()), tuple(sources.values()), told)

    def tell(self, progress: Progress) -> None:
        """Tell the text of the lock, where it is another one now."""
        if self._new is None or self._use == "locked" or (self._text is None and self._new == Lock()):
            return
        text = format_lock(self._new)
        if self._text is not None and self._use == "auto" and text == format_lock(self._old):
            return  # also where an older lock does not tell platforms, or somebody has set it in another way
        if text != self._text:
            progress(LockRenewed(self._path, text))

    def _named(self, step: LockedStep) -> str:
        """A step in messages; with its platform where the build is for several."""
        run = step.run if len(step.run) <= _LONGEST_TOLD else step.run[: _LONGEST_TOLD - 1] + "…"
        return f"[{step.platform}] {run}" if len(self._platforms) > 1 else run

    def _drift(self, locked: LockedStep, found: LockedStep) -> list[str]:
        """How a step's packages are not those of the lock, one line for each."""
        return [f"{self._named(found)}: {line}" for line in _shortened(_differences(locked, found))]


def _url(remote: Download | Checkout) -> str:
    """What ADD fetches, as a lock has it: without names and passwords."""
    if isinstance(remote, Download):
        return shown(remote.url)
    wanted = remote.repository
    return f"{shown(wanted.address)}#{wanted.ref}" + (f":{wanted.directory}" if wanted.directory else "")


def spelled(package: Package) -> str:
    """A package as a lock has it: ``deb:curl:amd64=7.88.1-10``."""
    architecture = f":{package.architecture}" if package.architecture else ""
    return f"{package.type}:{package.name}{architecture}={package.version}"


def _plain(run: str) -> str:
    """The instruction without the number that tells the second one of the same words."""
    head, mark, number = run.rpartition(" # ")
    return head if mark and number.isdigit() else run


def _differences(locked: LockedStep, found: LockedStep) -> list[str]:
    """What is different between the packages of two steps, one line for each."""
    gone, come = (
        _by_name(set(one.packages) - set(other.packages)) for one, other in ((locked, found), (found, locked))
    )
    lines = []
    for name in sorted({*gone, *come}):
        old, new = " and ".join(gone.get(name, ())), " and ".join(come.get(name, ()))
        if old and new:
            lines.append(f"{name} is {new}, not {old}")
        else:
            lines.append(f"{name} {new} is installed too" if new else f"{name} {old} is not installed any more")
    return lines


def _by_name(packages: set[str]) -> dict[str, list[str]]:
    """Versions by name; of some ecosystems several are installed at once."""
    found: dict[str, list[str]] = {}
    for each in sorted(packages):
        name, _, version = each.rpartition("=")
        found.setdefault(name, []).append(version)
    return found


def _shortened(lines: Iterable[str]) -> list[str]:
    all_of_them = list(lines)
    more = len(all_of_them) - _MOST_TOLD
    return [*all_of_them[:_MOST_TOLD], f"and {more} more"] if more > 0 else all_of_them
