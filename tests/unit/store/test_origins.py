import time

import pytest

from kist.spec.digest import Digest
from kist.spec.image import ImageConfig, RootFS
from kist.spec.summary import Image
from kist.store import Store

AGAIN = "kist pull it"


@pytest.fixture
def store(tmp_path):
    with Store(str(tmp_path)) as made:
        yield made


def image(number: int, *names: str) -> Image:
    digest = Digest("sha256:" + f"{number:064x}")
    return Image(digest, digest, names, 0, 1, ImageConfig(architecture="amd64", os="linux", rootfs=RootFS()))


def remakeable(store: Store) -> list[Digest]:
    return [each.image for each in store.origins.remakeable()]


def test_only_what_was_noted_can_be_had_again(store):
    one, other = image(1, "one"), image(2, "other")
    store.records.add_image(one)
    store.records.add_image(other)
    store.origins.note(one.id, AGAIN, ["one"])
    (found,) = store.origins.remakeable()
    assert (found.image, found.again) == (one.id, AGAIN)
    assert time.time() - found.used_at < 60, "what has just come is not the longest unused"


def test_a_name_that_somebody_chose_keeps_it(store):
    one = image(1, "one")
    store.records.add_image(one)
    store.origins.note(one.id, AGAIN, ["one"])
    store.records.set_reference("mine", one.id)
    assert remakeable(store) == []
    assert store.origins.chosen(one.id) == {"mine"}
    store.records.remove_reference(image(1, "mine", "one"), "mine")
    assert remakeable(store) == [one.id]


def test_a_name_that_came_with_it_is_a_choice_once_somebody_gives_it(store):
    one = image(1, "one")
    store.records.add_image(one)
    store.origins.note(one.id, AGAIN, ["one"])
    store.records.set_reference("one", one.id)
    assert remakeable(store) == []


def test_a_name_that_went_to_another_image_is_not_that_ones(store):
    one, other = image(1, "name"), image(2, "own")
    store.records.add_image(one)
    store.records.add_image(other)
    store.origins.note(one.id, AGAIN, ["name"])
    store.origins.note(other.id, AGAIN, ["name", "own"])  # the first is not its name
    store.records.set_reference("name", other.id)
    assert remakeable(store) == [one.id], "it has no name any more; the other one has one that was chosen"


def test_what_is_loaded_is_nobodys_to_give_up(store):
    one = image(1, "one")
    store.records.add_image(one)
    store.origins.note(one.id, AGAIN, ["one"])
    store.records.add_image(image(1))
    assert remakeable(store) == []


def test_the_longest_unused_is_first(store):
    for number in (1, 2):
        store.records.add_image(image(number))
        store.origins.note(image(number).id, AGAIN, [])
    with store.database.transaction() as db:
        db.execute("UPDATE images SET used_at = 5")
    store.origins.note_use(image(1).id)
    assert remakeable(store) == [image(2).id, image(1).id]
    first, second = store.origins.remakeable()
    assert first.used_at == 5
    assert time.time() - second.used_at < 60


def test_an_origin_goes_with_its_image(store):
    one = image(1, "one")
    store.records.add_image(one)
    store.origins.note(one.id, AGAIN, ["one"])
    store.records.remove_image(one)
    assert remakeable(store) == []
    store.records.add_image(one)
    assert remakeable(store) == []
    assert store.origins.chosen(one.id) == {"one"}
