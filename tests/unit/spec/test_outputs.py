"""What ``-o`` may say."""

import pytest

from kist.errors import InvalidInput
from kist.spec.build import BuildOptions, BuildOutput
from kist.spec.outputs import annotations, compression


@pytest.mark.parametrize(
    ("text", "kind", "dest", "attributes"),
    [
        ("out", "local", "out", {}),
        ("./out dir", "local", "./out dir", {}),
        ("-", "tar", "-", {}),
        ("type=local,dest=a", "local", "a", {}),
        ('type=local,"dest=a,b"', "local", "a,b", {}),
        ('type=local,"dest=a""b"', "local", 'a"b', {}),
        ("type=tar,dest=-", "tar", "-", {}),
        ("dest=t.tar,TYPE=tar", "tar", "t.tar", {}),
        ("type=oci,dest=x,name=a:1,tar=false", "oci", "x", {"name": "a:1", "tar": "false"}),
        ("type=docker,dest=-", "docker", "-", {}),
        ("type=docker", "image", "", {}),
        ("type=image,name=a,push=false", "image", "", {"name": "a", "push": "false"}),
        ("type=cacheonly", "cacheonly", "", {}),
    ],
)
def test_what_is_read(text: str, kind: str, dest: str, attributes: dict[str, str]) -> None:
    assert BuildOutput.parse(text) == BuildOutput(kind, dest, attributes)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("type=zip,dest=x", "no output of type 'zip'"),
        ("a=b,c", "'c' is no KEY=VALUE"),
        ("type=local", "dest is required for local output"),
        ("type=local,dest=-", "is a directory"),
        ("type=oci,dest=-,tar=false", "is a directory"),
        ("type=oci,dest=x,tar=perhaps", "tar is true or false"),
        ("type=tar,dest=x,mode=delete", "has no 'mode'"),
        ("type=local,dest=x,mode=delete", "mode=delete is not supported"),
        ("type=oci,dest=x,compression=estargz", "compression=estargz is not supported"),
        ("type=oci,dest=x,compression=lz4", "unknown compression 'lz4'"),
        ("type=oci,dest=x,compression=gzip,compression-level=10", "of gzip it is 0 to 9"),
        ("type=oci,dest=x,compression=zstd,compression-level=best", "of zstd it is 0 to 22"),
        ("type=oci,dest=x,compression-level=3", "go with compression="),
        ("type=oci,dest=x,force-compression=true", "go with compression="),
        ("type=image,compression=zstd", "not supported for an image that is kept"),
        ("type=image,store=false", "type=cacheonly"),
        ("type=image,name=a,push-by-digest=true", "cannot be pushed to a registry yet"),
        ("type=oci,dest=x,annotation-index[linux/amd64].a=b", "unknown annotation"),
        ("type=oci,dest=x,annotation[linux/amd64.a=b", "unknown annotation"),
        ("type=oci,dest=x,annotation-thing.a=b", "unknown annotation 'annotation-thing'"),
        ("type=oci,dest=x,annotation=b", "has no key"),
        ("type=local,dest=x,annotation.a=b", "has no 'annotation.a'"),
        ("type=image,dest=x", "has no dest"),
        ("type=image,push=true", "cannot be pushed to a registry yet"),
        ("type=registry,name=a", "cannot be pushed to a registry yet"),
        ("type=oci,dest=x,oci-mediatypes=false", "OCI's alone"),
        ('type=local,"dest=a', "a quote is not closed"),
        ('type=local,"dest=a"b', "in the middle of a field"),
    ],
)
def test_what_is_refused(text: str, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        BuildOutput.parse(text)


def test_annotations_and_compression_are_taken_apart() -> None:
    text = "type=oci,dest=x,Annotation.Org.Name=A,annotation-manifest[linux/arm64].b=c,annotation-index-descriptor.D=e"
    found = BuildOutput.parse(f"{text},compression=zstd,compression-level=19,force-compression=true").attributes
    assert [(note.kind, note.platform, note.key, note.value) for note in annotations(found)] == [
        ("manifest", "", "Org.Name", "A"),
        ("manifest", "linux/arm64", "b", "c"),
        ("index-descriptor", "", "D", "e"),
    ]
    wanted = compression(found)
    assert wanted is not None
    assert (wanted.kind, wanted.level, wanted.force) == ("zstd", 19, True)
    assert compression({"compression": "uncompressed", "force-compression": "false"}) is not None
    assert compression({}) is None


def test_an_image_has_the_names_of_its_output_else_the_tags() -> None:
    options = BuildOptions(tags=("a", "b:1"))
    assert options.references == ("docker.io/library/a:latest", "docker.io/library/b:1")
    outputs = tuple(map(BuildOutput.parse, ("type=image,name=c", "type=image", "type=oci,dest=x,name=d")))
    assert BuildOptions(tags=("a",), outputs=outputs).references == (
        "docker.io/library/c:latest",
        "docker.io/library/a:latest",
    )
    assert BuildOptions(tags=("a",), outputs=(BuildOutput.parse("out"),)).references == ()
