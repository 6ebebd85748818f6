"""What templates work on: JSON's values, with Go's kinds told apart; printed as Go prints them."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any


class GoError(ValueError):
    """A function cannot do what it was asked; the evaluator adds the place."""


class _NoValue:
    """What is read where a map has no such key."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return False


NO_VALUE = _NoValue()


class Struct(dict):  # type: ignore[type-arg] # of JSON: text -> anything
    """An object with fixed fields: one that it has not is an error."""


class NilMap(dict):  # type: ignore[type-arg] # the same
    """No map: empty, and ``null`` in JSON."""


class NilList(list):  # type: ignore[type-arg] # the same
    """No list: empty, and ``null`` in JSON."""


class Record:
    """One line of a list: fields that are made when they are asked for, and methods that take arguments.

    Args:
        noun: what it is, for errors.
        fields: name -> what makes the value.
        methods: name -> function of the arguments that the template gives.
    """

    __slots__ = ("fields", "methods", "noun")

    def __init__(
        self,
        noun: str,
        fields: "Mapping[str, Callable[[], Any]]",
        methods: "Mapping[str, Callable[..., Any]] | None" = None,
    ) -> None:
        self.noun = noun
        self.fields = fields
        self.methods = methods or {}


# Fields whose value is a map with keys of the user's rather than an object with fields.
_MAPS = frozenset(
    {"Annotations", "Attributes", "ContainerUlimits", "Containers", "Data", "DriverOpts", "EndpointsConfig",
     "ExposedPorts", "Labels", "LogOpts", "Networks", "Options", "PortBindings", "Ports", "StorageOpt", "Sysctls",
     "Tmpfs", "Volumes", "Runtimes", "IndexConfigs", "Details", "AuxiliaryAddresses"}
)  # fmt: skip
_MAP = "Options"  # the name of any of them
# Fields that are null when they are not set; every other null is a list that is not there.
_POINTERS = frozenset(
    {"Health", "Healthcheck", "Init", "PidsLimit", "OomKillDisable", "MemorySwappiness", "StopTimeout", "IPAMConfig",
     "BindOptions", "VolumeOptions", "TmpfsOptions", "ImageOptions", "ImageManifestDescriptor", "Identity",
     "GenericResources", "Authorization", "StdinOnce", "SizeRw", "SizeRootFs", "Checkpoint", "CgroupnsMode"}
)  # fmt: skip
# Fields that JSON leaves out when they are empty, and templates may ask for all the same.
_LEFT_OUT: "Mapping[str, Any]" = {
    "Health": None, "Healthcheck": None, "StopSignal": "", "Shell": NilList(), "Variant": "", "OsVersion": "",
    "StopTimeout": None, "MacAddress": "", "Annotations": NilMap(), "ExposedPorts": NilMap(), "ArgsEscaped": False,
    "SizeRw": None, "SizeRootFs": None, "NetworkDisabled": False, "OnBuild": NilList(), "RwMode": "", "Name": "",
    "Driver": "", "Mounts": NilList(), "Tmpfs": NilMap(), "Sysctls": NilMap(), "StorageOpt": NilMap(), "Runtime": "",
    "CDISpecDirs": NilList(), "BlkioWeight": 0, "ImageManifestDescriptor": None, "User": "", "Env": NilList(),
    "Cmd": NilList(), "Volumes": NilMap(), "WorkingDir": "", "Entrypoint": NilList(), "Labels": NilMap(), "Created": "",
    "Parent": "", "Comment": "", "DockerVersion": "", "Author": "",
}  # fmt: skip


def typed(value: "Any", name: str = "") -> "Any":
    """A value of JSON with Go's kinds: which objects are maps and which structs, and what a null stands for."""
    if value is None:
        return None if name in _POINTERS else NilMap() if name in _MAPS else NilList()
    if isinstance(value, list):
        return [typed(item) for item in value]
    if not isinstance(value, dict):
        return value
    if name in _MAPS:
        return {key: typed(item) for key, item in value.items()}
    return Struct(
        (key, typed(item, _MAP if name == "LogConfig" and key == "Config" else key)) for key, item in value.items()
    )


def field(receiver: "Any", name: str) -> "Any":
    """The field of a value, ``NO_VALUE`` for a key that a map has not.

    Raises:
        GoError: it cannot have that field.
    """
    if receiver is NO_VALUE:
        return NO_VALUE
    if isinstance(receiver, Record):
        if name in receiver.fields:
            return receiver.fields[name]()
        raise GoError(_no_field(name, receiver.noun))
    if isinstance(receiver, Struct):
        if name in receiver:
            return receiver[name]
        if name[:1].isupper():  # Go's name of a field: ID and APIVersion, where JSON has Id and ApiVersion
            for key, value in receiver.items():
                if key.lower() == name.lower():
                    return value
        if name in _LEFT_OUT:
            return _LEFT_OUT[name]
        raise GoError(_no_field(name, "this object"))
    if isinstance(receiver, dict):
        return receiver.get(name, NO_VALUE)
    if receiver is None:
        raise GoError(f"nil pointer evaluating field {name}")
    raise GoError(_no_field(name, kind(receiver)))


def _no_field(name: str, where: str) -> str:
    return f"can't evaluate field {name} in {where}"


def names(receiver: "Any") -> "list[str]":
    """The fields that a value has."""
    if isinstance(receiver, Record):
        return [*receiver.fields, *receiver.methods]
    return list(receiver) if isinstance(receiver, dict) else []


def kind(value: "Any") -> str:
    """What a value is, for errors."""
    if isinstance(value, Record):
        return value.noun
    words = {bool: "a boolean", int: "a number", float: "a number", str: "a string", type(None): "nil"}
    if isinstance(value, dict):
        return "an object" if isinstance(value, Struct) else "a map"
    return "a list" if isinstance(value, list) else words.get(type(value), "no value")


def is_true(value: "Any") -> bool:
    """Whether Go's templates take it for true: not zero, not empty."""
    return isinstance(value, Struct | Record) or bool(value)


def plain(value: "Any") -> "Any":
    """The value as ``json`` writes it: maps sorted, what is not there null."""
    if isinstance(value, Record):
        return {name: plain(value.fields[name]()) for name in sorted(value.fields)}
    if isinstance(value, NilMap | NilList) or value is NO_VALUE:
        return None
    if isinstance(value, dict):
        keys = value if isinstance(value, Struct) else sorted(value)
        return {key: plain(value[key]) for key in keys}
    return [plain(item) for item in value] if isinstance(value, list) else value


def to_json(value: "Any") -> str:
    """JSON as Go's encoder writes it."""
    import json  # noqa: PLC0415 - for the formats that ask for it

    return json.dumps(plain(value), ensure_ascii=False, separators=(",", ":"))


def show(value: "Any", *, inside: bool = False) -> str:
    """The value as Go's ``%v`` prints it."""
    if value is None or value is NO_VALUE:
        return "<nil>" if inside else "<no value>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return show_float(value)
    if isinstance(value, Record):
        value = {name: make() for name, make in value.fields.items()}
    if isinstance(value, Struct):
        return "{" + " ".join(show(item, inside=True) for item in value.values()) + "}"
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{show(value[key], inside=True)}" for key in sorted(value)) + "]"
    if isinstance(value, list):
        return "[" + " ".join(show(item, inside=True) for item in value) + "]"
    return str(value)


def show_float(value: float) -> str:
    """The shortest text of a float, with an exponent where Go has one (below 1e-4, from 1e21)."""
    if value and not 1e-4 <= abs(value) < 1e21:
        mantissa, _, exponent = repr(value).partition("e")
        if not exponent:  # Python writes 1e-05 but 0.0001 itself
            return mantissa
        return f"{mantissa.removesuffix('.0')}e{exponent[0]}{exponent[1:].rjust(2, '0')}"
    if value == int(value):
        return str(int(value))
    return repr(value)
