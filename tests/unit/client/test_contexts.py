"""Docker's store of contexts: names, files that are broken, and what is kept of others'."""

import json
import os
from pathlib import Path

import pytest

from kist.client.contexts import Store, check_name
from kist.errors import Conflict, InvalidInput, NotFound

META = {"Endpoints": {"docker": {"Host": "tcp://a:1"}}}


@pytest.mark.parametrize("name", ["ab", "A1", "0_", "a.b+c-d_e"])
def test_what_a_context_can_be_called(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize("name", ["", "a", "_a", ".a", "-a", "a b", "a/b", "..", "é1", "a²", "a\n", "default"])
def test_what_it_cannot_be_called(name: str) -> None:
    with pytest.raises(InvalidInput, match="context name"):
        check_name(name)


def test_certificates_are_private_and_go_with_their_context(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.create("lab", META, {"ca.pem": b"ca", "cert.pem": b"cert", "key.pem": b"key"})
    stored = store.get("lab")
    assert stored.tls is not None
    assert Path(stored.tls.key).read_bytes() == b"key"
    for directory, _, names in os.walk(tmp_path / "contexts" / "tls"):
        assert os.stat(directory).st_mode & 0o077 == 0
        assert all(os.stat(f"{directory}/{name}").st_mode & 0o077 == 0 for name in names)
    store.put("lab", META, None)
    assert store.files_of("lab").keys() == {"ca.pem", "cert.pem", "key.pem"}
    store.put("lab", META, {})
    assert store.get("lab").tls is None
    with pytest.raises(Conflict):
        store.create("lab", META, {})
    store.remove("lab")
    with pytest.raises(NotFound, match="does not exist"):
        store.get("lab")
    assert store.names() == []


def test_what_others_have_written_is_kept(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"auths": {"a": {}}, "psFormat": "x", "currentContext": "old"}))
    store = Store(str(tmp_path))
    store.create("lab", {**META, "Metadata": {"Theirs": [1]}}, {})
    store.use("lab")
    found = json.loads((tmp_path / "config.json").read_text())
    assert found == {"auths": {"a": {}}, "psFormat": "x", "currentContext": "lab"}
    store.use("default")
    assert "currentContext" not in json.loads((tmp_path / "config.json").read_text())
    assert store.get("lab").meta["Metadata"] == {"Theirs": [1]}


def test_a_configuration_that_is_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "elsewhere.json").write_text("{}")
    (tmp_path / "config.json").symlink_to("elsewhere.json")
    store = Store(str(tmp_path))
    store.create("lab", META, {})
    store.use("lab")
    assert (tmp_path / "config.json").is_symlink()
    assert json.loads((tmp_path / "elsewhere.json").read_text()) == {"currentContext": "lab"}


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000])
def test_a_context_that_cannot_be_read_is_named(tmp_path: Path, text: str) -> None:
    store = Store(str(tmp_path))
    store.create("lab", META, {})
    [file] = tmp_path.rglob("meta.json")
    file.write_text(text)
    with pytest.raises(InvalidInput, match="cannot be read") as caught:
        store.get("lab")
    assert str(file) in str(caught.value)
    assert str(file) in str(store.broken()[0])


BROKEN = ["", "{", "[]", "null", "{}", '{"Name": ""}', '{"Name": 5}']


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_context_hides_no_other(tmp_path: Path, text: str) -> None:
    store = Store(str(tmp_path))
    for name in ("far", "lab", "near"):
        store.create(name, META, {})
    Path(f"{store.get('lab').meta_directory}/meta.json").write_text(text)
    assert store.names() == ["far", "near"]
    assert [str(tmp_path) in str(each) for each in store.broken()] == [True]
    with pytest.raises(InvalidInput):
        store.get("lab")
    with pytest.raises(NotFound) as caught:
        store.get("nobody")
    assert "default, far, near" in caught.value.hint


@pytest.mark.parametrize("part", ["Metadata", "Endpoints"])
@pytest.mark.parametrize("value", [None, [], "text", {"docker": []}, {"Description": None}])
def test_parts_that_are_no_objects_say_nothing(tmp_path: Path, part: str, value: object) -> None:
    store = Store(str(tmp_path))
    store.create("lab", {**META, part: value}, {})
    stored = store.get("lab")
    assert (stored.description, stored.host) == ("", "" if part == "Endpoints" else "tcp://a:1")
