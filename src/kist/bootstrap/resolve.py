"""Which packages a base image is made of (pure): the closure of what was asked for."""

import difflib
from collections import deque
from collections.abc import Iterable, Sequence

import msgspec

from kist.bootstrap.dependency import Alternatives, Relation, show
from kist.bootstrap.index import Package, PackageIndex
from kist.errors import Conflict, InvalidInput, NotFound

# What each variant has besides the essential packages and apt.
VARIANTS: dict[str, tuple[str, ...]] = {
    "minbase": ("required",),
    "standard": ("required", "important", "standard"),
}

# A fresh system is made with a merged /usr from the start, so the package that says so is right, and the one that
# would merge it later (and pulls in all of Perl) is not needed, although it is named first.
_PREFERRED = frozenset({"usr-is-merged"})

_PRIORITIES = ("required", "important", "standard", "optional", "extra")


class Selection(msgspec.Struct, frozen=True):
    """The packages of an image, each part sorted by name.

    Attributes:
        base: what apt itself needs to run: unpacked together, before any of it can run.
        asked: what the variant or the user named besides, installed by apt in the running base.
        needed: what these need besides.
    """

    base: tuple[Package, ...]
    asked: tuple[Package, ...]
    needed: tuple[Package, ...]


def select(index: PackageIndex, *, variant: str, include: Sequence[str], architecture: str) -> Selection:
    """Choose the packages of a variant and the ones asked for, with everything that they need.

    Raises:
        InvalidInput: there is no such variant.
        NotFound: a package, or one that another depends on, is in no archive.
        Conflict: two chosen packages refuse each other.
    """
    if variant not in VARIANTS:
        raise InvalidInput(f"unknown variant {variant!r}", hint="the variants are " + ", ".join(VARIANTS))
    wanted = [_asked(index, name) for name in sorted(set(include))]
    resolver = _Resolver(index, architecture)
    resolver.add_all(index.with_text(b"Essential: yes"))
    resolver.add_all(index.with_text(b"Priority: required"))
    resolver.add_all([_asked(index, "apt")])
    base = resolver.close()
    asked = [p for priority in VARIANTS[variant][1:] for p in index.with_text(f"Priority: {priority}".encode())]
    asked += wanted
    resolver.add_all(asked)
    everything = resolver.close()
    _check_conflicts(everything)
    in_base, named = {package.name for package in base}, {package.name for package in asked}
    added = [package for package in everything if package.name not in in_base]
    return Selection(
        base,
        asked=tuple(package for package in added if package.name in named),
        needed=tuple(package for package in added if package.name not in named),
    )


def _asked(index: PackageIndex, name: str) -> Package:
    package = index.newest(name)
    if package is not None:
        return package
    provided = [provider.name for provider in index.providers(name)]
    near = provided or difflib.get_close_matches(name, list(index.names), 3, 0.7)
    raise NotFound(
        f"no archive has the package {name!r}", hint=f"did you mean {' or '.join(map(repr, near))}?" if near else ""
    )


class _Resolver:
    """Grows a set of packages until every dependency of each is met from within it."""

    def __init__(self, index: PackageIndex, architecture: str) -> None:
        self._index = index
        self._architecture = architecture
        self._chosen: dict[str, Package] = {}
        self._provided: dict[str, list[tuple[Package, Relation]]] = {}
        self._queue: deque[Package] = deque()

    def add_all(self, packages: Iterable[Package]) -> None:
        for package in sorted(packages, key=lambda package: package.name):
            self._add(package)

    def close(self) -> tuple[Package, ...]:
        while self._queue:
            package = self._queue.popleft()
            for alternatives in package.depends:
                self._meet(alternatives, package)
        return tuple(sorted(self._chosen.values(), key=lambda package: package.name))

    def _add(self, package: Package) -> None:
        if package.name in self._chosen:
            return
        self._chosen[package.name] = package
        self._queue.append(package)
        for (relation,) in package.provides:
            self._provided.setdefault(relation.name, []).append((package, relation))

    def _meet(self, alternatives: Alternatives, dependant: Package) -> None:
        usable = [relation for relation in alternatives if self._is_ours(relation)]
        if any(map(self._is_met, usable)):
            return
        for relation in sorted(usable, key=lambda relation: relation.name not in _PREFERRED):
            package = self._candidate(relation)
            if package is not None:
                self._add(package)
                return
        raise self._unmet(alternatives, dependant)

    def _is_ours(self, relation: Relation) -> bool:
        return relation.qualifier in {"", "any", "native", self._architecture}

    def _is_met(self, relation: Relation) -> bool:
        package = self._chosen.get(relation.name)
        if package is not None and relation.holds(package.version):
            return True
        return any(_stands_in(provided, relation) for _, provided in self._provided.get(relation.name, ()))

    def _candidate(self, relation: Relation) -> Package | None:
        """The newest fitting version of the package itself, else the most important package that provides it."""
        if relation.name not in self._chosen:
            for package in self._index.versions(relation.name):
                if relation.holds(package.version):
                    return package
        fitting = [
            provider
            for provider in self._index.providers(relation.name)
            if provider.name not in self._chosen
            and any(_stands_in(provided, relation) for (provided,) in provider.provides)
        ]
        return min(fitting, key=_importance, default=None)

    def _unmet(self, alternatives: Alternatives, dependant: Package) -> NotFound:
        have = [f"{name} {self._chosen[name].version} is chosen already" for name in _names(alternatives, self._chosen)]
        offered = [f"the archives have {package}" for a in alternatives for package in self._index.versions(a.name)[:1]]
        near = difflib.get_close_matches(alternatives[0].name, list(self._index.names), 2, 0.8)
        hint = "; ".join(have or offered) or (f"did you mean {' or '.join(near)}?" if near else "")
        return NotFound(f"{dependant} depends on {show(alternatives)}, which cannot be had", hint=hint)


def _names(alternatives: Alternatives, chosen: dict[str, Package]) -> list[str]:
    return [relation.name for relation in alternatives if relation.name in chosen]


def _stands_in(provided: Relation, wanted: Relation) -> bool:
    """Whether a provided name meets a relation; only a provided version can meet a wanted one (Policy 7.5)."""
    if provided.name != wanted.name:
        return False
    return not wanted.relation or bool(provided.version and wanted.holds(provided.version))


def _importance(package: Package) -> tuple[int, str]:
    rank = _PRIORITIES.index(package.priority) if package.priority in _PRIORITIES else len(_PRIORITIES)
    return rank, package.name


def _check_conflicts(packages: Sequence[Package]) -> None:
    """See that no package refuses another one; a package may refuse a name that it provides itself (Policy 7.4)."""
    chosen = {package.name: package for package in packages}
    provided: dict[str, list[tuple[Package, Relation]]] = {}
    for package in packages:
        for (relation,) in package.provides:
            provided.setdefault(relation.name, []).append((package, relation))
    for package in packages:
        for (relation,) in package.rejects:
            other = chosen.get(relation.name)
            others = [other] if other is not None and relation.holds(other.version) else []
            others += [p for p, provides in provided.get(relation.name, ()) if _stands_in(provides, relation)]
            for rival in others:
                if rival.name != package.name:
                    raise Conflict(
                        f"{package} cannot be installed beside {rival}: it refuses {relation}",
                        hint=f"leave out {package.name} or {rival.name}",
                    )
