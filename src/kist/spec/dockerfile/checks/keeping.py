"""Rules of our own: what another build may find different, and what an image should not have."""

import re
from collections.abc import Iterator

from kist.spec.dockerfile import instructions as ins
from kist.spec.dockerfile.checks.installing import unpinned
from kist.spec.dockerfile.checks.rule import Found
from kist.spec.dockerfile.checks.shell import commands
from kist.spec.dockerfile.checks.subject import IMAGE_CONTEXT, Subject

_LISTS = "/var/lib/apt/lists"
_CACHED = re.compile(r"/var(?:/lib(?:/apt(?:/lists)?)?)?/?\Z")
_CLEANERS = frozenset({"dist-clean", "distclean"})
_APT = frozenset({"apt", "apt-get", "aptitude"})
_ROOT = re.compile(r"(?:root|0+)(?::.*)?\Z")
_MOST_TOLD = 6


def unpinned_base(subject: Subject) -> Iterator[Found]:
    """A FROM of an image that may be another one tomorrow."""
    for one in subject.of(ins.From):
        stage = subject.stages[one.stage]
        assert isinstance(one.instruction, ins.From)
        if stage.parent is None and stage.base not in {"", "scratch"} and not _is_pinned(subject, stage.base):
            message = f"FROM {stage.base} may be another image tomorrow: it has no digest, and no kist.lock has one"
            yield one, message, one.instruction.image.location


def unpinned_packages(subject: Subject) -> Iterator[Found]:
    """On a base that stays the same, packages that do not."""
    for one in subject.of(ins.Run):
        base = subject.stages[one.stage].lowest
        if base in {"", "scratch"} or not _is_pinned(subject, base):
            continue
        assert isinstance(one.instruction, ins.Run)
        found = list(dict.fromkeys(name for words in commands(one.instruction) for name in unpinned(words)))
        if found:
            more = f" and {len(found) - _MOST_TOLD} more" if len(found) > _MOST_TOLD else ""
            names = ", ".join(found[:_MOST_TOLD]) + more
            yield one, f"{base} is pinned, and what is installed on it is not: {names} without a version"


def apt_lists(subject: Subject) -> Iterator[Found]:
    """``apt-get update`` whose lists stay in a layer of the image."""
    chain = set(subject.chain)
    for one in subject.of(ins.Run):
        assert isinstance(one.instruction, ins.Run)
        if one.stage not in chain or any(_keeps_lists_away(mount.text) for mount in one.instruction.mounts):
            continue
        has_lists = False
        for words in commands(one.instruction):
            if words and words[0].rpartition("/")[2] in _APT:
                has_lists = (has_lists or "update" in words[1:]) and _CLEANERS.isdisjoint(words)
            elif any(word.startswith(_LISTS) for word in words) and words[0] in {"rm", "find"}:
                has_lists = False
        if has_lists:
            yield one, f"apt's lists stay in the layer: end this RUN with && rm -rf {_LISTS}/*"


def root_user(subject: Subject) -> Iterator[Found]:
    """The last USER of the image, where there is one, is root."""
    chain = set(subject.chain)
    last = [one for one in subject.of(ins.User) if one.stage in chain][-1:]
    for one in last:
        assert isinstance(one.instruction, ins.User)
        user = one.value(one.instruction.user)
        if user is not None and _ROOT.match(user):
            message = f"The last USER is {user}: what runs in the image's containers has all rights in them"
            yield one, message, one.instruction.user.location


def _is_pinned(subject: Subject, name: str) -> bool:
    value = subject.facts.context(name)
    if value is not None and not value.startswith(IMAGE_CONTEXT):
        return True  # files, or the one image of a layout
    image = name if value is None else value.removeprefix(IMAGE_CONTEXT)
    return "@" in image or image == "scratch" or image in subject.facts.locked


def _keeps_lists_away(mount: str) -> bool:
    fields = dict(field.partition("=")[::2] for field in mount.split(","))
    target = fields.get("target") or fields.get("dst") or fields.get("destination") or ""
    return fields.get("type") in {"cache", "tmpfs"} and _CACHED.match(target) is not None
