"""Hatch's hook: what a wheel has beside the package, the program ``kist`` and the manual pages under share/man/man1.

Where there is a C compiler, ``kist`` is ``src/launcher/kist.c``, compiled, and the program in Python is ``kist-python``
beside it; the wheel is for this kind of machine then. Elsewhere, and with ``KIST_PURE_WHEEL`` in the environment,
``kist`` is the program in Python, and the wheel is for every machine (docs/decisions/0065).
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_IN_PYTHON = "src/kist/cli/launcher"
_IN_C = "src/launcher/kist.c"


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg,misc]  # hatchling is not there when types are checked
    """Makes them when a wheel is built; an editable installation has no manual pages."""

    _directory: tempfile.TemporaryDirectory[str] | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Make the files aside, and name them for the wheel."""
        self._directory = tempfile.TemporaryDirectory()
        place = Path(self._directory.name)
        self._add_program(place, build_data)
        if version != "editable":
            self._add_manual(place, build_data)

    def _add_program(self, place: Path, build_data: dict[str, Any]) -> None:
        scripts = build_data["shared_scripts"]
        compiled = place / "kist"
        if not self._compile(compiled):
            scripts[_IN_PYTHON] = "kist"
            return
        scripts[str(compiled)] = "kist"
        scripts[_IN_PYTHON] = "kist-python"
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"

    def _compile(self, target: Path) -> bool:
        compiler = shutil.which(os.environ.get("CC", "cc"))
        if compiler is None or os.environ.get("KIST_PURE_WHEEL"):
            return False
        command = [compiler, "-std=gnu11", "-O2", "-s", str(Path(self.root) / _IN_C), "-o", str(target)]
        # Without libraries to look for and to load it starts in half the time, and runs with every C library.
        for linking in (["-static"], []):
            done = subprocess.run([*command, *linking], capture_output=True, text=True, check=False)
            if done.returncode == 0:
                return True
        self.app.display_warning(f"the launcher could not be compiled, kist will be without it:\n{done.stderr}")
        return False

    def _add_manual(self, place: Path, build_data: dict[str, Any]) -> None:
        sys.path.insert(0, str(Path(self.root) / "src"))
        try:
            from kist.cli.manual import pages  # noqa: PLC0415 - from the tree that is built

            for name, text in pages(self.metadata.version).items():
                page = place / name
                page.write_text(text, encoding="utf-8")
                build_data["shared_data"][str(page)] = f"share/man/man1/{name}"
        finally:
            sys.path.pop(0)

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Take the files away again."""
        del version, build_data, artifact_path
        if self._directory is not None:
            self._directory.cleanup()
