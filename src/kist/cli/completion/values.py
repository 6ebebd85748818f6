"""What the values of options and the operands of verbs may be, for completion.

An option that takes one of a few words (``values.choice``) completes by itself, and so does a verb whose operands are
called CONTAINER, IMAGE, NETWORK or VOLUME. Here stands the rest. A word beside a source (``@images``) is itself a
candidate; ``:files`` and ``:dirs`` leave it to the shell; a word that ends with ``=`` or ``:`` goes on.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

# By the option's metavar.
BY_METAVAR: "Mapping[str, tuple[str, ...]]" = {
    "FILE": (":files",),
    "DIR": (":dirs",),
    "PATH": (),
    "SIGNAL": ("@signals",),
    "CAPABILITY": ("@capabilities",),
    "NETWORK": ("@networks", "@container:"),
    "NAME[=VALUE]": ("@variables",),
}

# By the option's key; goes before the metavar.
BY_KEY: "Mapping[str, tuple[str, ...]]" = {
    "attach": ("stdin", "stdout", "stderr"),
    "build_arg": ("@variables",),
    "cgroupns": ("private", "host"),
    "context": ("default",),
    "device": (":files",),
    "env": ("@variables",),
    "env_host": ("@variables",),
    "gpus": ("all",),
    "group_add": ("audio", "disk", "keep-groups", "users", "video"),
    "health_on_failure": ("none", "kill", "restart", "stop"),
    "host": ("unix://",),
    "ipc": ("private", "shareable", "none", "host", "@container:"),
    "isolation": ("default",),
    "link": ("@containers",),
    "log_driver": ("json-file", "local", "none", "journald", "syslog"),
    "log_level": ("debug", "info", "warn", "error", "fatal"),
    "log_opt": ("max-size=", "max-file=", "tag=", "labels=", "env=", "syslog-address=", "syslog-facility="),
    "mount": ("type=bind,source=", "type=volume,source=", "type=tmpfs,target="),
    "pid": ("host", "@container:"),
    "platform": ("linux/amd64", "linux/arm64"),
    "pull": ("always", "missing", "never"),
    "restart": ("no", "always", "on-failure", "unless-stopped"),
    "rootfs": (":dirs",),
    "runtime": ("crun", "runc"),
    "security_opt": ("no-new-privileges", "seccomp=", "apparmor=", "label=", "systempaths=unconfined"),
    "stop_signal": ("@signals",),
    "ulimit": ("core=", "cpu=", "fsize=", "memlock=", "nofile=", "nproc=", "rtprio=", "stack="),
    "userns": ("auto", "host", "keep-id", "nomap"),
    "uts": ("host",),
    "volume": ("@volumes", ":files"),
    "volume_driver": ("local",),
    "volumes_from": ("@containers",),
}

# Forms and conditions, by verb.
FORMATS = ("json", "table", "{{.")
FILTERS: "Mapping[str, tuple[str, ...]]" = {
    "ps": (
        "ancestor=", "before=", "exited=", "expose=", "health=", "id=", "is-task=", "label=", "name=", "network=",
        "publish=", "since=", "status=", "volume=",
    ),
    "images": ("before=", "dangling=", "label=", "reference=", "since=", "until="),
    "events": ("container=", "event=", "image=", "label=", "network=", "scope=", "type=", "volume="),
    "container prune": ("label=", "label!=", "until="),
    "image prune": ("dangling=", "label=", "label!=", "until="),
    "system prune": ("label=", "label!=", "until="),
    "network ls": ("dangling=", "driver=", "id=", "label=", "name=", "scope=", "type="),
    "network prune": ("label=", "label!=", "until="),
    "volume ls": ("dangling=", "driver=", "label=", "name="),
    "volume prune": ("label=", "label!="),
}  # fmt: skip
FILTER_VALUES: "Mapping[str, tuple[str, ...]]" = {
    "ancestor": ("@images",),
    "before": ("@containers", "@images"),
    "since": ("@containers", "@images"),
    "container": ("@containers",),
    "dangling": ("true", "false"),
    "driver": ("local", "bridge", "macvlan", "ipvlan"),
    "event": ("create", "destroy", "die", "kill", "oom", "pause", "restart", "start", "stop", "unpause"),
    "health": ("starting", "healthy", "unhealthy", "none"),
    "image": ("@images",),
    "is-task": ("true", "false"),
    "name": ("@containers",),
    "network": ("@networks",),
    "reference": ("@images",),
    "status": ("created", "restarting", "running", "removing", "paused", "exited", "dead"),
    "type": ("container", "image", "network", "volume"),
    "volume": ("@volumes",),
}

# Operands by their name in the usage line. What is left out is for the shell: files.
OPERANDS: "Mapping[str, tuple[str, ...]]" = {
    "CONTAINER": ("@containers",),
    "IMAGE": ("@images",),
    "NETWORK": ("@networks",),
    "VOLUME": ("@volumes",),
    "NAME|ID": ("@containers", "@images", "@volumes", "@networks"),
    "REPOSITORY[:TAG": ("@images",),
    "SOURCE": ("@images",),
    "DISTRIBUTION": ("debian:12", "debian:13"),
    "SHELL": ("bash", "fish", "zsh"),
    "CODE": ("@codes",),
    "stop": ("stop",),
    "PATH": (":dirs",),
    "CONTAINER:PATH": ("@containers", ":files"),
}

# The containers that a verb can do something with; other verbs take any.
STATES: "Mapping[str, tuple[str, ...]]" = {
    **dict.fromkeys(("attach", "exec", "kill", "pause", "port", "stats", "stop", "top"), ("running",)),
    "start": ("created", "exited"),
    "unpause": ("paused",),
}
