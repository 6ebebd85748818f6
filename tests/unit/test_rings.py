"""Who may import whom: the rings of docs/architecture.md, held over the syntax tree of every module."""

import ast
import functools
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src" / "kist"

VALUES = frozenset({"errors", "spec"})
MECHANISMS = frozenset({"kernel", "store", "image", "inventory", "registry", "runtime", "network"})

MAY_IMPORT: Mapping[str, frozenset[str]] = {
    # ring 0: values
    "errors": frozenset(),
    "spec": frozenset({"errors"}),
    # ring 1: mechanisms, that never import each other
    "kernel": frozenset(),
    "store": VALUES | {"kernel"},
    "image": VALUES | {"kernel"},
    "inventory": VALUES,
    "registry": VALUES,
    "runtime": VALUES | {"kernel"},
    "network": VALUES | {"kernel"},
    # ring 2: use
    "engine": VALUES | MECHANISMS,
    "build": VALUES | MECHANISMS | {"engine"},
    "bootstrap": VALUES | MECHANISMS | {"engine"},
    "compose": VALUES,
    "doctor": VALUES | MECHANISMS | {"engine", "bootstrap"},
    # ring 3: faces
    "api": VALUES | {"engine", "build", "bootstrap", "compose"},
    "client": VALUES,
    "local": VALUES | {"engine", "build", "bootstrap", "client"},
    "cli": VALUES | {"client", "compose", "engine", "api", "doctor"},
}
"""Each package and what it may import of the others (itself always)."""

KERNEL_FILES = ("/proc", "/sys/fs/cgroup")
OPENERS = frozenset(
    {
        "Path", "access", "chmod", "exists", "isdir", "isfile", "listdir", "lstat", "mkdir", "open", "readlink",
        "rmdir", "scandir", "stat", "walk", "write_text",
    }
)  # fmt: skip


class Import(NamedTuple):
    """One imported module, absolute; ``from a import b`` counts as ``a.b``: a module, or a name of ``a``."""

    line: int
    module: str


def imports(tree: ast.AST, module: str, is_package: bool) -> Iterator[Import]:
    """All imports of a module, those inside functions and for type checkers too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                parts = parts[: len(parts) - node.level + is_package]
                base = ".".join([*parts, base] if base else parts)
            for alias in node.names:
                yield Import(node.lineno, f"{base}.{alias.name}")


def literal_start(node: ast.expr) -> str:
    """The text that an expression certainly begins with: of a literal, an f-string or a concatenation."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.Constant(value=bytes(raw)):
            return raw.decode("latin-1")
        case ast.JoinedStr(values=[first, *_]):
            return literal_start(first)
        case ast.BinOp(left=left):
            return literal_start(left)
    return ""


def opened_kernel_files(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Calls that open or look at a file of /proc or a control group by a literal path."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args:
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            path = literal_start(node.args[0])
            if name in OPENERS and any(path == root or path.startswith(f"{root}/") for root in KERNEL_FILES):
                yield node.lineno, path


def late_names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """What is taken from ``import kist`` itself: a package's names past the table (``kist.__file__`` is none)."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id="kist"), attr=name) if not name.startswith("__"):
                yield node.lineno, name


class Module(NamedTuple):
    """What is asked of a source file: not its tree, those of all of them are many."""

    name: str
    path: Path
    imports: tuple[Import, ...]
    opened: tuple[tuple[int, str], ...]
    """Files of the kernel that it opens."""
    late: tuple[tuple[int, str], ...]

    @property
    def package(self) -> str:
        """``store`` of ``kist.store.blobs``; empty for ``kist`` itself."""
        return self.name.partition(".")[2].partition(".")[0]


def parsed(path: Path, name: str) -> Module:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    found = tuple(imports(tree, name, path.name == "__init__.py"))
    opened = tuple(opened_kernel_files(tree)) if any(root in text for root in KERNEL_FILES) else ()
    late = tuple(late_names(tree)) if any(each.module == "kist" for each in found) else ()
    return Module(name, path, found, opened, late)


@functools.cache
def modules(source: Path) -> list[Module]:
    found = []
    for path in sorted(source.rglob("*.py")):
        parts = path.relative_to(source).with_suffix("").parts
        found.append(parsed(path, ".".join(("kist", *(part for part in parts if part != "__init__")))))
    return found


def package_of(module: str) -> str | None:
    """The package of ours that an import reaches; None when it is not ours, or only ``kist`` itself."""
    first, _, rest = module.partition(".")
    package = rest.partition(".")[0]
    return package if first == "kist" and package and not package.startswith("__") else None


def ring_violations(source: Path) -> list[str]:
    """Imports that the table does not allow, each with its place."""
    found = []
    for module in modules(source):
        if not module.package:
            continue  # kist/__init__.py hands out everybody's names, late
        if module.package not in MAY_IMPORT:
            found.append(f"{module.path}: package {module.package} has no ring")
            continue
        allowed = MAY_IMPORT[module.package] | {module.package}
        for line, imported in module.imports:
            target = package_of(imported)
            if target is not None and target not in allowed:
                found.append(f"{module.path}:{line}: {module.package} may not import {target} ({imported})")
        found += [f"{module.path}:{line}: uses kist.{name}; import its module" for line, name in module.late]
    return found


def door_violations(source: Path) -> list[str]:
    """What goes to the kernel past kist.kernel."""
    found = []
    for module in modules(source):
        if module.package == "kernel":
            continue
        found += [
            f"{module.path}:{line}: only kist.kernel imports ctypes"
            for line, imported in module.imports
            if imported.partition(".")[0] in {"ctypes", "_ctypes"}
        ]
        found += [f"{module.path}:{line}: only kist.kernel opens {path}" for line, path in module.opened]
    return found


SPAWNER_VALUES = ("kist.spec.jsontext",)
"""Ring 0 that the spawner's side may have: leaves that import nothing, each held to that by this check itself."""


def spawner_violations(source: Path, root: str = "kist.runtime.spawner") -> list[str]:
    """What the spawner reaches, and all of kist.kernel, imports kist.kernel, kist.runtime, the standard library."""
    by_name = {module.name: module for module in modules(source)}
    todo = [root, *(name for name in by_name if name.startswith("kist.kernel"))]
    seen: set[str] = set()
    found = []
    while todo:
        module = by_name.get(todo.pop())
        if module is None or module.name in seen:
            continue
        seen.add(module.name)
        for line, imported in module.imports:
            top = imported.partition(".")[0]
            if package_of(imported) in {"kernel", "runtime"} or imported.startswith(SPAWNER_VALUES):
                todo += [imported, imported.rpartition(".")[0]]
            elif top not in sys.stdlib_module_names:
                found.append(f"{module.path}:{line}: the spawner's side may not import {imported}")
    return found


def write_tree(root: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def test_every_module_keeps_to_its_ring_the_kernels_door_and_the_spawners_side() -> None:
    assert (SOURCE / "runtime/spawner.py").exists()
    # One test: to read all of the source takes seconds, and each process that shares the work would.
    assert ring_violations(SOURCE) + door_violations(SOURCE) + spawner_violations(SOURCE) == []


def loaded_modules(statement: str) -> set[str]:
    program = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    return set(json.loads(done.stdout))


def test_the_imported_spawner_has_loaded_nothing_else() -> None:
    loaded = loaded_modules("import kist.runtime.spawner") - loaded_modules("")
    strangers = {
        name
        for name in loaded
        if name.partition(".")[0] not in sys.stdlib_module_names
        and not name.startswith(("kist.kernel", "kist.runtime"))
        and name not in {"kist", "kist.spec", *SPAWNER_VALUES}
    }
    assert "kist.runtime.spawner" in loaded
    assert strangers == set()


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("store/blobs.py", "import kist.engine", "store may not import engine"),
        ("store/blobs.py", "from kist.image import layers", "store may not import image"),
        ("store/blobs.py", "from kist import image", "store may not import image"),
        ("store/blobs.py", "from ..engine.engine import Engine", "store may not import engine"),
        ("store/__init__.py", "from ..engine import Engine", "store may not import engine"),
        ("store/blobs.py", "def late():\n    import kist.api.app", "store may not import api"),
        ("store/blobs.py", "import kist\nkist.Engine()", "uses kist.Engine"),
        ("spec/digest.py", "import kist.kernel.files", "spec may not import kernel"),
        ("kernel/mounts.py", "from kist.errors import KistError", "kernel may not import errors"),
        ("registry/client.py", "import kist.kernel", "registry may not import kernel"),
        ("engine/engine.py", "import kist.build", "engine may not import build"),
        ("client/client.py", "import kist.engine", "client may not import engine"),
        ("stranger/thing.py", "", "package stranger has no ring"),
    ],
)
def test_an_import_against_the_rings_is_caught(tmp_path: Path, name: str, text: str, said: str) -> None:
    [found] = ring_violations(write_tree(tmp_path, {name: text}))
    assert said in found


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("__init__.py", "from kist.engine import Engine"),
        (
            "store/blobs.py",
            "import os\nfrom kist.spec.digest import Digest\nfrom kist import errors\nfrom . import locks",
        ),
        ("bootstrap/bootstrap.py", "from kist.engine import Engine"),
        ("api/app.py", "import aiohttp\nfrom kist import __version__\nfrom kist.build import build"),
    ],
)
def test_an_import_within_the_rings_passes(tmp_path: Path, name: str, text: str) -> None:
    assert ring_violations(write_tree(tmp_path, {name: text})) == []


@pytest.mark.parametrize(
    "text",
    [
        "import ctypes",
        "from ctypes import util",
        "open('/proc/self/mountinfo')",
        "import os\nos.listdir(f'/proc/{1}/fd')",
        "import os\nos.open(b'/sys/fs/cgroup/' + name, 0)",
        "Path('/sys/fs/cgroup').glob('*')",
    ],
)
def test_a_way_past_the_kernel_package_is_caught(tmp_path: Path, text: str) -> None:
    assert len(door_violations(write_tree(tmp_path / "bad", {"store/x.py": text}))) == 1
    assert door_violations(write_tree(tmp_path / "good", {"kernel/x.py": text})) == []


def test_a_path_inside_the_container_may_be_named(tmp_path: Path) -> None:
    assert door_violations(write_tree(tmp_path, {"engine/x.py": "mask('/proc/kcore')\nMASKED = ['/proc/keys']"})) == []


@pytest.mark.parametrize("text", ["import msgspec", "from kist.spec.digest import Digest", "from kist import errors"])
def test_a_spawner_that_imports_more_is_caught_wherever_it_does(tmp_path: Path, text: str) -> None:
    files = {
        "runtime/spawner.py": "from kist.runtime import monitor",
        "runtime/monitor.py": text,
        "runtime/plan.py": text,
    }
    [found] = spawner_violations(write_tree(tmp_path, files))
    assert "monitor.py:1" in found
