"""Makes the directory and the room, and runs the fuzzer in it: ``python -m fuzz [--user] …``."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

from fuzz import room
from ordinary import GID, UID, Ordinary


def main(words: list[str]) -> int:
    """The fuzzer's exit code."""
    directory = Path(tempfile.mkdtemp(prefix="kist-fuzz-", dir="/tmp"))  # short: a socket's path has 107 bytes
    os.environ[room.DIRECTORY] = str(directory)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    command = [sys.executable, "-m", "fuzz.run"]
    if "--user" in words:
        who = Ordinary(directory, range_=True, tun=True)
        who.make()
        own = directory / "s"
        own.mkdir()
        os.chown(own, UID, GID)
        os.environ.update(who.environment | {room.DIRECTORY: str(own)})
        command = [*who.command, *command]
    try:
        return room.main(str(directory), [*command, *(word for word in words if word != "--user")])
    finally:
        shutil.rmtree(directory)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
