"""The step cache on its way from one data root to another by a registry."""

import base64
import gzip
import io
import json
import os
import re
import signal
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

import certificates
import kist
import needs
from harness import BUSYBOX, Cli, a_cli, clean_up, give_busybox
from kist.build import build
from kist.engine import Engine
from kist.errors import Forbidden
from kist.registry.client import DOCKER_MANIFEST, Document, Registry
from kist.spec.build import BuildOptions
from kist.spec.digest import Digest
from kist.spec.image import (
    DOCKER_CONFIG,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER_GZIP,
    OCI_MANIFEST,
    ContainerConfig,
    Descriptor,
    Index,
    Manifest,
    parse_index,
    parse_manifest,
)
from kist.spec.json import encode
from kist.spec.platform import Platform
from kist.spec.progress import Event, StepFinished, StepStarted
from kist.spec.reference import Reference
from proxies import a_proxy
from registries import ADA, Asked, Running, Server, Told, debians, encrypting, with_passwords

UUID = "/proc/sys/kernel/random/uuid"  # another one whenever it is read
TEXT = f"""
FROM {BUSYBOX} AS tool
RUN cat {UUID} > /tool
FROM {BUSYBOX}
COPY a /a
COPY --from=tool /tool /tool
RUN cat {UUID} > /made && head -c 300000 /dev/urandom > /large
"""
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
BUILD = ("build", "-t", "made:1", "--progress", "plain", "--no-lock")


@pytest.fixture
def context(tmp_path: Path) -> Path:
    made = tmp_path / "context"
    made.mkdir()
    (made / "a").write_text("a")
    (made / "Dockerfile").write_text(TEXT)
    return made


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with debians(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cli, Cli]]:
    """Two data roots with the same base."""
    with a_cli(tmp_path_factory.mktemp("a")) as one, a_cli(tmp_path_factory.mktemp("b")) as another:
        for cli in (one, another):
            give_busybox(cli)
        yield one, another


@pytest.fixture
def here(both: tuple[Cli, Cli]) -> Cli:
    return forgetful(both[0])


@pytest.fixture
def other(both: tuple[Cli, Cli]) -> Cli:
    return forgetful(both[1])


def forgetful(cli: Cli) -> Cli:
    """As before its first build."""
    cli("rmi", "made:1")
    cli.good("builder", "prune", "-af")
    return cli


def push(cli: Cli, running: Running, ref: str, *, oci: bool) -> tuple[Descriptor, ...]:
    """Send the image as other clients do, compressed, in OCI's words below an index, or in Docker's; its layers."""
    saved = cli.directory / "saved.tar"
    cli.good("save", "-o", str(saved), "made:1")
    with tarfile.open(saved) as archive, Registry(running.domain) as registry:
        [entry] = json.loads(archive.extractfile("manifest.json").read())  # type: ignore[union-attr]
        repository = registry.repository(Reference.parse(ref).path)

        def bring(data: bytes, media_type: str) -> Descriptor:
            digest = Digest.of(data)
            repository.write_blob(digest, len(data), lambda: io.BytesIO(data))
            return Descriptor(media_type, digest, len(data))

        blobs = [archive.extractfile(path).read() for path in (*entry["Layers"], entry["Config"])]  # type: ignore[union-attr]
        config = bring(blobs.pop(), OCI_CONFIG if oci else DOCKER_CONFIG)
        layers = tuple(bring(gzip.compress(blob), OCI_LAYER_GZIP if oci else DOCKER_LAYER) for blob in blobs)
        kind = OCI_MANIFEST if oci else DOCKER_MANIFEST
        manifest = Document(kind, encode(Manifest(2, kind, config, layers)))
        if oci:
            repository.write_manifest(manifest.descriptor.digest, manifest)
            about = Document(kind, encode(Manifest(2, kind, bring(b"{}", OCI_CONFIG), ())))
            repository.write_manifest(about.descriptor.digest, about)
            nobodys = msgspec.structs.replace(about.descriptor, platform=Platform("unknown", "unknown"))
            manifest = Document(OCI_INDEX, encode(Index(2, OCI_INDEX, (nobodys, manifest.descriptor))))
        repository.write_manifest(Reference.parse(ref).tag, manifest)
    return layers


def cached(said: str) -> int:
    return sum(line.endswith(" CACHED") for line in said.splitlines())


def layers(cli: Cli) -> str:
    """Those of the image; its base was imported here and there, at another time."""
    return str(cli.good("image", "inspect", "-f", "{{json .RootFS.Layers}}", "made:1"))


def kept(running: Running, ref: str) -> Manifest:
    """The manifest of a cache; of an index the only one."""
    reference = Reference.parse(ref)
    with Registry(running.domain) as registry:
        repository = registry.repository(reference.path)
        document = repository.manifest(reference.tag)
        if document.media_type == OCI_INDEX:
            [named] = parse_index(document.data).manifests
            document = repository.manifest(named.digest)
    return parse_manifest(document.data)


@pytest.mark.parametrize("mode", ["min", "max"])
def test_from_one_data_root_to_another(here: Cli, other: Cli, context: Path, registry: Running, mode: str) -> None:
    ref = f"{registry.domain}/kist/cache:{mode}"
    first = here(*BUILD, "--cache-to", f"type=registry,ref={ref},mode={mode}", str(context))
    assert first.returncode == 0, first.stderr
    assert f"exporting the build cache to {ref}" in first.stderr
    # What is not the image's own is gone with mode=min: a stage of its own is another one there.
    again = other(*BUILD, "--cache-from", f"type=registry,ref={ref}", str(context))
    assert again.returncode == 0, again.stderr
    assert (layers(other) == layers(here)) == (mode == "max"), again.stderr
    assert cached(again.stderr) == (6 if mode == "max" else 3)


@pytest.mark.parametrize(
    ("options", "media_type"),
    [
        ("", "application/vnd.oci.image.layer.v1.tar+gzip"),
        (",compression=zstd,compression-level=1,image-manifest=false", "application/vnd.oci.image.layer.v1.tar+zstd"),
        (",compression=uncompressed", "application/vnd.oci.image.layer.v1.tar"),
    ],
)
def test_what_is_there_is_not_sent_again(
    here: Cli, other: Cli, context: Path, registry: Running, options: str, media_type: str
) -> None:
    ref = f"{registry.domain}/kist/again:{media_type.rpartition('.')[2].replace('+', '-')}"
    to = f"type=registry,ref={ref},mode=max{options}"
    here.good(*BUILD, "--cache-to", to, str(context))
    blobs = {path: path.stat().st_mtime_ns for path in registry.blobs.glob("*/*/data")}
    assert {layer.media_type for layer in kept(registry, ref).layers} == {media_type}
    # The short form takes it too, where the name is no image's here and spells a registry.
    again = other(*BUILD, "--cache-from", ref, "--cache-to", to, str(context))
    assert again.returncode == 0, again.stderr
    assert layers(other) == layers(here)
    assert {path: path.stat().st_mtime_ns for path in registry.blobs.glob("*/*/data")} == blobs


@pytest.mark.parametrize(("to", "steps", "oci"), [(("--cache-to", "type=inline"), 7, True), ((), 5, False)])
def test_an_image_in_a_registry_brings_its_steps(
    here: Cli, other: Cli, context: Path, registry: Running, to: tuple[str, ...], steps: int, oci: bool
) -> None:
    """By their keys all of them, else by their words all but COPY, done again; what is not taken stays there."""
    (context / "Dockerfile").write_text(
        f"FROM {BUSYBOX}\nRUN cat {UUID} > /made\nENV A=1\nRUN cat {UUID} > /b\nCOPY a /a\nRUN cat {UUID} > /c\n"
        "COPY --link a /linked\n"
    )
    ref = f"{registry.domain}/kist/image:{steps}"
    here.good(*BUILD, *to, str(context))
    base = push(here, registry, ref, oci=oci)[0]
    registry.data_of(base.digest).unlink()
    again = other(*BUILD, *to, "--cache-from", f"type=registry,ref={ref}", str(context))
    assert again.returncode == 0, again.stderr
    assert cached(again.stderr) == steps, again.stderr
    assert layers(other) == layers(here)
    assert "warning" not in again.stderr
    other.good("system", "check")


def log_in(directory: Path, domain: str, password: str) -> None:
    directory.mkdir(exist_ok=True)
    pair = base64.b64encode(f"{ADA.username}:{password}".encode()).decode()
    (directory / "config.json").write_text(json.dumps({"auths": {domain: {"auth": pair}}}))


def log_in_by_helper(directory: Path, domain: str, password: str) -> None:
    directory.mkdir(exist_ok=True)
    told = json.dumps({"ServerURL": domain, "Username": ADA.username, "Secret": password})
    helper = directory / "docker-credential-kisttest"
    helper.write_text(f"#!/bin/sh\n[ \"$(cat)\" = {domain} ] && echo '{told}'\n")
    helper.chmod(0o755)
    (directory / "config.json").write_text(json.dumps({"credHelpers": {domain: "kisttest"}}))


@pytest.mark.parametrize("enter", [log_in, log_in_by_helper])
def test_who_is_logged_in(
    here: Cli, context: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, enter: Callable[[Path, str, str], None]
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'docker'}:{os.environ['PATH']}")
    with with_passwords(tmp_path / "registry") as registry:
        ref = f"{registry.domain}/kist/cache"
        to = ("--cache-to", f"type=registry,ref={ref}", str(context))
        nobody = here(*BUILD, *to)
        assert nobody.returncode
        assert f"docker login {registry.domain}" in nobody.stderr
        enter(tmp_path / "docker", registry.domain, "another")
        wrong = here(*BUILD, *to)
        assert wrong.returncode
        assert "the name or the password is another one there" in wrong.stderr
        enter(tmp_path / "docker", registry.domain, ADA.password)
        here.good(*BUILD, *to)
        again = forgetful(here)(*BUILD, "--cache-from", f"type=registry,ref={ref}", str(context))
        assert cached(again.stderr) == 3, again.stderr
        sent = io.BytesIO()
        with tarfile.open(fileobj=sent, mode="w") as archive:
            archive.add(context, ".")
        again = forgetful(here)(*BUILD, "--cache-from", ref, "-", stdin=sent.getvalue())  # by POST /build
        assert cached(again.stderr) == 3, again.stderr
        secret = ADA.password.encode()
        files = [path for path in here.directory.rglob("*") if path.is_file()]
        assert [path for path in files if "snapshots" not in path.parts and secret in path.read_bytes()] == []


@pytest.mark.parametrize(("name", "why"), [("nothing", "manifest unknown"), ("chart", "is something else")])
def test_a_cache_that_is_not_to_be_had_is_a_warning(
    here: Cli, context: Path, registry: Running, name: str, why: str
) -> None:
    ref = f"{registry.domain}/kist/{name}:1"
    if name == "chart":
        with Registry(registry.domain) as opened:
            config = Descriptor("application/vnd.cncf.helm.config.v1+json", Digest.of(b"{}"), 2)
            repository = opened.repository(f"kist/{name}")
            repository.write_blob(config.digest, config.size, lambda: io.BytesIO(b"{}"))
            repository.write_manifest("1", Document(OCI_MANIFEST, encode(Manifest(2, OCI_MANIFEST, config, ()))))
    built = here(*BUILD, "--cache-from", f"type=registry,ref={ref}", str(context))
    assert built.returncode == 0, built.stderr
    assert re.search(f"no steps are taken from {ref}: .*{why}", built.stderr), built.stderr


def test_a_layer_that_is_another_one_is_not_taken(here: Cli, other: Cli, context: Path, tmp_path: Path) -> None:
    with debians(tmp_path / "registry") as registry:
        ref = f"{registry.domain}/kist/cache"
        here.good(*BUILD, "--cache-to", f"type=registry,ref={ref},mode=max,compression=uncompressed", str(context))
        large = max(registry.blobs.glob("*/*/data"), key=lambda path: path.stat().st_size)
        data = bytearray(large.read_bytes())
        data[-2000] ^= 1
        large.write_bytes(data)
        built = other(*BUILD, "--cache-from", f"type=registry,ref={ref}", str(context))
    assert built.returncode == 0, built.stderr
    assert f"no more steps are taken from {ref}" in built.stderr
    assert "does not match its digest" in built.stderr
    assert cached(built.stderr) == 5
    assert layers(other) != layers(here)
    other.good("system", "check")


def test_a_registry_that_is_not_there(here: Cli, context: Path, tmp_path: Path) -> None:
    with debians(tmp_path / "registry") as registry:
        ref = f"type=registry,ref={registry.domain}/kist/cache"
    failed = here(*BUILD, "--cache-from", ref, "--cache-to", ref, str(context))
    assert failed.returncode
    assert "connection refused" in failed.stderr
    assert "no steps are taken from" in failed.stderr
    built = here(*BUILD, "--cache-to", f"{ref},ignore-error=true", str(context))
    assert built.returncode == 0, built.stderr
    assert "warning: the build cache cannot be written to" in built.stderr


def test_ctrl_c_ends_what_is_sent(here: Cli, context: Path) -> None:
    sent, over = threading.Event(), threading.Event()

    def answer(asked: Asked) -> Told:
        if asked.method == "POST":
            return Told(202, headers={"Location": "/upload"})
        if asked.method == "PUT":
            sent.set()
            over.wait(60)
        return Told(404)

    with Server(answer) as server:
        to = f"type=registry,ref={server.domain}/kist/cache"
        command = [*here.command, *BUILD, "--cache-to", to, str(context)]
        with subprocess.Popen(command, env=here.environment, stderr=subprocess.PIPE, text=True) as build:
            assert sent.wait(60)
            build.send_signal(signal.SIGINT)
            said = build.communicate(timeout=30)[1]
        over.set()
    assert build.returncode == 130, said
    assert "CANCELED" in said
    here.good("build", "-q", "--no-lock", str(context))


@needs.LONG
def test_by_a_proxy_to_a_registry_that_asks_for_a_certificate(context: Path, tmp_path: Path) -> None:
    """The engine's own environment and home say how."""
    files = certificates.make(tmp_path / "tls", "registry.kist.test")
    with (
        encrypting(tmp_path / "registry", files, asks=True) as registry,
        a_proxy({"registry.kist.test": "127.0.0.1"}) as proxy,
    ):
        domain = f"registry.kist.test:{registry.domain.rpartition(':')[2]}"
        place = tmp_path / "home/.config/docker/certs.d" / domain
        place.mkdir(parents=True)
        for name, made in (("ca.crt", "ca.pem"), ("client.cert", "cert.pem"), ("client.key", "key.pem")):
            (place / name).symlink_to(files / made)
        own = {"HOME": str(tmp_path / "home"), "https_proxy": f"http://{proxy.domain}", "no_proxy": ""}
        with pytest.MonkeyPatch.context() as patch:
            for name, value in own.items():
                patch.setenv(name, value)
            (tmp_path / "one").mkdir()
            with a_cli(tmp_path / "one") as cli:
                give_busybox(cli)
                ref = f"type=registry,ref={domain}/kist/cache,mode=max"
                cli.good(*BUILD, "--cache-to", ref, str(context))
                before = layers(cli)
                again = forgetful(cli)(*BUILD, "--cache-from", ref.removesuffix(",mode=max"), str(context))
                assert cached(again.stderr) == 6, again.stderr
                assert layers(cli) == before
        assert {authority for authority, _ in proxy.asked} == {domain}


def test_in_scripts(here: Cli, context: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the engine's socket, and in the script's own process, with the logins of whoever runs the script."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    roots = {"data_root": str(here.directory / "data"), "run_root": str(here.directory / "run")}
    own = {"data_root": str(tmp_path / "data"), "run_root": str(tmp_path / "run")}
    with with_passwords(tmp_path / "registry") as registry:
        log_in(tmp_path / "docker", registry.domain, ADA.password)
        text = f"type=registry,ref={registry.domain}/kist/cache"
        with kist.Engine(**roots) as engine:
            engine.build(str(context), BuildOptions(tags=("made:1",), cache_to=(f"{text},mode=max",)))
        told: list[Event] = []
        with kist.Engine(local=True, **own) as engine:
            with open(here.directory / "busybox.tar", "rb") as source:
                engine.import_image(source, BUSYBOX, config=ContainerConfig(cmd=("sh",)))
            engine.build(str(context), BuildOptions(tags=("made:1",), cache_from=(text,)), progress=told.append)
        ends = [event for event in told if isinstance(event, StepFinished) and event.result]
        assert [event.cached for event in ends] == [True] * 6
    clean_up(tmp_path / "data")


@needs.IN_PROCESS
def test_others_than_the_engines_user_have_no_registry_asked(
    engine: Engine, busybox: str, context: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(engine.catalogue), "may_fetch", False)
    (context / "Dockerfile").write_text(f"FROM {busybox}\nLABEL a=b\n")
    with Server(lambda _: Told(404)) as server:
        text = f"type=registry,ref={server.domain}/kist/cache"
        for options in (BuildOptions(cache_from=(text,)), BuildOptions(cache_to=(text,))):
            told: list[Event] = []
            with pytest.raises(Forbidden, match="only the engine's own user"):
                build(engine, str(context), options, told.append)
            assert not [event for event in told if isinstance(event, StepStarted)]  # before anything is done
        assert server.asked == []
