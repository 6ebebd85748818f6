import time
from collections.abc import Sequence

import pytest
from msgspec import structs

from kist.errors import Conflict, Forbidden, InvalidInput, NotFound
from kist.spec.container import Container, ContainerOptions, ContainerState
from kist.spec.digest import Digest
from kist.spec.image import ContainerConfig, ImageConfig, RootFS
from kist.spec.mount import Mount
from kist.spec.summary import Image
from kist.store import Store


def image(number: int, *references: str, created_at: int = 0) -> Image:
    config = ImageConfig(architecture="amd64", os="linux", rootfs=RootFS(), author=str(number))
    return Image(Digest.of(b"%d" % number), Digest.of(b"manifest %d" % number), references, created_at, number, config)


def container(identity: str, name: str, **more: object) -> Container:
    return Container(
        id=identity.ljust(64, "0"),
        name=name,
        image_id=Digest.of(b"image"),
        created_at=0,
        options=ContainerOptions(image="x", env=("A=b",)),
        config=ContainerConfig(),
        argv=("sh",),
        **more,
    )


def mounting(identity: str, name: str, which: Image, snapshot: str) -> Container:
    """A container that has an image mounted, twice."""
    words = (f"image={which.id}", f"snapshot={snapshot}")
    mounts = tuple(Mount("image", "x", target, words) for target in ("/a", "/b"))
    made = container(identity, name)
    return structs.replace(made, options=structs.replace(made.options, mounts=mounts))


@pytest.fixture
def records(store):
    return store.records


def test_images_come_back_with_their_references_newest_first(records):
    old, new = image(1, "a", "b", created_at=5), image(2, created_at=9)
    records.add_image(old)
    records.add_image(new)
    assert records.images() == (new, old)
    assert records.image(old.id) == old
    assert records.image(Digest.of(b"none")) is None
    assert records.references() == {"a": old.id, "b": old.id}


def test_a_reference_moves_and_leaves_the_image_without_it(records):
    records.add_image(image(1, "a", "b"))
    records.add_image(image(2, "a"))
    assert records.image(image(1).id).references == ("b",)
    records.set_reference("b", image(2).id)
    assert records.image(image(1).id).references == ()
    assert records.reference("b") == image(2).id


def test_an_image_that_is_added_again_keeps_its_references_and_takes_the_new_manifest(records):
    records.add_image(image(1, "a"))
    other = Digest.of(b"other manifest")
    records.add_image(Image(image(1).id, other, ("b",), 0, 1, image(1).config))
    found = records.image(image(1).id)
    assert (found.manifest, found.references) == (other, ("a", "b"))


def test_a_removed_image_takes_its_references_along(records):
    records.add_image(image(1, "a"))
    records.remove_image(image(1, "a"))
    assert records.images() == ()
    assert records.reference("a") is None


def test_an_image_stays_that_was_named_or_used_since_it_was_seen(records):
    seen = image(1, "a")
    records.add_image(seen)
    records.set_reference("b", seen.id)
    assert not records.remove_image(seen)
    assert not records.remove_reference(seen, "a")
    seen = image(1, "a", "b")
    assert records.remove_reference(seen, "a")
    assert not records.remove_image(seen), "it has fewer names now: who told them would tell what was not"
    seen = image(1, "b")
    used = structs.replace(container("abc", "x"), image_id=seen.id)
    records.add_container(used)
    assert not records.remove_image(seen)
    assert records.image(seen.id) == seen
    assert records.remove_image(seen, [used.id])
    assert not records.remove_image(seen), "somebody was first"


def test_a_name_that_went_to_another_image_is_not_taken_from_that(records):
    seen = image(1, "a", "b")
    records.add_image(seen)
    records.add_image(image(2, "a"))
    assert not records.remove_reference(seen, "a")
    assert records.reference("a") == image(2).id


def test_no_container_is_kept_of_an_image_that_is_gone(records):
    made = image(1)
    with pytest.raises(NotFound, match="No such image"):
        records.add_container(container("abc", "x"), needs=made.id)
    assert records.containers() == ()
    records.add_image(made)
    records.add_container(container("abc", "x"), needs=made.id)


def test_a_reference_to_no_image_is_refused(records):
    with pytest.raises(NotFound):
        records.set_reference("a", image(1).id)


def test_a_name_can_be_asked_for_before_there_is_an_image(records):
    records.add_image(image(1, "mine"), owner=5)
    records.add_image(image(2, "roots"))
    for name, owner in (("mine", 5), ("mine", 0), ("roots", 0), ("free", 5), ("docker.io/library/abc:latest", 0)):
        records.check_name(name, owner)
    for name, owner in (("mine", 6), ("roots", 5), ("docker.io/library/abc:latest", 5)):
        with pytest.raises(Forbidden):
            records.check_name(name, owner)


def test_ids_are_found_by_their_start(records):
    records.add_image(image(1))
    assert records.image_ids(image(1).id[:12]) == (image(1).id,)
    assert records.image_ids("sha256:zz") == ()


def test_containers_are_found_by_id_start_and_name(records):
    one, two = container("abc1", "one"), container("abc2", "two")
    records.add_container(one)
    records.add_container(two)
    for name in (one.id, "one", "/one", "abc1"):
        assert records.container(name) == one
    assert [found.name for found in records.containers()] == ["one", "two"]
    with pytest.raises(InvalidInput, match="multiple IDs"):
        records.container("abc")
    for name in ("", "abd", "three", "/"):
        with pytest.raises(NotFound, match="No such container"):
            records.container(name)


def test_the_nearest_names_are_told(records):
    records.add_container(container("abc1", "web"))
    records.add_container(container("abc2", "database"))
    for name, hint in (("wbe", "did you mean web?"), ("databse", "did you mean database?"), ("xyz", "`kist ps -a`")):
        with pytest.raises(NotFound) as caught:
            records.container(name)
        assert hint in caught.value.hint


def test_a_name_goes_before_the_start_of_an_id(records):
    one, two = container("abc1", "one"), container("def2", "abc1")
    records.add_container(one)
    records.add_container(two)
    assert records.container("abc1") == two
    assert records.container(one.id) == one


def test_state_is_not_kept(records):
    records.add_container(container("abc", "x", state=ContainerState(status="running", pid=5)))
    assert records.container("x").state == ContainerState()


def test_a_taken_name_is_a_conflict_in_dockers_words(records):
    records.add_container(container("abc", "web"))
    wanted = r'Conflict. The container name "/web" is already in use by container "abc0{61}".'
    with pytest.raises(Conflict, match=wanted):
        records.add_container(container("def", "web"))
    records.add_container(container("def", "other"))
    with pytest.raises(Conflict, match=wanted):
        records.replace_container(container("def", "web"))
    records.replace_container(container("def", "third"))
    assert records.container("third").id.startswith("def")


def test_a_container_that_is_not_there_is_not_replaced_and_removed_in_silence(records):
    with pytest.raises(NotFound):
        records.replace_container(container("abc", "x"))
    records.remove_container("abc")


def test_containers_of_an_image_are_told(records):
    records.add_container(container("abc", "x"))
    assert records.containers_of_image(Digest.of(b"image")) == ("abc".ljust(64, "0"),)
    assert records.containers_of_image(Digest.of(b"none")) == ()


def test_the_cache_keeps_values_until_it_is_cleared(records):
    assert records.cache_get("k") is None
    records.cache_put("k", b"1")
    records.cache_put("k", b"2")
    assert records.cache_get("k") == b"2"
    assert [value for _, value, _ in records.cache_entries()] == [b"2"]
    assert records.cache_clear(used_before=1) == 0
    assert records.cache_clear() == 1
    assert records.cache_get("k") is None


def test_entries_of_the_cache_are_marked_as_used_together(records, monkeypatch):
    for key in "abc":
        records.cache_put(key, key.encode())
    later = int(time.time()) + 100
    monkeypatch.setattr(time, "time", lambda: later)
    assert records.cache_find("a") == b"a"
    assert records.cache_find("d") is None
    records.cache_used(["a", "c", "d"])
    entries = records.cache_entries()
    assert [key for key, _, _ in entries] == ["b", "a", "c"]
    assert [used_at for _, _, used_at in entries][1:] == [later, later]


def test_the_last_start_is_remembered(records):
    made = container("abc", "x")
    records.add_container(made)
    assert records.started_at(made.id) == 0
    records.note_start(made.id)
    assert records.started_at(made.id) > 0
    assert records.started_at("none") == 0


def test_ranges_of_ids_are_one_containers(store):
    def next_free(taken: Sequence[tuple[int, int]]) -> tuple[int, int]:
        return max((start + size for start, size in taken), default=100), 10

    for identifier in ("a" * 64, "b" * 64):
        store.records.add_container(container(identifier, identifier[:3]))
    assert store.records.lease_ids("a" * 64, next_free) == (100, 10)
    assert store.records.lease_ids("b" * 64, next_free) == (110, 10)
    assert store.records.lease_ids("a" * 64, next_free) == (100, 10)
    assert store.records.id_range("b" * 64) == (110, 10)
    store.records.release_ids("b" * 64)
    assert store.records.id_range("b" * 64) is None
    # What a container without a record has left is everybody's again.
    store.records.remove_container("a" * 64)
    assert store.records.lease_ids("b" * 64, next_free) == (100, 10)


def test_a_list_is_not_read_again_until_somebody_has_changed_something(records, store):
    records.add_container(container("a1", "one"))
    first = records.containers_and_starts()
    assert records.containers_and_starts() is first
    records.note_start(container("a1", "one").id)
    assert records.containers_and_starts()[0][1] > 0
    with Store(store.root) as other:
        # Another process has a connection of its own too.
        other.records.add_container(container("b2", "two"))
        assert {each.name for each, _ in records.containers_and_starts()} == {"one", "two"}
        other.records.remove_container(container("a1", "one").id)
        assert [each.name for each, _ in records.containers_and_starts()] == ["two"]
        records.remove_container(container("b2", "two").id)
        assert other.records.containers_and_starts() == ()


def test_a_mounted_image_is_used_until_its_containers_have_gone(records):
    which = image(1, "a")
    records.add_image(which)
    one, two = mounting("a1", "one", which, "sha256:top"), mounting("b2", "two", which, "sha256:top")
    for each in (one, two):
        records.add_container(each)
    assert records.containers_of_image(which.id) == (one.id, two.id)
    assert records.mounted_snapshots() == {"sha256:top"}
    assert not records.remove_image(which, [one.id]), "the other one has it too"
    assert records.remove_image(which, [one.id, two.id])
    with pytest.raises(NotFound, match="No such image"):
        records.add_container(mounting("c3", "three", image(2), "sha256:other"))
    records.remove_container(one.id)
    assert records.mounted_snapshots() == {"sha256:top"}, "it stays for the other one"
    assert records.mounted_snapshots([two.id]) == frozenset()
    # Who has it from a container may have it, though the image has gone.
    records.add_container(mounting("d4", "four", which, "sha256:top"))
    for each in (two.id, "d4".ljust(64, "0")):
        records.remove_container(each)
    assert records.mounted_snapshots() == frozenset()
    with pytest.raises(NotFound, match="No such image"):
        records.add_container(mounting("e5", "five", which, "sha256:top"))
