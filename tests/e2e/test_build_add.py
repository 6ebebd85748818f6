"""ADD of what is somewhere else: files of a web server and Git repositories, on the loopback interface."""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import golden
import needs
from kist.build import build
from kist.client.client import Client
from kist.engine import Engine
from kist.errors import Conflict, Corrupt, Forbidden, InvalidInput, NotFound, ParseError, Unavailable
from kist.spec.build import BuildOptions
from kist.spec.progress import Event, LockRenewed, StepFinished
from kist.spec.summary import Image
from web import Page, Repository, Site, a_repository, a_site

DATE = "Wed, 21 Oct 2015 07:28:00 GMT"
SECONDS = 1445412480


@pytest.fixture
def site() -> Iterator[Site]:
    with a_site() as server:
        yield server


@dataclass
class Room:
    """Builds without a context of their own, from nothing."""

    engine: Engine
    context: Path
    events: list[Event] = field(default_factory=list)

    def build(self, text: str, base: str = "scratch", **options: object) -> Image:
        (self.context / "Dockerfile").write_text(f"FROM {base}\n{text}\n", encoding="utf-8")
        self.events.clear()
        chosen = BuildOptions(**options)  # type: ignore[arg-type]
        if isinstance(self.engine, Client):
            return self.engine.build(str(self.context), chosen, progress=self.events.append)
        return build(self.engine, str(self.context), chosen, self.events.append)

    def cached(self) -> bool:
        """Whether the last step was."""
        return [event.cached for event in self.events if isinstance(event, StepFinished)][-1]

    def saved(self, image: Image) -> bytes:
        written = io.BytesIO()
        self.engine.save([image], written)
        return written.getvalue()

    def layer(self, image: Image) -> dict[str, tuple[tarfile.TarInfo, bytes]]:
        """The members of an image's lowest layer."""
        blob = self.engine.catalogue.layers(image)[0].descriptor.digest
        with self.engine.store.blobs.open(blob) as stream, tarfile.open(fileobj=stream) as tar:
            files = {member.name: (member, tar.extractfile(member)) for member in tar}
            return {name: (member, file.read() if file else b"") for name, (member, file) in files.items()}

    def tree(self, text: str) -> list[str]:
        return golden.listing(self.saved(self.build(text)), "")


@pytest.fixture
def room(engine: Engine, tmp_path: Path) -> Room:
    (tmp_path / "context").mkdir()
    return Room(engine, tmp_path / "context")


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def archive() -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        entry = tarfile.TarInfo("inside")
        entry.size = 2
        tar.addfile(entry, io.BytesIO(b"in"))
    return made.getvalue()


# Files


def test_a_file_gets_its_name_mode_and_time(room: Room, site: Site) -> None:
    url = site.put("/d/file.txt", b"text", Last_Modified=DATE)
    image = room.build(f"ADD {url}?x=y#z /in/\nADD {url} /as\nADD --chmod=755 --chown=0:0 {url} /run")
    assert golden.listing(room.saved(image), "") == ['as 0600 "text"', 'in/file.txt 0600 "text"', 'run 0755 "text"']
    assert room.layer(image)["in/file.txt"][0].mtime == SECONDS
    assert image.config.history[-1].created_by == f"ADD --chown=0:0 --chmod=0755 {url} /run"


@pytest.mark.parametrize(
    ("path", "disposition", "name"),
    [
        ("/a%20b.txt", "", "a b.txt"),
        ("/a", 'attachment; filename="other"', "a"),
        ("/", 'attachment; filename="told.txt"', "told.txt"),
        ("/", "attachment; filename=../../told", "told"),
    ],
)
def test_the_name_is_the_urls_or_the_servers(room: Room, site: Site, path: str, disposition: str, name: str) -> None:
    headers = {"Content_Disposition": disposition} if disposition else {}
    site.put(path.replace("%20", " "), b"x")
    url = site.put(path, b"x", **headers)
    assert list(room.layer(room.build(f"ADD {url} /in/"))) == ["in", f"in/{name}"]


def test_a_file_without_a_name_is_refused(room: Room, site: Site) -> None:
    url = site.put("/", b"x")
    with pytest.raises(InvalidInput, match="cannot determine the name of a file"):
        room.build(f"ADD {url} /in/")


@pytest.mark.parametrize("headers", [{"ETag": '"one"'}, {"Last_Modified": DATE}, {}])
def test_a_file_that_is_the_same_is_not_fetched_again(room: Room, site: Site, headers: dict[str, str]) -> None:
    url = site.put(f"/same-{len(headers)}{''.join(headers)}", b"first", **headers)
    text = f"ADD {url} /x"
    first = room.build(text)
    assert site.take() == [(200, url.removeprefix(site.address))]
    assert room.build(text).id == first.id
    assert room.cached()
    assert site.take() == [(304 if headers else 200, url.removeprefix(site.address))]


@pytest.mark.parametrize("headers", [{"ETag": '"one"'}, {}])
def test_a_file_that_has_changed_is_noticed(room: Room, site: Site, headers: dict[str, str]) -> None:
    path = f"/changes-{len(headers)}"
    text = f"ADD {site.put(path, b'first', **headers)} /x"
    room.build(text)
    site.put(path, b"second", **({"ETag": '"two"'} if headers else {}))
    assert golden.listing(room.saved(room.build(text)), "") == ['x 0600 "second"']
    assert not room.cached()


def test_a_file_that_changes_under_a_build_is_told_and_the_next_build_has_the_new_one(room: Room, site: Site) -> None:
    """It is asked for twice where it was known, and a step asks for it anew: it must be the same then."""
    url = site.put("/racing", b"first", ETag="1")
    room.build(f"ADD {url} /x")
    site.after_one["/racing"] = Page(b"second", {"ETag": "2"})
    with pytest.raises(Unavailable, match=f"Dockerfile:2: ADD failed: {url} changed while it was fetched"):
        room.build(f"ADD {url} /y")
    assert [status for status, _ in site.take()] == [200, 304, 200]
    assert golden.listing(room.saved(room.build(f"ADD {url} /y")), "") == ['y 0600 "second"']


def test_another_version_of_the_same_content_repeats_nothing(room: Room, site: Site) -> None:
    text = f"ADD {site.put('/touched', b'touched', ETag='1')} /x"
    room.build(text)
    site.put("/touched", b"touched", ETag="2")
    room.build(text)
    assert room.cached()


def test_without_the_cache_nothing_is_known(room: Room, site: Site) -> None:
    text = f"ADD {site.put('/anew', b'anew', ETag='1')} /x"
    room.build(text)
    site.take()
    room.build(text, no_cache=True)
    assert site.take() == [(200, "/anew")]


def test_a_file_of_two_steps_is_fetched_once(room: Room, site: Site) -> None:
    url = site.put("/twice", b"twice")
    room.build(f"ADD {url} /a\nADD {url} /b")
    assert site.take() == [(200, "/twice")]


def test_a_checksum_is_verified(room: Room, site: Site) -> None:
    url = site.put("/sum", b"right")
    assert room.tree(f"ARG sum={digest(b'right')}\nADD --checksum=$sum {url} /x") == ['x 0600 "right"']
    with pytest.raises(Corrupt, match=f"{url} has the digest {digest(b'right')}, and --checksum has"):
        room.build(f"ADD --checksum={digest(b'wrong')} {url} /x")


def test_what_has_a_checksum_is_not_asked_about(room: Room, site: Site) -> None:
    url = site.put("/offline", b"offline")
    text = f"ADD --checksum={digest(b'offline')} {url} /x"
    room.build(text)
    site.take()
    room.build(text)
    assert room.cached()
    assert site.take() == []


def test_archives_are_unpacked_where_it_is_said(room: Room, site: Site) -> None:
    url = site.put("/a.tgz", archive())
    (room.context / "local.tgz").write_bytes(archive())
    tree = golden.listing
    assert tree(room.saved(room.build(f"ADD --unpack {url} /in/")), "") == ['in/inside "in"']
    assert tree(room.saved(room.build("ADD local.tgz /in/")), "") == ['in/inside "in"']
    kept = room.build("ADD --unpack=false local.tgz /kept/")
    away = room.build(f"ADD {url} /away/")
    assert room.layer(kept)["kept/local.tgz"][1] == (room.context / "local.tgz").read_bytes()
    assert room.layer(away)["away/a.tgz"][1] == site.pages["/a.tgz"].body


def test_fetched_files_stand_beside_others(room: Room, site: Site) -> None:
    (room.context / "a").write_text("a", encoding="utf-8")
    url = site.put("/b", b"b")
    assert room.tree(f"ADD --link a {url} <<c /d/\ntext\nc") == ['d/a "a"', 'd/b 0600 "b"', 'd/c "text\\n"']


def test_what_is_not_there(room: Room, site: Site) -> None:
    with pytest.raises(NotFound, match=r"Dockerfile:2: ADD failed: Get .*404"):
        room.build(f"ADD {site.address}/nothing /x")


def test_a_connection_that_breaks(room: Room, site: Site) -> None:
    url = site.put("/broken", b"broken")
    site.pages["/broken"].short = True
    with pytest.raises(Unavailable, match="it ended after 3 of 6 bytes"):
        room.build(f"ADD {url} /x")


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("COPY http://127.0.0.1/x /", 6, "a source of COPY can't be a URL"),
        ("COPY git@127.0.0.1:x.git /", 6, "a source of COPY can't be a URL"),
        ("ADD ftp://127.0.0.1/x /", 5, "cannot be fetched"),
        ("ADD --checksum=sha256:00 http://127.0.0.1/x /", 26, "invalid digest"),
        ("ADD --checksum=sha256:00 a /", 16, "checksum requires HTTP"),
        ("ADD --checksum=sha256:00 http://127.0.0.1/x http://127.0.0.1/y /", 16, "for multiple sources"),
        ("ADD http://127.0.0.1/x.git?rev=1 /", 5, "unexpected parameter 'rev'"),
        ("ADD http://127.0.0.1/x.git?ref=a#b /", 5, "ref conflicts"),
        ("ADD --checksum=xyz http://127.0.0.1/x.git /", 20, "invalid checksum 'xyz'"),
        ("ADD --keep-git-dir http://127.0.0.1/x.git?keep-git-dir=0 /", 20, "inconsistent keep-git-dir"),
        ("ADD git://-oProxyCommand=x/y /", 5, "invalid refspec or host"),
    ],
)
def test_mistakes_are_pointed_at(room: Room, text: str, column: int, message: str) -> None:
    with pytest.raises(ParseError) as caught:
        room.build(text)
    assert f"Dockerfile:2:{column}: " in str(caught.value)
    assert message in caught.value.message


@needs.IN_PROCESS
def test_others_than_the_engines_user_have_nothing_fetched(
    room: Room, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = site.put("/forbidden", b"x")
    monkeypatch.setattr(type(room.engine.catalogue), "may_fetch", False)
    with pytest.raises(Forbidden, match="only the engine's own user may have it fetch something"):
        room.build(f"ADD {url} /x")
    assert site.take() == []


# Repositories


@pytest.fixture
def repository(site: Site, tmp_path: Path) -> Repository:
    return a_repository(site, tmp_path)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("", ['file "one"', 'sub/deep "deep"']),
        ("#other", ['file "two"', 'sub/deep "deep"']),
        ("#v1", ['file "one"', 'sub/deep "deep"']),
        ("#refs/heads/other", ['file "two"', 'sub/deep "deep"']),
        ("#{two}", ['file "two"', 'sub/deep "deep"']),
        ("#:sub", ['deep "deep"']),
        ("#other:sub", ['deep "deep"']),
        ("?branch=other&subdir=sub", ['deep "deep"']),
        ("?tag=v1", ['file "one"', 'sub/deep "deep"']),
        ("?ref=other&commit={two}", ['file "two"', 'sub/deep "deep"']),
        ("?branch=other&subdir=/", ['file "two"', 'sub/deep "deep"']),
    ],
)
def test_a_repository_is_added(room: Room, repository: Repository, address: str, expected: list[str]) -> None:
    wanted = address.format(one=repository.one, two=repository.two)
    assert room.tree(f"ADD {repository.url}{wanted} /") == expected


def test_a_repository_is_known_by_its_commit(room: Room, repository: Repository, site: Site) -> None:
    text = f"ADD {repository.url}#main /src/"
    room.build(text)
    site.take()
    room.build(text)
    assert room.cached()
    assert {path for _, path in site.take()} == {"/r.git/info/refs", "/r.git/HEAD"}
    (repository.work / "file").write_text("three", encoding="utf-8")
    repository.git("commit", "-am", "three")
    repository.publish()
    assert 'src/file "three"' in golden.listing(room.saved(room.build(text)), "")
    assert not room.cached()


def test_a_commit_is_not_asked_about(room: Room, repository: Repository, site: Site) -> None:
    text = f"ADD {repository.url}#{repository.one} /src/"
    room.build(text)
    site.take()
    room.build(text)
    assert room.cached()
    assert site.take() == []


def test_a_commit_must_be_the_expected_one(room: Room, repository: Repository) -> None:
    text = "ADD --checksum={} {}#other /src/"
    assert 'src/file "two"' in room.tree(text.format(repository.two[:12], repository.url))
    with pytest.raises(Corrupt, match=f"#other is commit {repository.two}, and {repository.one} is expected"):
        room.build(text.format(repository.one, repository.url))


def test_the_history_is_kept_where_it_is_said(room: Room, repository: Repository) -> None:
    plain = room.tree(f"ADD {repository.url}#v1 /src/")
    assert plain == ['src/file "one"', 'src/sub/deep "deep"']
    image = room.build(f"ADD --keep-git-dir=true {repository.url}#v1 /src/")
    assert {"src/.git/HEAD", "src/.git/refs/tags/v1", "src/file"} <= set(room.layer(image))


def test_what_a_repository_has_not(room: Room, repository: Repository) -> None:
    with pytest.raises(NotFound, match="couldn't find remote ref nothing"):
        room.build(f"ADD {repository.url}#nothing /src/")
    with pytest.raises(NotFound, match="not a directory: 'nowhere'"):
        room.build(f"ADD {repository.url}#main:nowhere /src/")
    with pytest.raises(InvalidInput, match="not within git root"):
        room.build(f"ADD {repository.url}#main:../.. /src/")


# The lock of what was fetched


def lock_of(room: Room) -> str:
    """Write the lock that the last build has brought, and give it."""
    [text] = [event.text for event in room.events if isinstance(event, LockRenewed)]
    (room.context / "kist.lock").write_text(text)
    return text


def test_a_lock_has_what_was_fetched_and_another_one_is_refused(room: Room, site: Site) -> None:
    url = site.put("/file.txt", b"one")
    first = room.build(f"ADD {url} /", lock="auto")
    assert f'url = "{url}"\ndigest = "{digest(b"one")}"' in lock_of(room)
    assert room.build(f"ADD {url} /", lock="locked") == first
    site.put("/file.txt", b"two")
    with pytest.raises(Corrupt) as caught:
        room.build(f"ADD {url} /", lock="auto", no_cache=True)
    assert f"{url} has changed: kist.lock has {digest(b'one')}" in caught.value.message
    assert "--update-lock" in caught.value.hint
    room.build(f"ADD {url} /", lock="update")
    assert digest(b"two") in lock_of(room)
    other = site.put("/other.txt", b"x")
    with pytest.raises(Conflict, match="no digest for"):
        room.build(f"ADD {url} {other} /", lock="locked")
    room.build(f"ADD {other} /", lock="auto")
    assert url not in lock_of(room)


def test_provenance_has_what_was_fetched(room: Room, site: Site) -> None:
    url = site.put("/file.txt", b"one")
    image = room.build(f"ADD {url} /", provenance=True)
    [attached] = room.engine.referrers(image)
    statement = json.loads(room.engine.referrer(image, attached.digest))
    told = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert {"uri": url, "digest": {"sha256": digest(b"one").removeprefix("sha256:")}} in told


def test_a_branch_that_moves_is_taken_where_the_lock_has_it(room: Room, repository: Repository) -> None:
    line = f"ADD {repository.url}#main /"
    first = golden.listing(room.saved(room.build(line, lock="auto")), "")
    assert f'digest = "{repository.one}"' in lock_of(room)
    (repository.work / "file").write_text("moved", encoding="utf-8")
    repository.git("commit", "-am", "moved")
    repository.publish()
    assert golden.listing(room.saved(room.build(line, lock="auto", no_cache=True)), "") == first
    moved = golden.listing(room.saved(room.build(line, lock="update")), "")
    assert moved == [each.replace('"one"', '"moved"') for each in first] != first
    assert repository.git("rev-parse", "main") in lock_of(room)


# Named contexts that are somewhere else


def test_an_archive_of_the_web_is_a_named_context(room: Room, site: Site) -> None:
    contexts = {"far": site.put("/far.tgz", archive(), Content_Type="application/gzip")}
    text = "COPY --from=far inside /copied\nCOPY --from=far . /all/"
    assert golden.listing(room.saved(room.build(text, contexts=contexts)), "") == ['all/inside "in"', 'copied "in"']
    room.build(text, contexts=contexts)
    assert room.cached()
    assert golden.listing(room.saved(room.build("ENV a=b", base="far", contexts=contexts)), "") == ['inside "in"']
    with pytest.raises(NotFound, match="404"):
        room.build("COPY --from=far inside /", contexts={"far": f"{site.address}/nothing.tgz"})


def test_a_repository_is_a_named_context(room: Room, repository: Repository) -> None:
    text = "COPY --from=far . /"
    for part, expected in (("", ['file "one"', 'sub/deep "deep"']), ("#other:sub", ['deep "deep"'])):
        image = room.build(text, contexts={"far": repository.url + part})
        assert golden.listing(room.saved(image), "") == expected
    with pytest.raises(NotFound, match="nowhere"):
        room.build(text, contexts={"far": f"{repository.url}#nowhere"})
