"""Hatch's hook: a wheel has the manual pages, under share/man/man1."""

import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg,misc]  # hatchling is not there when types are checked
    """Makes the pages when a wheel is built; an editable installation has none."""

    _directory: tempfile.TemporaryDirectory[str] | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the pages aside, and name them for the wheel."""
        if version == "editable":
            return
        sys.path.insert(0, str(Path(self.root) / "src"))
        try:
            from kist.cli.manual import pages  # noqa: PLC0415 - from the tree that is built

            self._directory = tempfile.TemporaryDirectory()
            for name, text in pages(self.metadata.version).items():
                page = Path(self._directory.name) / name
                page.write_text(text, encoding="utf-8")
                build_data["shared_data"][str(page)] = f"share/man/man1/{name}"
        finally:
            sys.path.pop(0)

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Take the pages away again."""
        del version, build_data, artifact_path
        if self._directory is not None:
            self._directory.cleanup()
