import pytest

from kist.bootstrap.index import PackageIndex
from kist.bootstrap.resolve import Selection, select
from kist.errors import Conflict, InvalidInput, KistError, NotFound

ESSENTIAL = "Essential: yes\nPriority: required\n"


def index(*packages: str, suite: str = "bookworm") -> PackageIndex:
    return PackageIndex([(suite, "\n\n".join(packages).encode())])


def pkg(name: str, fields: str = "", version: str = "1") -> str:
    return (
        f"Package: {name}\nVersion: {version}\nArchitecture: amd64\n{fields}"
        f"Filename: pool/{name}.deb\nSize: 1\nSHA256: {'0' * 64}"
    )


BASE = (pkg("apt", "Priority: important\nDepends: libc\n"), pkg("libc"), pkg("bash", ESSENTIAL))


def chosen(*packages: str, include: tuple[str, ...] = (), variant: str = "minbase") -> Selection:
    return select(index(*BASE, *packages), variant=variant, include=include, architecture="amd64")


def names(selection: Selection) -> list[str]:
    return [p.name for p in (*selection.base, *selection.asked, *selection.needed)]


def test_the_base_is_what_is_essential_or_required_apt_and_what_they_need() -> None:
    selection = chosen(pkg("grep", "Priority: required\n"), pkg("vim", "Priority: important\n"))
    assert [p.name for p in selection.base] == ["apt", "bash", "grep", "libc"]
    assert selection.asked == selection.needed == ()


def test_the_standard_variant_adds_the_priorities_important_and_standard() -> None:
    packages = (pkg("vim", "Priority: important\nDepends: lib\n"), pkg("less", "Priority: standard\n"))
    selection = chosen(*packages, pkg("lib"), pkg("gcc", "Priority: optional\n"), variant="standard")
    assert [p.name for p in selection.asked if p.name != "apt"] == ["less", "vim"]
    assert [p.name for p in selection.needed] == ["lib"]


@pytest.mark.parametrize(
    ("packages", "wanted"),
    [
        ((pkg("tool", "Depends: a | b\n"), pkg("a"), pkg("b")), ["a"]),
        ((pkg("tool", "Depends: missing | b\n"), pkg("b")), ["b"]),
        ((pkg("tool", "Depends: a (>= 2) | b\n"), pkg("a"), pkg("b")), ["b"]),
        ((pkg("tool", "Depends: a | libc\n"), pkg("a")), []),
        ((pkg("tool", "Depends: mta\n"), pkg("exim", "Provides: mta\n")), ["exim"]),
        ((pkg("tool", "Depends: mta | bash\n"), pkg("exim", "Provides: mta\n")), []),
        (
            (
                pkg("tool", "Depends: mta\n"),
                pkg("a", "Provides: mta\nPriority: extra\n"),
                pkg("b", "Provides: mta\nPriority: optional\n"),
            ),
            ["b"],
        ),
        (
            (
                pkg("tool", "Depends: api (>= 2)\n"),
                pkg("a", "Provides: api\n"),
                pkg("b", "Provides: api (= 2)\n"),
            ),
            ["b"],
        ),
        ((pkg("tool", "Depends: py:any\n"), pkg("py", "Multi-Arch: allowed\n")), ["py"]),
        ((pkg("tool", "Depends: py:arm64 | b\n"), pkg("py"), pkg("b")), ["b"]),
        ((pkg("tool", "Depends: merge | usr-is-merged\n"), pkg("merge"), pkg("usr-is-merged")), ["usr-is-merged"]),
        ((pkg("tool", "Pre-Depends: a\n"), pkg("a", "Depends: b\n"), pkg("b", "Depends: tool\n")), ["a", "b"]),
    ],
    ids=[
        "first-alternative",
        "missing-alternative",
        "too-old",
        "met-already",
        "provided",
        "other-alternative-met",
        "most-important-provider",
        "versioned-provides",
        "any",
        "other-architecture",
        "merged-usr",
        "cycle",
    ],
)
def test_dependencies(packages: tuple[str, ...], wanted: list[str]) -> None:
    selection = chosen(*packages, include=("tool",))
    assert [p.name for p in selection.asked] == ["tool"]
    assert [p.name for p in selection.needed] == wanted


def test_the_newest_version_of_all_suites_is_chosen() -> None:
    both = PackageIndex(
        [
            ("bookworm", "\n\n".join((*BASE, pkg("tool", version="1.9"))).encode()),
            ("bookworm-security", pkg("tool", version="1.10").encode()),
        ]
    )
    tool = select(both, variant="minbase", include=("tool",), architecture="amd64").asked[0]
    assert (tool.version, tool.suite) == ("1.10", "bookworm-security")


@pytest.mark.parametrize(
    ("packages", "include", "kind", "message", "hint"),
    [
        ((pkg("python3"),), ("pyton3",), NotFound, "no archive has the package 'pyton3'", "did you mean 'python3'"),
        ((pkg("exim", "Provides: mta\n"),), ("mta",), NotFound, "'mta'", "did you mean 'exim'"),
        ((pkg("tool", "Depends: gone\n"),), ("tool",), NotFound, "tool 1 depends on gone, which cannot be had", ""),
        ((pkg("tool", "Depends: libc (>= 3)\n"),), ("tool",), NotFound, r"libc \(>= 3\)", "libc 1 is chosen already"),
        ((pkg("tool", "Depends: lib (>= 3)\n"), pkg("lib")), ("tool",), NotFound, "lib", "the archives have lib 1"),
        ((pkg("tool", "Conflicts: bash\n"),), ("tool",), Conflict, "tool 1 cannot be installed beside bash 1", "leave"),
        ((pkg("tool", "Breaks: bash (<< 2)\n"),), ("tool",), Conflict, r"it refuses bash \(<< 2\)", "leave out"),
    ],
)
def test_what_cannot_be_had_is_explained(
    packages: tuple[str, ...], include: tuple[str, ...], kind: type[KistError], message: str, hint: str
) -> None:
    with pytest.raises(kind, match=message) as caught:
        chosen(*packages, include=include)
    assert hint in caught.value.hint


def test_a_package_may_refuse_the_name_that_it_provides_and_older_versions_of_others() -> None:
    exim = pkg("exim", "Provides: mta\nConflicts: mta\nBreaks: bash (<< 1)\n")
    assert "exim" in names(chosen(exim, include=("exim",)))


def test_an_unknown_variant_is_refused() -> None:
    with pytest.raises(InvalidInput, match="unknown variant 'buildd'") as caught:
        chosen(variant="buildd")
    assert "minbase, standard" in caught.value.hint
