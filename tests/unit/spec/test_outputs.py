"""What ``-o`` may say."""

import pytest

from kist.errors import InvalidInput
from kist.spec.build import BuildOptions, BuildOutput


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
        ("type=image,dest=x", "has no dest"),
        ("type=image,push=true", "no registry client"),
        ("type=registry,name=a", "no registry client"),
        ("type=oci,dest=x,compression=gzip", "compression='gzip' is not supported"),
        ("type=oci,dest=x,oci-mediatypes=false", "OCI's alone"),
        ('type=local,"dest=a', "a quote is not closed"),
        ('type=local,"dest=a"b', "in the middle of a field"),
    ],
)
def test_what_is_refused(text: str, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        BuildOutput.parse(text)


def test_an_image_has_the_names_of_its_output_else_the_tags() -> None:
    options = BuildOptions(tags=("a", "b:1"))
    assert options.references == ("docker.io/library/a:latest", "docker.io/library/b:1")
    outputs = tuple(map(BuildOutput.parse, ("type=image,name=c", "type=image", "type=oci,dest=x,name=d")))
    assert BuildOptions(tags=("a",), outputs=outputs).references == (
        "docker.io/library/c:latest",
        "docker.io/library/a:latest",
    )
    assert BuildOptions(tags=("a",), outputs=(BuildOutput.parse("out"),)).references == ()
