"""Requests that cannot be done, and what Docker answers them: the words that its clients show, and some of them match.

Names in braces are ids of what ``setting_up`` makes: ``{created}``, ``{running}``, ``{paused}``, ``{exited}``, …
"""

from collections.abc import Callable
from typing import Any, NamedTuple

Ask = Callable[[str, str, Any], Any]


class Row(NamedTuple):
    """A request, and its answer's status and message (empty for none); ``starts`` where Kist's message says more."""

    method: str
    path: str
    status: int
    message: str = ""
    body: Any = None


def setting_up(ask: Ask, image: str) -> dict[str, str]:
    """Make what the rows are about, by an engine's own API; the ids by name."""
    host = {"NetworkMode": "none"}
    sleep = {"Image": image, "Cmd": ["sleep", "100000"], "HostConfig": host}
    ask("POST", "/volumes/create", {"Name": "errors-volume"})
    ids = {
        "created": {**sleep, "HostConfig": {**host, "Binds": ["errors-volume:/v"]}},
        "running": sleep,
        # A start that is refused does not remove it.
        "paused": {**sleep, "HostConfig": {**host, "AutoRemove": True}},
        "exited": {**sleep, "Cmd": ["true"]},
        "netted": {"Image": image, "Cmd": ["sleep", "100000"], "HostConfig": {"NetworkMode": "errors-net"}},
    }
    network = ask("POST", "/networks/create", {"Name": "errors-net"})["Id"]
    made = {name: ask("POST", f"/containers/create?name=errors-{name}", body)["Id"] for name, body in ids.items()}
    for name in ("running", "paused", "exited", "netted"):
        ask("POST", f"/containers/errors-{name}/start", None)
    ask("POST", "/containers/errors-exited/wait", None)
    ask("POST", "/containers/errors-paused/pause", None)
    executed = ask("POST", "/containers/errors-running/exec", {"Cmd": ["sleep", "100000"]})["Id"]
    ask("POST", f"/exec/{executed}/start", {"Detach": True})
    return {**made, "network": network, "exec": executed}


def taking_down(ask: Ask) -> None:
    """Remove it all."""
    for name in ("created", "running", "paused", "exited", "netted"):
        ask("DELETE", f"/containers/errors-{name}?force=1", None)
    ask("DELETE", "/networks/errors-net", None)
    ask("DELETE", "/volumes/errors-volume", None)


_NO_CONTAINER = (
    ("GET", "json"), ("GET", "logs?stdout=1"), ("GET", "top"), ("GET", "stats"), ("GET", "changes"), ("GET", "export"),
    ("GET", "archive?path=/"), ("PUT", "archive?path=/"), ("POST", "start"), ("POST", "stop"), ("POST", "restart"),
    ("POST", "pause"), ("POST", "unpause"), ("POST", "wait"), ("POST", "resize?h=1&w=1"), ("POST", "rename?name=other"),
)  # fmt: skip
_TAKEN = (
    'Conflict. The container name "/errors-exited" is already in use by container "{exited}". '
    "You have to remove (or rename) that container to be able to reuse that name."
)
_SLEEP = {"Image": "IMAGE", "Cmd": ["true"]}

ROWS = (
    *(Row(method, f"/containers/nosuch/{rest}", 404, "No such container: nosuch") for method, rest in _NO_CONTAINER),
    Row("DELETE", "/containers/nosuch", 404, "No such container: nosuch"),
    Row("POST", "/containers/nosuch/update", 404, "No such container: nosuch", {"CpuShares": 2}),
    Row("POST", "/containers/nosuch/kill", 404, "cannot kill container: nosuch: No such container: nosuch"),
    Row("POST", "/containers/nosuch/exec", 404, "No such container: nosuch", {"Cmd": ["true"]}),
    Row("POST", "/commit?container=nosuch", 404, "No such container: nosuch", {}),
    # create, rename
    Row("POST", "/containers/create", 404, "No such image: nosuch:latest", {"Image": "nosuch", "Cmd": ["true"]}),
    Row("POST", "/containers/create?name=errors-exited", 409, _TAKEN, _SLEEP),
    Row(
        "POST", "/containers/create?name=b%40d", 400,
        "Invalid container name (b@d), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed", _SLEEP,
    ),
    Row(
        "POST", "/containers/errors-running/rename?name=errors-exited", 409,
        "Error when allocating new name: " + _TAKEN,
    ),
    Row(
        "POST", "/containers/errors-running/rename?name=errors-running", 400,
        "Renaming a container with the same name as its current name",
    ),
    Row("POST", "/containers/errors-running/rename?name=", 400, "Neither old nor new names may be empty"),
    # start, stop, kill, pause, remove
    Row("POST", "/containers/errors-running/start", 304),
    Row("POST", "/containers/errors-exited/stop", 304),
    Row("POST", "/containers/errors-created/stop", 304),
    Row("POST", "/containers/errors-paused/start", 409, "cannot start a paused container, try unpause instead"),
    Row(
        "POST", "/containers/errors-exited/kill", 409,
        "cannot kill container: errors-exited: container {exited} is not running",
    ),
    Row("POST", "/containers/errors-running/kill?signal=NOSUCH", 400, "invalid signal: NOSUCH"),
    Row("POST", "/containers/errors-exited/pause", 409, "container {exited} is not running"),
    Row("POST", "/containers/errors-paused/pause", 409, "container {paused} is already paused"),
    Row("POST", "/containers/errors-running/unpause", 409, "Container {running} is not paused"),
    Row(
        "DELETE", "/containers/errors-running", 409,
        'cannot remove container "/errors-running": container is running: '
        "stop the container before removing or force remove",
    ),
    Row(
        "DELETE", "/containers/errors-paused", 409,
        'cannot remove container "/errors-paused": container is paused and must be unpaused first',
    ),
    # what takes a process
    Row("POST", "/containers/errors-exited/exec", 409, "container {exited} is not running", {"Cmd": ["true"]}),
    Row(
        "POST", "/containers/errors-paused/exec", 409,
        "Container errors-paused is paused, unpause the container before exec", {"Cmd": ["true"]},
    ),
    Row("POST", "/containers/errors-running/exec", 400, "No exec command specified", {"Cmd": []}),
    Row("POST", "/exec/nosuch/start", 404, "No such exec instance: nosuch", {"Detach": True}),
    Row("POST", "/exec/nosuch/resize?h=1&w=1", 404, "No such exec instance: nosuch"),
    Row("GET", "/exec/nosuch/json", 404, "No such exec instance: nosuch"),
    Row("POST", "/exec/{exec}/start", 409, "exec command {exec} is already running", {"Detach": True}),
    Row("GET", "/containers/errors-exited/top", 409, "container {exited} is not running"),
    Row("POST", "/containers/errors-exited/resize?h=1&w=1", 409, "container {exited} is not running"),
    Row("POST", "/containers/errors-running/wait?condition=never", 400, 'invalid condition: "never"'),
    # files
    Row(
        "GET", "/containers/errors-created/archive?path=/nosuch", 404,
        "Could not find the file /nosuch in container errors-created",
    ),
    Row(
        "PUT", "/containers/errors-created/archive?path=/nosuch", 404,
        "Could not find the file /nosuch in container errors-created",
    ),
    Row("GET", "/containers/errors-created/archive", 400, "bad parameter: path cannot be empty"),
    # images
    Row("GET", "/images/nosuch/json", 404, "No such image: nosuch:latest"),
    Row("GET", "/images/nosuch/history", 404, "No such image: nosuch:latest"),
    Row("DELETE", "/images/nosuch", 404, "No such image: nosuch:latest"),
    Row("POST", "/images/nosuch/tag?repo=other", 404, "No such image: nosuch:latest"),
    Row("POST", "/images/IMAGE/tag?repo=B%40D", 400, "invalid reference format"),
    Row(
        "DELETE", "/images/IMAGE", 409,
        'conflict: unable to remove repository reference "IMAGE" (must force) - container ',
    ),
    # networks
    Row("GET", "/networks/nosuch", 404, "network nosuch not found"),
    Row("DELETE", "/networks/nosuch", 404, "network nosuch not found"),
    Row("DELETE", "/networks/bridge", 403, "bridge is a pre-defined network and cannot be removed"),
    Row("POST", "/networks/create", 409, "network with name errors-net already exists", {"Name": "errors-net"}),
    Row("DELETE", "/networks/errors-net", 403, "error while removing network: network errors-net has active endpoints"),
    Row("POST", "/networks/errors-net/connect", 404, "No such container: nosuch", {"Container": "nosuch"}),
    Row("POST", "/networks/nosuch/connect", 404, "network nosuch not found", {"Container": "errors-running"}),
    Row(
        "POST", "/networks/errors-net/connect", 403,
        "endpoint with name errors-netted already exists in network errors-net", {"Container": "errors-netted"},
    ),
    Row(
        "POST", "/networks/errors-net/disconnect", 403,
        "container {exited} is not connected to network errors-net", {"Container": "errors-exited"},
    ),
    # volumes
    Row("GET", "/volumes/nosuch", 404, "get nosuch: no such volume"),
    Row("DELETE", "/volumes/nosuch", 404, "get nosuch: no such volume"),
    Row("DELETE", "/volumes/errors-volume", 409, "remove errors-volume: volume is in use - [{created}]"),
    Row(
        "POST", "/volumes/create", 400,
        'create b@d: "b@d" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are '
        "allowed. If you intended to pass a host directory, use absolute path", {"Name": "b@d"},
    ),
    # filters and what else is asked for in a query
    *(
        Row("GET", path + '?filters={"nosuch":["x"]}', 400, "invalid filter 'nosuch'")
        for path in ("/containers/json", "/images/json", "/volumes", "/networks", "/events")
    ),
    Row("GET", "/containers/json?all=1&filters={", 400, "invalid filter"),
    Row("GET", "/nosuch", 404, "page not found"),
)  # fmt: skip
