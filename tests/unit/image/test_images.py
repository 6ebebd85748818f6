"""Images on a real store: named, loaded, saved, made of layers, removed."""

import gzip
import hashlib
import io
import json
import os
import subprocess
import tarfile
import threading

import pytest

from kist.engine.images import Images
from kist.engine.stop import Stop
from kist.errors import Conflict, Corrupt, InvalidInput, NotFound, Unavailable
from kist.spec.container import Container, ContainerOptions
from kist.spec.digest import Digest
from kist.spec.image import ContainerConfig, History, ImageConfig, RootFS
from kist.spec.summary import Image
from kist.store import Store

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="overlay's marks need root")]

EPOCH = 1_600_000_000


@pytest.fixture
def store(tmp_path):
    with Store(str(tmp_path / "data")) as made:
        yield made


@pytest.fixture
def images(store) -> Images:
    return Images(store)


@pytest.fixture
def debian(images, tar, entry) -> Image:
    data = tar(entry("etc/", kind=tarfile.DIRTYPE, mode=0o755), entry("etc/issue", "Debian"))
    return images.import_tar(io.BytesIO(data), "debian:12", ContainerConfig(cmd=("sh",)), "made by hand")


def upper(store: Store, key: str) -> str:
    (mount,) = store.snapshots.mounts(key)
    return mount.option("upperdir") or mount.source


def write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def saved(images: Images, *names: str | Image) -> bytes:
    target = io.BytesIO()
    images.save(names, target)
    return target.getvalue()


def build(images: Images, store: Store, base: Image, tag: str, name: str = "file") -> Image:
    """An image with one layer more."""
    parent = images.chain(base)
    store.snapshots.prepare("build", parent)
    write(f"{upper(store, 'build')}/{name}", tag)
    layer = images.commit_snapshot("build", parent, mtime=EPOCH)
    assert layer is not None
    below = images.layers(base)
    config = ImageConfig(
        architecture="amd64",
        os="linux",
        created="2020-09-13T12:26:40Z",
        rootfs=RootFS((*base.config.rootfs.diff_ids, layer.diff_id)),
        history=(*base.config.history, History(created_by="RUN x")),
    )
    return images.create(config, [*(each.descriptor for each in below), layer.descriptor], [tag])


def use(store: Store, image: Image, name: str = "user") -> Container:
    container = Container(
        id=hashlib.sha256(name.encode()).hexdigest(), name=name, image_id=image.id, created_at=0,
        options=ContainerOptions(image="x"), config=ContainerConfig(), argv=("sh",),
    )  # fmt: skip
    store.records.add_container(container)
    return container


def test_an_imported_tree_is_an_image_of_one_layer(images, store, debian):
    assert debian.references == ("docker.io/library/debian:12",)
    assert debian.size == len("Debian")
    assert debian.config.config.cmd == ("sh",)
    assert debian.config.history[0].comment == "made by hand"
    assert debian.id == Digest.of(store.blobs.read(debian.id))
    (layer,) = images.layers(debian)
    assert layer.descriptor.digest == layer.diff_id == images.chain(debian)
    (mount,) = store.snapshots.mounts(images.chain(debian))
    with open(f"{mount.source}/etc/issue", encoding="utf-8") as file:
        assert file.read() == "Debian"


def test_a_compressed_tree_is_kept_plain(images, tar, entry):
    data = tar(entry("a", "x"))
    image = images.import_tar(io.BytesIO(gzip.compress(data)), "x")
    assert images.layers(image)[0].descriptor.digest == Digest.of(data)


@pytest.mark.parametrize("damage", ["cut", "escape", "noise"])
def test_a_bad_tree_leaves_nothing(damage, images, store, tar, entry):
    data = {
        "cut": tar(entry("a", b"x" * 10_000))[:5000],
        "escape": tar(entry("a", "x"), entry("../b", "x")),
        "noise": b"noise" * 1000,
    }[damage]
    with pytest.raises((Corrupt, InvalidInput)):
        images.import_tar(io.BytesIO(data), "x")
    assert images.list() == ()
    assert store.blobs.list() == ()
    assert store.snapshots.list() == ()


@pytest.mark.parametrize("name", ["debian:12", "docker.io/library/debian:12", "ID", "SHORT", "HEX", "DIGEST", "IMAGE"])
def test_an_image_is_found_by_every_name_of_it(name, images, debian):
    names = {
        "ID": debian.id, "HEX": debian.id.hex, "SHORT": debian.id.short, "IMAGE": debian,
        "DIGEST": f"debian@{debian.manifest}",
    }  # fmt: skip
    assert images.get(names.get(name, name)) == debian


def test_an_unknown_image_is_not_found_with_the_nearest_names(images, debian):
    assert debian.references
    with pytest.raises(NotFound, match="No such image: debain:12") as caught:
        images.get("debain:12")
    assert "debian:12" in caught.value.hint
    with pytest.raises(NotFound, match="No such image: debian:latest"):
        images.get("debian")
    with pytest.raises(NotFound):
        images.get("NOT a name")


def test_an_ambiguous_start_of_an_id_is_refused(images):
    for number in range(40):
        config = ImageConfig(architecture="amd64", os="linux", rootfs=RootFS(), author=str(number))
        images.create(config, [], [])
    assert len(images.list()) == 40
    with pytest.raises(InvalidInput, match="ambiguous"):
        [images.get(digit) for digit in "0123456789abcdef"]
    assert images.chain(images.list()[0]) is None


def test_a_tag_moves_and_leaves_the_other_image_dangling(images, store, debian):
    other = build(images, store, debian, "other")
    images.tag(other, "debian:12")
    assert images.get("debian:12").id == other.id
    assert images.get(debian.id).references == ()
    with pytest.raises(InvalidInput, match="digest reference"):
        images.tag("other", f"x@{debian.id}")


def test_a_built_layer_is_the_same_on_every_machine_and_stands_on_its_base(images, store, debian, tmp_path):
    one = build(images, store, debian, "one", "a")
    archive = saved(images, debian)
    with Store(str(tmp_path / "elsewhere")) as other:
        there = Images(other)
        (base,) = there.load(io.BytesIO(archive))
        two = build(there, other, base, "one", "a")
    assert two.id == one.id
    assert two.manifest == one.manifest
    assert one.size == debian.size + len("one")
    assert images.layer_sizes(one) == (6, 3)


def shell(store: Store, key: str, script: str) -> str:
    """What a script prints that runs in a mounted snapshot, as a container's would; nothing stays mounted."""
    (mount,) = store.snapshots.mounts(key)
    program = f"mount -t overlay -o {','.join(mount.options)} overlay /mnt && cd /mnt && {script}"
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", program]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_real_changes_of_an_overlay_are_the_same_after_save_and_load(images, store, tmp_path, tar, entry):
    below = tar(
        *(
            entry(f"{name}/{number}", f"{name}{number}")
            for name in ("gone", "emptied", "remade", "kept")
            for number in (1, 2)
        ),
        entry("file", "file"),
        entry("becomes a directory", "x"),
        entry("linked", "linked"),
    )
    base = images.import_tar(io.BytesIO(below), "base")
    parent = images.chain(base)
    store.snapshots.prepare("step", parent)
    shell(store, "step", """
        rm -r gone emptied/1 'becomes a directory' remade
        mkdir remade 'becomes a directory'; echo new > remade/3; echo x > 'becomes a directory/x'
        rm -r kept/1; mv kept/2 kept/3; chmod 700 kept; ln linked again; rm file; ln -s nowhere file; mkfifo pipe
    """)  # fmt: skip
    layer = images.commit_snapshot("step", parent, mtime=EPOCH)
    config = ImageConfig(architecture="amd64", os="linux", rootfs=RootFS((*base.config.rootfs.diff_ids, layer.diff_id)))
    made = images.create(config, [images.layers(base)[0].descriptor, layer.descriptor], ["made"])
    # How many links a directory has, and how large it is, is the file system's own.
    look = (
        "find . ! -name . -printf '%p %y %m %U %G %n %l %s %Ts\\n' | sed '/ d /s/ [0-9]*  [0-9]* \\([0-9]*\\)$/ \\1/'"
    )
    look += " | sort"
    store.snapshots.prepare("look", images.chain(made))
    here = shell(store, "look", look)
    assert "remade/3" in here
    assert "gone" not in here
    with Store(str(tmp_path / "elsewhere")) as other:
        there = Images(other)
        (loaded,) = there.load(io.BytesIO(saved(images, "made")))
        other.snapshots.prepare("look", there.chain(loaded))
        assert shell(other, "look", look) == here


def test_a_snapshot_without_changes_is_no_layer(images, store, debian):
    store.snapshots.prepare("step", images.chain(debian))
    assert images.commit_snapshot("step", images.chain(debian)) is None
    assert not store.snapshots.exists("step")


def test_a_layer_that_is_stopped_leaves_nothing(images, store, debian):
    with store.writing():
        store.snapshots.prepare("step", images.chain(debian))
        large = f"{upper(store, 'step')}/large"
        with open(large, "wb") as file:
            file.truncate(1 << 40)  # to write it down would take an hour
        stop = Stop()
        timer = threading.Timer(0.2, stop.give)
        timer.start()
        with pytest.raises(Unavailable, match="cancelled"):
            images.commit_snapshot("step", images.chain(debian), stop=stop)
        timer.join()
        assert not os.listdir(f"{store.root}/tmp")
        os.truncate(large, 1)
        assert images.commit_snapshot("step", images.chain(debian)) is not None


def test_the_same_change_twice_is_one_snapshot(images, store, debian):
    parent = images.chain(debian)
    layers = []
    for key in ("one", "two"):
        store.snapshots.prepare(key, parent)
        write(f"{upper(store, key)}/f", "x")
        layers.append(images.commit_snapshot(key, parent, mtime=EPOCH))
    assert layers[0] == layers[1]
    assert set(store.snapshots.list()) == {parent, layers[0].chain_id}


def test_a_layer_of_an_unfinished_build_is_not_collected(images, store, debian):
    parent = images.chain(debian)
    with store.writing():
        store.snapshots.prepare("step", parent)
        write(f"{upper(store, 'step')}/f", "x")
        layer = images.commit_snapshot("step", parent)
        assert store.collect() is None
        assert images.has_layers([*images.layers(debian), layer])
    store.blobs.unsynced.settle()  # who syncs it is writing, too
    store.collect()
    assert layer.descriptor.digest not in store.blobs, "and none that came to nothing is kept"


def test_a_discarded_snapshot_is_gone_and_again_is_fine(images, store):
    store.snapshots.prepare("step")
    images.discard_snapshot("step")
    images.discard_snapshot("step")
    assert store.snapshots.list() == ()


@pytest.mark.parametrize("packed", ["plain", "gzip"])
def test_save_and_load_give_the_same_image(packed, images, store, debian, tmp_path):
    image = build(images, store, debian, "tool:1")
    images.tag(image, "tool:2")
    archive = saved(images, "tool:1", "tool:2", debian.id)
    assert saved(images, "tool:1", "tool:2", debian.id) == archive
    stream = io.BytesIO(gzip.compress(archive) if packed == "gzip" else archive)
    with Store(str(tmp_path / "elsewhere")) as other:
        there = Images(other)
        found = there.load(stream)
        assert [(i.id, i.manifest, i.size) for i in found] == [(i.id, i.manifest, i.size) for i in (image, debian)]
        assert found[0].references == ("docker.io/library/tool:1", "docker.io/library/tool:2")
        assert found[1].references == ()
        assert there.load(io.BytesIO(archive)) == found


def test_a_loaded_name_moves(images, debian):
    archive = saved(images, "debian:12")
    images.remove("debian:12")
    newer = images.import_tar(io.BytesIO(empty_tar()), "debian:12")
    images.load(io.BytesIO(archive))
    assert images.get("debian:12").id == debian.id
    assert images.get(newer.id).references == ()
    assert {image.id for image in images.list()} == {debian.id, newer.id}


def test_threads_that_load_one_image_at_once_agree(images, store, debian):
    archive = saved(images, "debian:12")
    images.remove("debian:12")
    found: list[Image] = []
    threads = [threading.Thread(target=lambda: found.extend(images.load(io.BytesIO(archive)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [debian] * 4
    assert store.snapshots.list() == (images.chain(debian),)
    assert os.listdir(f"{store.root}/tmp") == []


def test_what_a_new_manifest_of_an_image_replaces_is_collected(images, store, tar, entry):
    layer = tar(entry("a", "x"))
    diff_id = hashlib.sha256(layer).hexdigest()
    images.load(io.BytesIO(docker_archive(gzip.compress(layer), diff_id=diff_id)))
    (image,) = images.load(io.BytesIO(docker_archive(layer)))
    assert set(store.blobs.list()) == {image.id, image.manifest, Digest(f"sha256:{diff_id}")}


def empty_tar() -> bytes:
    target = io.BytesIO()
    tarfile.open(fileobj=target, mode="w").close()
    return target.getvalue()


def docker_archive(layer: bytes, *, diff_id: str = "", architecture: str = "amd64") -> bytes:
    diff_id = diff_id or hashlib.sha256(layer).hexdigest()
    rootfs = {"type": "layers", "diff_ids": [f"sha256:{diff_id}"]}
    config = json.dumps({"architecture": architecture, "os": "linux", "rootfs": rootfs, "config": None}).encode()
    listed = json.dumps([{"Config": "c.json", "RepoTags": ["x:1"], "Layers": ["l.tar"]}]).encode()
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for name, data in (("c.json", config), ("l.tar", layer), ("manifest.json", listed)):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return target.getvalue()


@pytest.mark.parametrize("size", [10, 2_000_000])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_layer_that_is_not_what_the_config_says_is_corrupt_and_nothing_is_left(pack, size, images, store, tar, entry):
    layer = pack(tar(entry("a", os.urandom(size))))
    with pytest.raises(Corrupt, match="layer 000000000000 does not match its digest"):
        images.load(io.BytesIO(docker_archive(layer, diff_id="0" * 64)))
    assert images.list() == ()
    assert store.blobs.list() == ()
    assert store.snapshots.list() == ()


def test_a_hostile_layer_is_refused_and_nothing_is_left(images, store, tar, entry):
    layer = tar(entry("ok", "x"), entry("../../evil", "x"))
    with pytest.raises(InvalidInput, match=r"\.\./\.\./evil"):
        images.load(io.BytesIO(docker_archive(layer)))
    assert store.blobs.list() == ()
    assert store.snapshots.list() == ()


def test_an_image_for_another_architecture_is_kept(images, tar, entry):
    (image,) = images.load(io.BytesIO(docker_archive(tar(entry("a", "x")), architecture="s390x")))
    assert str(image.config.platform) == "linux/s390x"


def test_a_lost_snapshot_is_unpacked_again_from_its_blob(images, store, debian):
    image = build(images, store, debian, "tool")
    chain = images.chain(image)
    store.snapshots.remove(chain)
    assert images.chain(image) == chain
    assert store.snapshots.exists(chain)
    assert images.layer_sizes(image) == (6, 4)


def test_a_damaged_blob_is_found_when_it_is_unpacked(images, store, debian):
    chain = images.chain(debian)
    store.snapshots.remove(chain)
    path = store.blobs.path(images.layers(debian)[0].descriptor.digest)
    with open(path, "r+b") as file:
        file.seek(1024)
        file.write(b"DEBIAN")
    with pytest.raises(Corrupt):
        images.chain(debian)
    assert store.snapshots.list() == ()


def test_layers_whose_blobs_are_gone_are_told(images, store, debian):
    layers = images.layers(debian)
    assert images.has_layers(layers)
    store.blobs.remove(layers[0].descriptor.digest)
    assert not images.has_layers(layers)


def test_the_last_name_takes_the_image_along(images, store, debian):
    images.tag(debian, "other/name:1")
    assert images.remove("debian:12").deleted == ()
    removed = images.remove("other/name:1")
    assert removed.untagged == ("other/name:1",)
    assert removed.deleted == (debian.id, *debian.config.rootfs.diff_ids)
    assert images.list() == ()
    assert store.blobs.list() == ()
    assert store.snapshots.list() == ()


def test_layers_of_other_images_stay(images, store, debian):
    image = build(images, store, debian, "tool")
    images.remove("tool")
    assert images.list() == (debian,)
    assert store.snapshots.list() == (images.chain(debian),)
    again = build(images, store, debian, "tool")
    assert again.id == image.id
    images.remove("debian:12")
    assert images.chain(images.get("tool")) == images.chain(image)


def test_an_image_in_use_is_not_removed_by_name(images, store, debian):
    container = use(store, debian)
    wanted = (
        rf'conflict: unable to remove repository reference "debian:12" \(must force\) - container {container.id[:12]} '
        rf"is using its referenced image {debian.id.short}"
    )
    with pytest.raises(Conflict, match=wanted):
        images.remove("debian:12")
    assert images.remove("debian:12", force=True).untagged == ("debian:12",)
    assert images.get(debian.id).references == ()


def test_an_image_in_use_is_removed_by_id_only_by_force_and_never_while_it_runs(images, store, debian):
    container = use(store, debian)
    store.snapshots.prepare(container.id, images.chain(debian))
    with pytest.raises(Conflict, match=r"\(must be forced\) - image is being used by stopped container"):
        images.remove(debian.id)
    with pytest.raises(Conflict, match=r"\(cannot be forced\) - image is being used by running container"):
        images.remove(debian.id, force=True, running=lambda _: True)
    images.remove(debian.id, force=True)
    assert images.list() == ()
    assert store.snapshots.exists(container.id)


def test_an_image_of_several_repositories_goes_by_id_only_by_force(images, debian):
    images.tag(debian, "debian:latest")
    images.tag(debian, "other:1")
    with pytest.raises(Conflict, match="multiple repositories"):
        images.remove(debian.id.short)
    assert set(images.remove(debian.id.short, force=True).untagged) == {"debian:12", "debian:latest", "other:1"}


def test_an_unknown_image_is_not_removed(images):
    with pytest.raises(NotFound, match="No such image"):
        images.remove("nothing:1")
