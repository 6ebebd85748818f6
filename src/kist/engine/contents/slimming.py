"""What takes the space in an image. Pure."""

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

from kist.engine.contents.index import Files, Placed
from kist.engine.contents.lineage import named
from kist.spec.insight import Duplicate, HiddenFile, LayerWeight, Slim, Weight
from kist.spec.package import ImagePackages, Package
from kist.spec.summary import Image

_SMALLEST_DUPLICATE = 4096
_STAGE = "build in a stage of its own, and COPY --from it"
# Beginnings of paths of what can be made again, in words, and the way to be without it.
_CACHES = (
    (r"var/lib/apt/lists/.", "lists of apt", "end the RUN that installs with: rm -rf /var/lib/apt/lists/*"),
    (r"var/cache/apt/(?:archives/.*\.deb|.*\.bin)", "downloads of apt", "end the RUN with: apt-get clean"),
    (r"var/(?:lib|cache)/debconf/.*-old|var/lib/dpkg/.*-old", "former databases of dpkg", "rm /var/lib/dpkg/*-old"),
    (r"var/cache/apk/.|etc/apk/cache/.", "downloads of apk", "say apk add --no-cache"),
    (r"var/cache/(?:yum|dnf|libdnf5|zypp)/.", "downloads of dnf, yum or zypper", "end the RUN with: dnf clean all"),
    (r"(?:root|home/[^/]+)/\.cache/pip/.", "downloads of pip", "say pip install --no-cache-dir"),
    (r"(?:root|home/[^/]+)/\.cache/uv/.", "downloads of uv", "say uv --no-cache"),
    (r"(?:root|home/[^/]+)/\.npm/_cacache/.", "downloads of npm", "end the RUN with: npm cache clean --force"),
    (r"(?:root|home/[^/]+)/\.cache/yarn/.|usr/local/share/\.cache/.", "downloads of yarn", "yarn cache clean"),
    (r"(?:root|home/[^/]+)/\.(?:m2/repository|gradle/caches)/.", "downloads of Maven or Gradle", _STAGE),
    (r"(?:root/|home/[^/]+/)?go/pkg/mod/.|root/\.cache/go-build/.", "downloads and builds of Go", _STAGE),
    (r"(?:root|home/[^/]+|usr/local)/\.?cargo/registry/.", "downloads of Cargo", _STAGE),
    (r"(?:opt|root)/[^/]+/pkgs/.", "downloads of conda", "end the RUN with: conda clean -afy"),
    (r"var/log/.", "logs", "end the RUN that wrote them with: rm -rf /var/log/*"),
    (r"tmp/.|var/tmp/.", "temporary files", "remove them in the RUN that makes them"),
)
_PATTERNS = tuple((re.compile(rf"(?:{pattern})"), what, hint) for pattern, what, hint in _CACHES)
_DEEPEST = 4


def slim(image: Image, files: Files, found: ImagePackages, most: int) -> Slim:
    """What takes the space.

    Args:
        image: which.
        files: of it.
        found: its packages, and its layers.
        most: how many of each are told.
    """
    seen = [*files.regular()]
    hidden = sorted(files.lost, key=lambda each: (-each.file.size, each.file.path))
    hidden_size = sum(each.file.size for each in files.lost)
    duplicates, duplicate_size = _duplicates(seen)
    return Slim(
        image=named(image),
        size=sum(each.file.size for each in seen) + hidden_size,
        seen=sum(each.file.size for each in seen),
        layers=_layers(found, seen, files),
        directories=_directories(seen)[:most],
        packages=_packages(found, seen)[:most],
        hidden=tuple(
            HiddenFile(_shown(each.file.path), each.file.size, each.layer, each.by)
            for each in hidden[:most]
            if each.file.size
        ),
        hidden_size=hidden_size,
        duplicates=duplicates[:most],
        duplicate_size=duplicate_size,
        caches=_caches(seen),
    )


def _layers(found: ImagePackages, seen: Iterable[Placed], files: Files) -> tuple[LayerWeight, ...]:
    size: dict[int, int] = defaultdict(int)
    count: dict[int, int] = defaultdict(int)
    hidden: dict[int, int] = defaultdict(int)
    for each in seen:
        size[each.layer] += each.file.size
        count[each.layer] += 1
    for lost in files.lost:
        size[lost.layer] += lost.file.size
        count[lost.layer] += 1
        hidden[lost.layer] += lost.file.size
    return tuple(LayerWeight(step, size[step.number], count[step.number], hidden[step.number]) for step in found.layers)


def _directories(seen: Iterable[Placed]) -> tuple[Weight, ...]:
    """Directories with all that is below them, the largest first.

    One that has nearly all of its bytes in one directory below it is left out: that one says more.
    """
    size: dict[bytes, int] = defaultdict(int)
    count: dict[bytes, int] = defaultdict(int)
    for each in seen:
        parts = each.file.path.split(b"/")[:-1]
        for depth in range(1, min(len(parts), _DEEPEST) + 1):
            above = b"/".join(parts[:depth])
            size[above] += each.file.size
            count[above] += 1
    largest: dict[bytes, int] = {}
    for path, bytes_ in size.items():
        above = path.rpartition(b"/")[0]
        largest[above] = max(largest.get(above, 0), bytes_)
    told = [path for path in size if size[path] and largest.get(path, 0) < 0.9 * size[path]]
    ordered = sorted(told, key=lambda path: (-size[path], path))
    return tuple(Weight(_shown(path) + "/", size[path], count[path]) for path in ordered)


def _packages(found: ImagePackages, seen: Sequence[Placed]) -> tuple[Weight, ...]:
    by_directory = _sizes_of(seen, [each.package for each in found.packages])
    weights: dict[tuple[str, ...], Weight] = {}
    for each in found.packages:
        package = each.package
        size, count = (package.size, 0) if package.size else by_directory.get(package.path, (0, 0))
        key = (*package.identity, package.path)
        if size:
            weights[key] = Weight(f"{package.name} {package.version} ({package.type})", size, count)
    return tuple(sorted(weights.values(), key=lambda each: (-each.size, each.name)))


def _sizes_of(seen: Sequence[Placed], packages: Iterable[Package]) -> dict[str, tuple[int, int]]:
    """Bytes and number of the files of packages whose database does not say.

    These are of npm's package its directory, of Python's the one of its name, of Java's the archive itself.
    """
    homes: dict[bytes, str] = {}
    for package in packages:
        if package.size:
            continue
        path = package.path.encode()
        above = posixpath.dirname(path)
        if package.type == "npm":
            homes[above] = package.path
        elif package.type == "pypi" and b".dist-info/" in path:
            homes[above] = package.path
            folded = re.sub(r"[-_.]+", "_", package.name).lower().encode()
            homes[posixpath.join(posixpath.dirname(above), folded)] = package.path
        elif package.type == "maven" and "!/" not in package.path:
            homes[path] = package.path
    found: dict[str, tuple[int, int]] = {}
    for each in seen:
        path = each.file.path
        while path:
            owner = homes.get(path)
            if owner is not None:
                size, count = found.get(owner, (0, 0))
                found[owner] = size + each.file.size, count + 1
                break
            path = path.rpartition(b"/")[0]
    return found


def _duplicates(seen: Iterable[Placed]) -> tuple[tuple[Duplicate, ...], int]:
    same: dict[tuple[bytes, int], list[bytes]] = defaultdict(list)
    for each in seen:
        if each.file.size >= _SMALLEST_DUPLICATE:
            same[each.file.content, each.file.size].append(each.file.path)
    found = [Duplicate(size, tuple(map(_shown, sorted(paths)))) for (_, size), paths in same.items() if len(paths) > 1]
    found.sort(key=lambda each: (-each.size * (len(each.paths) - 1), each.paths))
    return tuple(found), sum(each.size * (len(each.paths) - 1) for each in found)


def _caches(seen: Iterable[Placed]) -> tuple[Weight, ...]:
    size: dict[int, int] = defaultdict(int)
    count: dict[int, int] = defaultdict(int)
    for each in seen:
        path = each.file.path.decode("utf-8", "replace")
        for number, (pattern, _, _) in enumerate(_PATTERNS):
            if pattern.match(path):
                size[number] += each.file.size
                count[number] += 1
                break
    found = [Weight(_PATTERNS[number][1], size[number], count[number], _PATTERNS[number][2]) for number in size]
    return tuple(sorted((each for each in found if each.size), key=lambda each: (-each.size, each.name)))


def _shown(path: bytes) -> str:
    return "/" + path.decode("utf-8", "replace")
