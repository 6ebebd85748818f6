"""Whether the machine has been restarted since an engine with this run root was here."""

import os

from kist.kernel import process


class Boots:
    """A file in the run root with the boot id: gone with the run root, or of another boot, after a restart."""

    def __init__(self, run_root: str) -> None:
        self._path = os.path.join(run_root, "boot")

    def is_new(self) -> bool:
        """Whether nobody has called ``note`` since the machine was started."""
        try:
            with open(self._path, encoding="ascii") as file:
                return file.read() != process.boot_id()
        except FileNotFoundError:
            return True

    def note(self) -> None:
        """What is to be done after a restart of the machine has been done."""
        aside = f"{self._path}.{os.getpid()}"
        with open(aside, "w", encoding="ascii") as file:
            file.write(process.boot_id())
        os.rename(aside, self._path)
