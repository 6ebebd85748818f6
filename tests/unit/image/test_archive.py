"""Archives of images in all their forms, whole and damaged."""

import gzip
import hashlib
import io
import json
import tarfile

import pytest

from kist.errors import Corrupt, InvalidInput, KistError, NotFound, Unsupported
from kist.image.archive import read_archive
from kist.image.archive_writer import Grouping, SavedImage, write_archive
from kist.spec.digest import Digest
from kist.spec.image import OCI_INDEX, OCI_MANIFEST, parse_manifest
from kist.spec.platform import Platform

HOST = Platform("amd64")
NAMED, TAG = "io.containerd.image.name", "org.opencontainers.image.ref.name"
FALLBACK = f"sha256-{'a' * 64}"


class Kept:
    """A sink in memory."""

    def __init__(self) -> None:
        self._data = io.BytesIO()

    def write(self, data: memoryview) -> None:
        self._data.write(data)

    def finish(self) -> Digest:
        return Digest.of(self._data.getvalue())

    def reader(self) -> io.BytesIO:
        return io.BytesIO(self._data.getvalue())


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def encode(value: object) -> bytes:
    return json.dumps(value).encode()


def config_of(*layers: bytes, architecture: str = "amd64") -> bytes:
    diff_ids = [f"sha256:{sha(layer)}" for layer in layers]
    return encode({"architecture": architecture, "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}})


def blob(data: bytes) -> tuple[str, bytes]:
    return f"blobs/sha256/{sha(data)}", data


def descriptor(data: bytes, kind: str = OCI_MANIFEST, **more: object) -> dict[str, object]:
    return {"mediaType": kind, "digest": f"sha256:{sha(data)}", "size": len(data), **more}


def manifest_of(config: bytes, *layers: bytes) -> bytes:
    return encode(
        {"schemaVersion": 2, "config": descriptor(config, "c"), "layers": [descriptor(x, "l") for x in layers]}
    )


def index_of(*descriptors: dict[str, object]) -> bytes:
    return encode({"schemaVersion": 2, "manifests": descriptors})


def read(tar, entry, *members: tuple[str, bytes], wanted: tuple[str, ...] = (), every: bool = False):
    made = [entry(name, data) if isinstance(data, bytes) else data for name, data in members]
    platforms = [Platform.parse(each) for each in wanted]
    return read_archive(io.BytesIO(tar(*made)), Kept, HOST, platforms, every=every)


LAYER = b"layer one".ljust(512, b"\0")
BIG = b"x" * (1 << 20)
CONFIG = config_of(LAYER, BIG)


def docker_entry(config: str, *layers: str, tags=("debian:12",)) -> tuple[str, bytes]:
    return "manifest.json", encode([{"Config": config, "RepoTags": tags, "Layers": layers}])


def test_the_old_form_is_read_with_links_between_equal_layers(tar, entry):
    config = config_of(LAYER, BIG, LAYER)
    link = entry("c/layer.tar", kind=tarfile.SYMTYPE, link="../a/layer.tar")
    (image,) = read(
        tar, entry,
        ("a/layer.tar", LAYER), ("a/VERSION", b"1.0"), ("b/layer.tar", BIG), ("c/layer.tar", link),
        (f"{sha(config)}.json", config),
        docker_entry(f"{sha(config)}.json", "a/layer.tar", "b/layer.tar", "c/layer.tar"),
    )  # fmt: skip
    assert image.references == ("docker.io/library/debian:12",)
    assert [layer.digest.hex for layer in image.layers] == [sha(LAYER), sha(BIG), sha(LAYER)]
    assert [layer.open().read() for layer in image.layers] == [LAYER, BIG, LAYER]
    assert image.manifest.config.digest.hex == sha(config)
    assert image.config_data == config


def test_the_new_form_keeps_its_own_manifest(tar, entry):
    manifest = manifest_of(CONFIG, LAYER, BIG)
    members = [blob(CONFIG), blob(LAYER), blob(BIG), blob(manifest), ("index.json", index_of(descriptor(manifest)))]
    listed = docker_entry(*(name for name, _ in members[:3]), tags=["a/b:1", "a/b:2"])
    (image,) = read(tar, entry, *members, listed)
    assert image.manifest_data == manifest
    assert image.references == ("docker.io/a/b:1", "docker.io/a/b:2")


@pytest.mark.parametrize(
    ("notes", "names"),
    [
        (
            {"io.containerd.image.name": "docker.io/library/x:1", "org.opencontainers.image.ref.name": "1"},
            ("docker.io/library/x:1",),
        ),
        ({"org.opencontainers.image.ref.name": "quay.io/a/b:3"}, ("quay.io/a/b:3",)),
        ({"org.opencontainers.image.ref.name": "latest"}, ()),
        ({"org.opencontainers.image.ref.name": "No:Good:Name"}, ()),
        ({}, ()),
    ],
)
def test_an_oci_layout_is_read_and_names_come_from_annotations(notes, names, tar, entry):
    manifest = manifest_of(CONFIG, LAYER, BIG)
    index = index_of(descriptor(manifest, annotations=notes))
    (image,) = read(tar, entry, blob(CONFIG), blob(LAYER), blob(BIG), blob(manifest), ("./index.json", index))
    assert image.references == names


def many_platforms(*architectures: str) -> tuple[list[tuple[str, bytes]], bytes]:
    configs = {name: config_of(LAYER, architecture=name) for name in architectures}
    manifests = {name: manifest_of(config, LAYER) for name, config in configs.items()}
    listed = [descriptor(m, platform={"architecture": name, "os": "linux"}) for name, m in manifests.items()]
    attestation = manifest_of(CONFIG, LAYER)
    listed.append(descriptor(attestation, platform={"architecture": "unknown", "os": "unknown"}))
    nested = index_of(*listed)
    blobs = [blob(data) for data in (LAYER, CONFIG, *configs.values(), *manifests.values(), attestation, nested)]
    return blobs, index_of(descriptor(nested, OCI_INDEX))


def test_the_host_platform_is_picked_from_a_nested_index(tar, entry):
    blobs, index = many_platforms("arm64", "386", "amd64")
    (image,) = read(tar, entry, *blobs, ("index.json", index))
    assert image.config.architecture == "amd64"


def test_an_image_for_other_platforms_only_names_both(tar, entry):
    blobs, index = many_platforms("arm64", "s390x")
    with pytest.raises(NotFound, match="no image for linux/amd64: it has linux/arm64, linux/s390x"):
        read(tar, entry, *blobs, ("index.json", index))


def test_an_image_for_one_other_platform_is_kept(tar, entry):
    blobs, index = many_platforms("arm64")
    (image,) = read(tar, entry, *blobs, ("index.json", index))
    assert image.config.architecture == "arm64"


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (("linux/arm64",), [("arm64", True)]),
        (("arm64", "s390x"), [("arm64", True), ("s390x", False)]),
        # The one that runs here has the name, whatever comes first.
        (("s390x", "amd64", "s390x"), [("s390x", False), ("amd64", True)]),
    ],
)
def test_the_platforms_that_are_wanted_are_taken_and_one_has_the_name(wanted, found, tar, entry):
    blobs, _ = many_platforms("arm64", "s390x", "amd64")
    index = index_of(descriptor(blobs[-1][1], OCI_INDEX, annotations={"io.containerd.image.name": "x:1"}))
    for listing in ((), (docker_entry(blobs[4][0], blobs[0][0], tags=["x:1"]),)):
        images = read(tar, entry, *blobs, ("index.json", index), *listing, wanted=wanted)
        named = [(image.config.architecture, image.references == ("docker.io/library/x:1",)) for image in images]
        assert named == found
        assert all(image.references == () for image, (_, has) in zip(images, found, strict=True) if not has)
        if not listing:  # the other list names one image alone
            assert all(image.also == ("docker.io/library/x:1",) for image, (_, has) in zip(images, found, strict=True)
                       if not has)  # fmt: skip


@pytest.mark.parametrize(
    ("there", "named"), [(("arm64", "s390x", "amd64"), "amd64"), (("s390x", "arm64"), "s390x"), (("arm64",), "arm64")]
)
def test_every_platform_is_taken_and_one_has_the_name(there, named, tar, entry):
    blobs, _ = many_platforms(*there)
    index = index_of(descriptor(blobs[-1][1], OCI_INDEX, annotations={"io.containerd.image.name": "x:1"}))
    first = docker_entry(blobs[2][0], blobs[0][0], tags=["x:1"])  # of whoever wrote it, whose machine is another one
    for listing in ((), (first,)):
        images = read(tar, entry, *blobs, ("index.json", index), *listing, every=True)
        assert [(i.config.architecture, i.references, i.also) for i in images] == [
            (name, ("docker.io/library/x:1",), ()) if name == named else (name, (), ("docker.io/library/x:1",))
            for name in there
        ]


def test_of_what_has_no_name_one_platform_is_taken(tar, entry):
    blobs, index = many_platforms("arm64", "amd64")
    (image,) = read(tar, entry, *blobs, ("index.json", index), every=True)
    assert (image.config.architecture, image.also) == ("amd64", ())


def test_names_may_stand_in_the_other_list(tar, entry):
    blobs, index = many_platforms("arm64", "amd64")
    amd64 = docker_entry(blobs[3][0], blobs[0][0], tags=["x:1", "y:2"])
    (image,) = read(tar, entry, *blobs, ("index.json", index), amd64, wanted=("amd64",))
    assert (image.config.architecture, image.references) == (
        "amd64",
        ("docker.io/library/x:1", "docker.io/library/y:2"),
    )


@pytest.mark.parametrize("form", ["layout", "docker"])
def test_a_platform_that_is_wanted_and_not_there_is_told(form, tar, entry):
    blobs, index = many_platforms("arm64")
    listing = ("index.json", index) if form == "layout" else docker_entry(blobs[2][0], blobs[0][0])
    with pytest.raises(NotFound, match="no image for linux/s390x: it has linux/arm64"):
        read(tar, entry, *blobs, listing, wanted=("linux/arm64", "linux/s390x"))
    assert len(read(tar, entry, *blobs, listing, wanted=("linux/arm64",))) == 1


def test_an_image_of_several_names_has_them_all(tar, entry):
    manifest = manifest_of(CONFIG, LAYER, BIG)
    listed = [descriptor(manifest, annotations={"io.containerd.image.name": name}) for name in ("a:1", "b:2")]
    members = [blob(CONFIG), blob(LAYER), blob(BIG), blob(manifest), ("index.json", index_of(*listed))]
    (image,) = read(tar, entry, *members, wanted=("linux/amd64",))
    assert image.references == ("docker.io/library/a:1", "docker.io/library/b:2")


def test_compressed_layers_are_kept_as_they_are(tar, entry):
    packed = gzip.compress(LAYER)
    config = config_of(LAYER)
    (image,) = read(tar, entry, ("c.json", config), ("l.tar", packed), docker_entry("c.json", "l.tar"))
    assert image.manifest.layers[0].media_type.endswith("+gzip")
    assert image.layers[0].digest.hex == sha(packed)


BAD = {
    "no archive of images": ([("etc/passwd", b"x")], InvalidInput, "neither manifest.json nor index.json"),
    "a tree with a file of that name": (
        [("manifest.json", b"{}")],
        InvalidInput,
        "no archive of images.*manifest.json",
    ),
    "bad json": ([("manifest.json", b"[{")], InvalidInput, "manifest.json"),
    "missing layer": ([("c.json", config_of(LAYER)), docker_entry("c.json", "l.tar")], Corrupt, r"lacks l\.tar"),
    "missing config": ([docker_entry("c.json")], Corrupt, r"lacks c\.json"),
    "layers that do not add up": (
        [("c.json", CONFIG), ("l", LAYER), docker_entry("c.json", "l")],
        Corrupt,
        "1 layers.* 2",
    ),
    "wrong blob": (
        [(f"blobs/sha256/{'0' * 64}", b"x")],
        Corrupt,
        f"blobs/sha256/{'0' * 64}.*does not match its digest",
    ),
    "wrong big blob": ([(f"blobs/sha256/{'0' * 64}", BIG)], Corrupt, "does not match its digest"),
    "wrong config": ([(f"{'0' * 64}.json", b"{}")], Corrupt, "does not match its digest"),
    "path up": ([("../evil", b"x")], InvalidInput, r"\.\./evil.*leads out"),
    "path inside": ([("a/../../evil", b"x")], InvalidInput, "leads out"),
    "absolute path": ([("/etc/passwd", b"x")], InvalidInput, "/etc/passwd.*leads out"),
    "layer path up": ([("c.json", config_of(LAYER)), docker_entry("c.json", "../l")], InvalidInput, "leads out"),
    "bad name": ([("c.json", config_of()), docker_entry("c.json", tags=["UPPER"])], InvalidInput, "UPPER"),
    "xz": ([("c.json", config_of(b"")), ("l", b"\xfd7zXZ\0"), docker_entry("c.json", "l")], Unsupported, "xz"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_archive_is_refused(case, tar, entry):
    members, error, text = BAD[case]
    with pytest.raises(error, match=text):
        read(tar, entry, *members)


@pytest.mark.parametrize(
    ("kind", "link"),
    [(tarfile.SYMTYPE, "../../etc/passwd"), (tarfile.SYMTYPE, "/etc/passwd"), (tarfile.LNKTYPE, "../x")],
)
def test_links_that_lead_out_are_refused(kind, link, tar, entry):
    with pytest.raises(InvalidInput, match="leads out"):
        read(tar, entry, ("a/l", entry("a/l", kind=kind, link=link)))


def test_a_loop_of_links_is_refused(tar, entry):
    loop = [("a", entry("a", kind=tarfile.SYMTYPE, link="b")), ("b", entry("b", kind=tarfile.SYMTYPE, link="a"))]
    with pytest.raises(InvalidInput, match="loop"):
        read(tar, entry, *loop, docker_entry("a"))


@pytest.mark.parametrize("cut", [100, 600, 5000, 100_000])
def test_a_cut_archive_is_refused(cut, tar, entry):
    data = tar(entry("c.json", CONFIG), entry("l", BIG))[:cut]
    with pytest.raises(KistError):
        read_archive(io.BytesIO(data), Kept, HOST)


def test_what_is_written_is_read_in_both_forms(tar, entry):
    (image,) = read(tar, entry, ("c.json", CONFIG), ("1", LAYER), ("2", BIG), docker_entry("c.json", "1", "2"))
    blobs = {sha(x): x for x in (CONFIG, LAYER, BIG, image.manifest_data)}
    digest = Digest.of(image.manifest_data)
    names = ("docker.io/library/debian:12", "quay.io/a/b:x")
    saved = SavedImage(image.manifest, digest, len(image.manifest_data), HOST, names)
    target = io.BytesIO()
    write_archive([saved], lambda d: io.BytesIO(blobs[d.hex]), target.write)
    again = io.BytesIO()
    write_archive([saved], lambda d: io.BytesIO(blobs[d.hex]), again.write)
    assert again.getvalue() == target.getvalue()
    with tarfile.open(fileobj=io.BytesIO(target.getvalue())) as archive:
        files = {m.name: archive.extractfile(m).read() for m in archive if m.isfile()}
    assert json.loads(files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    assert json.loads(files["manifest.json"])[0]["RepoTags"] == ["debian:12", "quay.io/a/b:x"]
    assert json.loads(files["repositories"])["debian"] == {"12": sha(BIG)}
    for missing in ("manifest.json", "index.json"):
        members = [(name, data) for name, data in files.items() if name != missing]
        (found,) = read(tar, entry, *members)
        assert found.references == names
        assert found.manifest_data == image.manifest_data


def test_several_platforms_are_written_as_an_index_of_which_dockers_list_has_one():
    configs = [config_of(LAYER, architecture=name) for name in ("amd64", "arm64")]
    manifests = [manifest_of(config, LAYER) for config in configs]
    blobs = {sha(x): x for x in (LAYER, *configs, *manifests)}
    digests = tuple(map(Digest.of, manifests))
    saved = [
        SavedImage(parse_manifest(data), digest, len(data), Platform.parse(name), names)
        for data, digest, name, names in zip(manifests, digests, ("amd64", "arm64"), ((), ("q.io/a:2",)), strict=True)
    ]
    target = io.BytesIO()
    group = Grouping(digests, ("docker.io/library/x:1", "docker.io/library/y:1"), docker=digests[0])
    write_archive(saved, lambda digest: io.BytesIO(blobs[digest.hex]), target.write, [group])
    with tarfile.open(fileobj=io.BytesIO(target.getvalue())) as archive:
        files = {m.name: archive.extractfile(m).read() for m in archive if m.isfile()}
    listed = [(each["Config"], each["RepoTags"]) for each in json.loads(files["manifest.json"])]
    assert listed == [(blob(configs[0])[0], ["x:1", "y:1"]), (blob(configs[1])[0], ["q.io/a:2"])]
    alone, *groups = json.loads(files["index.json"])["manifests"]
    assert alone["digest"] == str(digests[1])
    assert {each["mediaType"] for each in groups} == {OCI_INDEX}
    nested = json.loads(files[f"blobs/{groups[0]['digest'].replace(':', '/')}"])
    assert [(each["digest"], each["platform"]["architecture"]) for each in nested["manifests"]] == [
        (str(digests[0]), "amd64"), (str(digests[1]), "arm64")
    ]  # fmt: skip
    found: dict[str, set[str]] = {}
    for image in read_archive(io.BytesIO(target.getvalue()), Kept, HOST, every=True):
        found.setdefault(image.config.architecture, set()).update(image.references)
    assert found == {"amd64": set(group.references), "arm64": {"q.io/a:2"}}


@pytest.mark.parametrize(
    ("change", "text"), [(lambda data: data[1:], "does not have"), (lambda data: data[::-1], "damaged")]
)
def test_a_damaged_blob_is_not_written(change, text, tar, entry):
    (image,) = read(tar, entry, ("c.json", CONFIG), ("1", LAYER), ("2", BIG), docker_entry("c.json", "1", "2"))
    blobs = {sha(x): x for x in (CONFIG, LAYER, BIG, image.manifest_data)}
    saved = SavedImage(image.manifest, Digest.of(image.manifest_data), len(image.manifest_data), HOST, ())
    with pytest.raises(Corrupt, match=text):
        write_archive([saved], lambda d: io.BytesIO(change(blobs[d.hex])), io.BytesIO().write)


def artifact_of(content: bytes, subject: bytes, **more: object) -> bytes:
    value = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": "application/spdx+json",
        "config": descriptor(b"{}", "application/vnd.oci.empty.v1+json"),
        "layers": [descriptor(content, "application/spdx+json")],
        "subject": descriptor(subject),
    }
    return encode(value | more)


@pytest.mark.parametrize("listed", ["under the subject's tag", "in the index"])
def test_what_is_attached_to_an_image_is_no_image(tar, entry, listed: str) -> None:
    manifest = manifest_of(CONFIG, LAYER, BIG)
    artifact = artifact_of(b"document", manifest)
    odd = artifact_of(b"document", manifest, layers=[])
    kinds = {"artifactType": "application/spdx+json"}
    entries = [descriptor(artifact, **kinds), descriptor(odd, **kinds)]
    nested = index_of(*entries)
    if listed == "in the index":
        top = index_of(descriptor(manifest), *entries)
    else:
        name = {"org.opencontainers.image.ref.name": f"sha256-{sha(manifest)}"}
        top = index_of(descriptor(manifest), descriptor(nested, OCI_INDEX, annotations=name))
    blobs = [blob(each) for each in (manifest, CONFIG, LAYER, BIG, artifact, odd, b"{}", b"document", nested)]
    [image] = read(tar, entry, *blobs, ("index.json", top))
    assert [each.content.read("it") for each in image.referrers] == [b"document"]


def test_a_document_of_another_size_than_its_manifest_says_is_refused(tar, entry) -> None:
    manifest = manifest_of(CONFIG, LAYER, BIG)
    wrong = {**descriptor(b"document", "application/spdx+json"), "size": 3}
    artifact = artifact_of(b"document", manifest, layers=[wrong])
    top = index_of(descriptor(manifest), descriptor(artifact, artifactType="application/spdx+json"))
    blobs = [blob(each) for each in (manifest, CONFIG, LAYER, BIG, artifact, b"{}", b"document")]
    with pytest.raises(Corrupt, match="size"):
        read(tar, entry, *blobs, ("index.json", top))


# hostile ones


def link_to(entry, name: str, target: str, kind: bytes = tarfile.LNKTYPE) -> tuple[str, tarfile.TarInfo]:
    return name, entry(name, kind=kind, link=target)


@pytest.mark.parametrize("kind", [tarfile.LNKTYPE, tarfile.SYMTYPE])
def test_a_link_gives_no_content_the_name_of_another(tar, entry, kind: bytes) -> None:
    manifest = manifest_of(CONFIG, LAYER, BIG)
    target = "other" if kind == tarfile.LNKTYPE else "../../other"
    linked = link_to(entry, blob(LAYER)[0], target, kind)
    top = ("index.json", index_of(descriptor(manifest)))
    with pytest.raises(Corrupt, match="does not match its digest"):
        read(tar, entry, ("other", b"other".ljust(512, b"\0")), linked, blob(CONFIG), blob(BIG), blob(manifest), top)
    (image,) = read(tar, entry, ("other", LAYER), linked, blob(CONFIG), blob(BIG), blob(manifest), top)
    assert image.layers[0].open().read() == LAYER


@pytest.mark.parametrize("part", ["config", "layer", "manifest"])
@pytest.mark.parametrize("size", [-1, 3, 10**30])
def test_a_size_that_is_another_one_is_refused(tar, entry, part: str, size: int) -> None:
    config, layer = descriptor(CONFIG, "c"), descriptor(LAYER, "l")
    {"config": config, "layer": layer}.get(part, {})["size"] = size
    manifest = encode({"schemaVersion": 2, "config": config, "layers": [layer, descriptor(BIG, "l")]})
    listed = descriptor(manifest) | ({"size": size} if part == "manifest" else {})
    with pytest.raises(Corrupt, match="does not have the size"):
        read(tar, entry, *map(blob, (CONFIG, LAYER, BIG, manifest)), ("index.json", index_of(listed)))


def test_content_that_is_known_by_sha512_is_refused(tar, entry) -> None:
    layer = {"mediaType": "l", "digest": f"sha512:{'a' * 128}", "size": 4}
    manifest = encode({"schemaVersion": 2, "config": descriptor(CONFIG, "c"), "layers": [layer]})
    members = (blob(CONFIG), blob(manifest), (f"blobs/sha512/{'a' * 128}", b"junk"))
    with pytest.raises(Unsupported, match="has sha512"):
        read(tar, entry, *members, ("index.json", index_of(descriptor(manifest))))


def test_what_is_named_again_and_again_is_read_once(tar, entry) -> None:
    """Each would have been gone through more often than there are atoms in the archive."""
    manifest = manifest_of(CONFIG, LAYER, BIG)
    blobs = [*map(blob, (CONFIG, LAYER, BIG, manifest))]
    deep = manifest
    for level in range(4):
        deep = index_of(*([descriptor(deep, OCI_INDEX if level else OCI_MANIFEST)] * 90))
        blobs.append(blob(deep))
    (image,) = read(tar, entry, *blobs, ("index.json", index_of(*[descriptor(deep, OCI_INDEX)] * 3)))
    assert image.manifest_data == manifest
    many = [descriptor(manifest, annotations={NAMED: f"docker.io/library/a:{number}"}) for number in range(500)]
    top = ("index.json", index_of(*many, *[descriptor(deep, OCI_INDEX, annotations={TAG: FALLBACK})] * 500))
    (image,) = read(tar, entry, *blobs, top, every=True)
    assert len(image.references) == 500


def test_more_images_than_anybody_keeps_are_refused(tar, entry) -> None:
    manifest = manifest_of(CONFIG, LAYER, BIG)
    nested = index_of(*[descriptor(manifest)] * 200)
    names = [{NAMED: f"docker.io/library/a:{number}"} for number in range(60)]
    top = index_of(*(descriptor(nested, OCI_INDEX, annotations=each) for each in names))
    blobs = [*map(blob, (CONFIG, LAYER, BIG, manifest, nested))]
    for every in (False, True):
        with pytest.raises(InvalidInput, match="more than 10000 images"):
            read(tar, entry, *blobs, ("index.json", top), every=every)


@pytest.mark.parametrize(
    ("members", "error", "words"),
    [
        ([(f"f{number}", b"") for number in range(101)], InvalidInput, "more than 100 members"),
        ([("a/" * 3000, b"")], InvalidInput, "a path of 6000 characters"),
        ([("manifest.json", encode([{"Config": "a\x1b[31m", "Layers": []}]))], Corrupt, r"lacks 'a\\x1b\[31m'"),
    ],
)
def test_names_that_are_no_images(
    tar, entry, members: list[tuple[str, bytes]], error: type[KistError], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kist.image.members._MOST_MEMBERS", 100)
    with pytest.raises(error, match=words):
        read(tar, entry, *members)


def test_a_link_that_is_no_unicode_and_that_nobody_follows_is_harmless(tar, entry) -> None:
    manifest = manifest_of(CONFIG, LAYER, BIG)
    odd = link_to(entry, "odd", "\udcff", tarfile.SYMTYPE)
    blobs = [*map(blob, (CONFIG, LAYER, BIG, manifest))]
    assert len(read(tar, entry, odd, *blobs, ("index.json", index_of(descriptor(manifest))))) == 1


def test_a_config_that_is_nested_too_deep_is_refused(tar, entry) -> None:
    deep = CONFIG[:-1] + b', "config": ' + b'{"a":' * 700 + b"1" + b"}" * 700 + b"}"
    manifest = manifest_of(deep, LAYER, BIG)
    with pytest.raises(InvalidInput, match=r"nested too deep|recursion"):
        read(tar, entry, *map(blob, (deep, LAYER, BIG, manifest)), ("index.json", index_of(descriptor(manifest))))
