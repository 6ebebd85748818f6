"""The units with which systemd listens for an engine, and starts it when somebody calls. Pure."""

_SOCKET = """\
[Unit]
Description=Kist, a container platform: its socket

[Socket]
ListenStream={run_root}/engine.sock
SocketMode=0600
DirectoryMode=0700

[Install]
WantedBy=sockets.target
"""
# KillMode: containers, and who guards them, stay when the engine is stopped. Delegate: their control groups are Kist's.
_SERVICE = """\
[Unit]
Description=Kist, a container platform
Requires=kist.socket
After=kist.socket

[Service]
Type=notify
ExecStart={program} engine
{environment}KillMode=process
Delegate=yes
TasksMax=infinity
LimitNOFILE=1048576

[Install]
WantedBy={target}
Also=kist.socket
"""


def units(program: str, run_root: str, environment: "dict[str, str]", *, root: bool) -> "dict[str, str]":
    """The files of a socket's unit and a service's, by name.

    Args:
        program: the absolute path of kist.
        run_root: where the socket is; systemd's ``%t`` may stand in it.
        environment: what the engine is to find in its environment.
        root: whether they are for the machine's manager, or for a user's.
    """
    lines = "".join(f'Environment="{name}={_escaped(value)}"\n' for name, value in environment.items())
    target = "multi-user.target" if root else "default.target"
    start = f'"{_escaped(program).replace("$", "$$")}"'
    service = _SERVICE.format(program=start, environment=lines, target=target)
    return {"kist.socket": _SOCKET.format(run_root=run_root), "kist.service": service}


def _escaped(text: str) -> str:
    """Text between quotes (systemd.syntax(7)), without specifiers (systemd.unit(5))."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
