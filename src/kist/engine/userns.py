"""User namespaces: which ids of the host a container's are (``--userns auto|host|keep-id|container:NAME``).

Pure, but for the look at /etc/subuid. A container's files are kept under the ids that they have inside, whatever
range it is given: mounts are mapped by the kernel, and no image is copied or chowned.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from kist.errors import InvalidInput, Unavailable, Unsupported
from kist.kernel import files
from kist.spec.container import OWN_RUNTIMES, Caller, ContainerOptions
from kist.spec.owner import Owner
from kist.spec.runtime import IdMap, IdMaps

# Where /etc/subuid names none: what systemd leaves to nobody, 4096 ranges of the usual size, below 2^31.
DEFAULT_RANGE = (0x70000000, 0x10000000)
USUAL_SIZE = 65536
# Whose lines of /etc/subuid count: the first of these that has any.
SUBUID_NAMES = ("containers", "kist", "root", "0")
_SUBUID, _SUBGID = "/etc/subuid", "/etc/subgid"
_ALL_IDS = 0xFFFFFFFF
_KINDS = ("host", "auto", "keep-id")
_FORM = "allowed are host, auto[:size=N,uidmapping=IN:OUT:N,gidmapping=…], keep-id[:uid=N,gid=N] and container:NAME"

Range = tuple[int, int]


class Mode(msgspec.Struct, frozen=True):
    """What ``--userns`` says.

    Attributes:
        kind: ``host``, ``auto``, ``keep-id`` or ``container``.
        container: whose namespace it is, of ``container:NAME``.
        size: how many ids.
        uid, gid: what the caller's ids are inside, of ``keep-id``; -1 for themselves.
        uids, gids: mappings that ``auto`` is told.
    """

    kind: str = "host"
    container: str = ""
    size: int = USUAL_SIZE
    uid: int = -1
    gid: int = -1
    uids: tuple[IdMap, ...] = msgspec.field(default=())
    gids: tuple[IdMap, ...] = msgspec.field(default=())


def read(text: str) -> Mode:
    """The mode that the option spells.

    Raises:
        InvalidInput: says what is allowed.
    """
    kind, colon, rest = text.partition(":")
    if kind == "container" and rest:
        return Mode("container", rest)
    if (kind or "host") not in _KINDS or (colon and kind in {"", "host"}):
        raise InvalidInput(f"invalid USER mode: {text}", hint=_FORM)
    if not colon:
        return Mode(kind or "host")
    words = [word.partition("=")[::2] for word in rest.split(",")]
    return _auto(text, words) if kind == "auto" else _keep_id(text, words)


def _auto(text: str, words: Iterable[tuple[str, str]]) -> Mode:
    size = USUAL_SIZE
    asked: dict[str, tuple[IdMap, ...]] = {"uidmapping": (), "gidmapping": ()}
    for name, value in words:
        if name == "size":
            size = _number(text, value)
        elif name in asked:
            asked[name] = (*asked[name], _mapping(text, value))
        else:
            raise InvalidInput(f"invalid USER mode: {text}: unknown word {name!r}", hint=_FORM)
    if not 0 < size <= DEFAULT_RANGE[1]:
        raise InvalidInput(f"invalid USER mode: {text}: a size is from 1 to {DEFAULT_RANGE[1]}", hint=_FORM)
    return Mode("auto", size=size, uids=asked["uidmapping"], gids=asked["gidmapping"])


def _keep_id(text: str, words: Iterable[tuple[str, str]]) -> Mode:
    found = {}
    for name, value in words:
        if name not in {"uid", "gid", "size"}:
            raise InvalidInput(f"invalid USER mode: {text}: unknown word {name!r}", hint=_FORM)
        found[name] = _number(text, value)
    return Mode("keep-id", size=found.get("size", USUAL_SIZE), uid=found.get("uid", -1), gid=found.get("gid", -1))


def _number(text: str, value: str) -> int:
    if not (value.isascii() and value.isdecimal() and int(value) < _ALL_IDS):
        raise InvalidInput(f"invalid USER mode: {text}: {value!r} is no id and no size", hint=_FORM)
    return int(value)


def _mapping(text: str, value: str) -> IdMap:
    parts = [_number(text, part) for part in value.split(":")]
    if len(parts) not in {2, 3}:
        raise InvalidInput(f"invalid USER mode: {text}: a mapping is INSIDE:OUTSIDE[:SIZE]", hint=_FORM)
    return IdMap(parts[0], parts[1], parts[2] if len(parts) == 3 else 1)


def check(options: ContainerOptions) -> None:
    """Refuse what cannot be done in a user namespace of its own, as Docker does.

    Raises:
        InvalidInput: names the options.
    """
    mode = read(options.namespaces.user)
    if mode.kind == "host":
        return
    if options.runtime not in OWN_RUNTIMES:
        raise Unsupported("--userns: an outside runtime is not given a user namespace", hint="leave --runtime out")
    spaces = options.namespaces
    if options.privileged:
        raise InvalidInput(
            "privileged mode is incompatible with user namespaces.  "
            "You must run the container in the host namespace when running privileged mode",
            hint="add --userns host, or name the capabilities that are needed with --cap-add",
        )
    for what, shared in (("network", options.network), ("PID", spaces.pid), ("IPC", spaces.ipc)):
        if shared == "host":
            raise InvalidInput(f"cannot share the host's {what} namespace when user namespaces are enabled")
    if mode.kind == "keep-id" and options.caller is None:
        raise InvalidInput(
            "--userns keep-id: who calls is not known",
            hint="the caller's ids travel in KistCaller; `kist run` sends them",
        )


def caller_of(options: ContainerOptions) -> Caller | None:
    """Who the command runs as where that is the caller: with ``--as-me`` and with ``keep-id``, by the ids inside."""
    mode, caller = read(options.namespaces.user), options.caller
    if mode.kind != "keep-id" or caller is None:
        return caller
    uid = caller.uid if mode.uid < 0 else mode.uid
    gid = caller.gid if mode.gid < 0 else mode.gid
    # Other groups of the caller are not mapped, so they are nobody's inside.
    return msgspec.structs.replace(caller, uid=uid, gid=gid, groups=(gid,))


def keeps_ids(options: ContainerOptions) -> bool:
    """Whether the caller's ids are kept (``keep-id``)."""
    return read(options.namespaces.user).kind == "keep-id"


def maps(mode: Mode, caller: Caller | None, start: int) -> IdMaps:
    """The maps of a container whose range begins at ``start``.

    Raises:
        InvalidInput: mappings that were asked for and contradict each other.
    """
    if mode.kind == "auto":
        return IdMaps(_with_asked(mode.uids, start, mode.size), _with_asked(mode.gids, start, mode.size))
    assert caller is not None
    uid = caller.uid if mode.uid < 0 else mode.uid
    gid = caller.gid if mode.gid < 0 else mode.gid
    if caller.uid == 0:
        # The owner of the machine keeps all ids, as Podman has it.
        whole = (IdMap(0, 0, _ALL_IDS),)
        return IdMaps(whole, whole)
    uids, gids = _keeping(caller.uid, uid, start, mode.size), _keeping(caller.gid, gid, start, mode.size)
    if (uid, gid) == (caller.uid, caller.gid):
        return IdMaps(uids, gids)
    # On binds the caller's files are the caller's, whatever number that is inside.
    return IdMaps(
        uids, gids, _on_binds(caller.uid, uid, start, mode.size), _on_binds(caller.gid, gid, start, mode.size)
    )


def maps_of_owner(owner: Owner, inside: tuple[int, int], start: int, size: int) -> IdMaps:
    """The maps of a guest's container: ids of a range, and on binds nobody but the guest.

    Args:
        owner: the guest.
        inside: which ids of the container have the guest's files there: root's, or those of ``--as-me``.
        start: of the range.
        size: and how many ids it has; the last one stands for an id inside that is beyond the range.
    """
    (uids, uid), (gids, gid) = (_reaching(number, start, size) for number in inside)
    return IdMaps(uids, gids, (IdMap(owner.uid, uid, 1),), (IdMap(owner.gid, gid, 1),))


def _reaching(inside: int, start: int, size: int) -> tuple[tuple[IdMap, ...], int]:
    """A range that has an id inside, and what that id is on the host."""
    if inside < size:
        return (IdMap(0, start, size),), start + inside
    last = start + size - 1
    return (IdMap(0, start, size - 1), IdMap(inside, last, 1)), last


def _keeping(outside: int, inside: int, start: int, size: int) -> tuple[IdMap, ...]:
    return _sorted([*_range(start, size, without=[(inside, 1)]), IdMap(inside, outside, 1)])


def _on_binds(outside: int, inside: int, start: int, size: int) -> tuple[IdMap, ...]:
    return _sorted([*_range(start, size, without=[(inside, 1), (outside, 1)]), IdMap(outside, outside, 1)])


def _with_asked(asked: Sequence[IdMap], start: int, size: int) -> tuple[IdMap, ...]:
    found = _sorted([*_range(start, size, without=[(entry.inside, entry.size) for entry in asked]), *asked])
    for before, after in itertools.pairwise(found):
        if before.inside + before.size > after.inside:
            raise InvalidInput(f"mappings of the id {after.inside} contradict each other")
    return found


def _range(start: int, size: int, without: Iterable[Range]) -> Iterator[IdMap]:
    """The ids from 0 to ``size`` but for some ranges of them."""
    for begin, end in _gaps([(0, size)], sorted(without)):
        yield IdMap(begin, start + begin, end - begin)


def _sorted(entries: Iterable[IdMap]) -> tuple[IdMap, ...]:
    return tuple(sorted(entries, key=lambda entry: entry.inside))


def subordinate(lines: str) -> tuple[Range, ...]:
    """The ranges that /etc/subuid or /etc/subgid gives to containers (subuid(5)), or none."""
    found: dict[str, list[Range]] = {}
    for line in lines.splitlines():
        name, *numbers = line.split("#")[0].strip().split(":")
        if len(numbers) == 2 and all(number.isdecimal() for number in numbers):
            found.setdefault(name, []).append((int(numbers[0]), int(numbers[1])))
    return next((tuple(found[name]) for name in SUBUID_NAMES if name in found), ())


def allowed_ranges() -> tuple[Range, ...]:
    """The host's ids that containers may have: of those files, both allowing the same, or the documented range."""
    uids, gids = subordinate(files.read_text(_SUBUID)), subordinate(files.read_text(_SUBGID))
    if not uids and not gids:
        return (DEFAULT_RANGE,)
    return tuple(
        (start, end - start)
        for uid, uid_size in uids
        for gid, gid_size in gids
        if (start := max(uid, gid)) < (end := min(uid + uid_size, gid + gid_size))
    )


def choose(allowed: Sequence[Range], taken: Iterable[Range], size: int, first: int = 0) -> Range:
    """A range of ``size`` ids that nobody has.

    Args:
        allowed: where it may be.
        taken: ranges that are others'.
        size: how many ids.
        first: how many places to leave out at the beginning, so that engines that know nothing of each other begin
            at different ones; after the last place comes the first.

    Raises:
        Unavailable: there is none.
    """
    busy = sorted(taken)
    places = [(start, end) for start, end in _gaps(allowed, busy) if end - start >= size]
    if not places:
        raise Unavailable(
            f"no {size} ids are left for a user namespace",
            hint="remove containers that are not needed any more, or add a range for `containers` to /etc/subuid and "
            "/etc/subgid",
        )
    slots = sum((end - start) // size for start, end in places)
    skip = first % slots
    for start, end in places:
        fit = (end - start) // size
        if skip < fit:
            return start + skip * size, size
        skip -= fit
    raise AssertionError("skip is below the number of slots")


def _gaps(allowed: Iterable[Range], busy: Sequence[Range]) -> Iterator[tuple[int, int]]:
    for start, length in sorted(allowed):
        begin, end = start, start + length
        for other, size in busy:
            if other >= end or other + size <= begin:
                continue
            if other > begin:
                yield begin, other
            begin = max(begin, other + size)
        if begin < end:
            yield begin, end


def mapped(entries: Sequence[IdMap], inside: int) -> int:
    """What an id inside is on the host; -1 when it is nobody's."""
    for entry in entries:
        if entry.inside <= inside < entry.inside + entry.size:
            return entry.outside + inside - entry.inside
    return -1
