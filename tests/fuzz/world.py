"""What there is in the engine while it is fuzzed: requests name real things; those that have gone are made anew."""

import http.client
import io
import json
import random
import socket
import tarfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

IMAGE = "busybox:fuzz"
MANY = 12
"""Of one kind, before the others than the world's own are removed."""


class Connection(http.client.HTTPConnection):
    """http.client on a Unix socket."""

    def __init__(self, path: str, seconds: float) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class World:
    """The things of an engine.

    Args:
        socket_path: of the engine.
        scratch: a directory whose files containers may have.
        archive: the tar of a small image's files.
        chance: what is chosen is chosen by this.
    """

    def __init__(self, socket_path: str, scratch: Path, archive: bytes, chance: random.Random) -> None:
        self.socket_path = socket_path
        self.scratch = scratch
        self.chance = chance
        self._archive = archive
        self.ids: dict[str, list[str]] = {}

    def ask(self, method: str, path: str, body: Any = None, *, raw: bytes | None = None) -> tuple[int, Any]:
        """A request of the world's own: the status, and the JSON of the answer."""
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        connection = Connection(self.socket_path, 60)
        try:
            connection.request(method, path, data)
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        try:
            return answer.status, json.loads(text) if text else None
        except ValueError:
            return answer.status, None

    def refresh(self) -> None:
        """Make what has gone, wake what is frozen, remove what there is too much of, and look at what there is."""
        for each in self._containers():
            if each["State"] == "paused":
                self.ask("POST", f"/containers/{each['Id']}/unpause")
        self._thin("/containers/json?all=1", "/containers/", keep={"/fuzz-runs", "/fuzz-made"})
        self._thin("/networks", "/networks/", keep={"bridge", "host", "none", "fuzz-net"})
        self._thin("/volumes", "/volumes/", keep={"fuzz-vol"})
        self._make()
        self._look()

    def clear(self) -> None:
        """Remove all of it."""
        for each in self._containers():
            self.ask("POST", f"/containers/{each['Id']}/unpause")
            self.ask("DELETE", f"/containers/{each['Id']}?force=1&v=1")
        for each in self.ask("GET", "/networks")[1]:
            self.ask("DELETE", f"/networks/{each['Id']}")
        for each in self.ask("GET", "/volumes")[1]["Volumes"]:
            self.ask("DELETE", f"/volumes/{quote(each['Name'], safe='')}?force=1")
        for each in self.ask("GET", "/images/json")[1]:
            self.ask("DELETE", f"/images/{each['Id']}?force=1")

    def left(self) -> list[str]:
        """What ``clear`` could not remove."""
        found = [f"container {each['Id']} ({each['State']})" for each in self._containers()]
        found += [f"network {each['Name']}" for each in self.ask("GET", "/networks")[1] if each["Name"] not in _STAY]
        found += [f"volume {each['Name']}" for each in self.ask("GET", "/volumes")[1]["Volumes"]]
        return found + [f"image {each['Id']}" for each in self.ask("GET", "/images/json")[1]]

    def _containers(self) -> list[dict[str, Any]]:
        return list(self.ask("GET", "/containers/json?all=1")[1])

    def _thin(self, listed: str, removed: str, keep: set[str]) -> None:
        found = self.ask("GET", listed)[1]
        found = found["Volumes"] if listed == "/volumes" else found
        others = [each for each in found if not keep & {each.get("Name", ""), *each.get("Names", ())}]
        if len(others) > MANY:
            for each in others:
                self.ask("DELETE", f"{removed}{quote(each.get('Id') or each['Name'], safe='')}?force=1&v=1")

    def _make(self) -> None:
        if self.ask("GET", f"/images/{IMAGE}/json")[0] != 200:
            self.ask("POST", f"/images/create?fromSrc=-&repo={IMAGE}", raw=self._archive)
        self.ask("POST", "/volumes/create", {"Name": "fuzz-vol"})
        if self.ask("GET", "/networks/fuzz-net")[0] != 200:
            self.ask("POST", "/networks/create", {"Name": "fuzz-net"})
        for name, command in (("fuzz-runs", ["sleep", "100000"]), ("fuzz-made", ["true"])):
            status, found = self.ask("GET", f"/containers/{name}/json")
            if status != 200 or not _is_fit(name, found):
                self.ask("DELETE", f"/containers/{name}?force=1")
                self.ask("POST", f"/containers/create?name={name}", {"Image": IMAGE, "Cmd": command} | _OWN)
        self.ask("POST", "/containers/fuzz-runs/start")
        self.ask("POST", "/containers/fuzz-runs/unpause")

    def _look(self) -> None:
        containers = self._containers()
        ids = [each["Id"] for each in containers]
        execs = []
        for _ in range(2):
            status, made = self.ask("POST", "/containers/fuzz-runs/exec", {"Cmd": ["true"], "AttachStdout": True})
            execs += [made["Id"]] if status == 201 else []
        images = [each["Id"] for each in self.ask("GET", "/images/json")[1]]
        self.ids = {
            "containers": ["fuzz-runs"] * 3 + ["fuzz-made"] * 2 + ids + [each[:12] for each in ids[:1]],
            "exec": execs,
            "images": [IMAGE] * 3 + images,
            "networks": ["fuzz-net"] * 3 + [each["Id"] for each in self.ask("GET", "/networks")[1]],
            "volumes": ["fuzz-vol"] * 3 + [each["Name"] for each in self.ask("GET", "/volumes")[1]["Volumes"]],
        }


_OWN = {"Tty": True, "StopTimeout": 1}
_STAY = {"bridge", "host", "none"}


def _is_fit(name: str, found: Any) -> bool:
    """Whether a container of the world's own is still as it was made: what an update has left it may be too little."""
    host = found["HostConfig"]
    limits = (host["Memory"], host["PidsLimit"], host["CpuQuota"], host["NanoCpus"])
    return not any(limits) and (name != "fuzz-runs" or found["State"]["Status"] in {"running", "created", "exited"})


def context(files: dict[str, bytes]) -> bytes:
    """A tar with these files."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return made.getvalue()
