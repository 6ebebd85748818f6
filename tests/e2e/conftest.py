"""Engines for the tests that start real containers."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from callers import Caller
from harness import Cli, a_cli, an_engine, give_busybox, import_busybox
from kist.client.client import Client
from kist.client.endpoint import Endpoint
from kist.engine import Engine
from kist.spec.container import ContainerOptions
from rootless_user import User, made


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """One engine in this process, shared by the session's tests."""
    with an_engine(tmp_path_factory.mktemp("engine")) as made:
        yield made


@pytest.fixture(scope="session")
def busybox(engine: Engine) -> str:
    """The reference of the small image in ``engine``."""
    return import_busybox(engine)


@pytest.fixture(scope="session")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """One command line for the session, with the small image in its engine."""
    yield from _with_the_small_image(tmp_path_factory.mktemp("cli"))


@pytest.fixture
def volumes(cli: Cli) -> Iterator[Cli]:
    """The session's command line; containers and volumes are gone at the test's end."""
    yield cli
    for container in cli.good("ps", "-aq").split():
        cli("rm", "-f", "-v", container)
    for name in cli.good("volume", "ls", "-q").split():
        cli("volume", "rm", name)


@pytest.fixture
def client(cli: Cli) -> Iterator[Client]:
    """The library's engine object on the engine of ``cli``."""
    roots = (str(cli.directory / "data"), str(cli.directory / "run"))
    with Client(Endpoint(f"{roots[1]}/engine.sock", roots)) as made:
        yield made


@pytest.fixture
def fresh_cli(tmp_path: Path) -> Iterator[Cli]:
    """A command line on a root that no other test uses."""
    with a_cli(tmp_path) as made:
        yield made


@pytest.fixture
def small(fresh_cli: Cli) -> Cli:
    """A fresh root with the small image."""
    give_busybox(fresh_cli)
    return fresh_cli


@pytest.fixture(scope="module")
def own_cli(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """A command line for the tests of one file, with the small image in its engine."""
    yield from _with_the_small_image(tmp_path_factory.mktemp("own"))


def _with_the_small_image(directory: Path) -> Iterator[Cli]:
    with a_cli(directory) as made:
        give_busybox(made)
        yield made


@pytest.fixture
def swept(own_cli: Cli) -> Cli:
    """The same, with an engine that runs and no container: for tests that leave images, networks and volumes alone.

    Their processes may be killed. It is a tenth of the work that ``small`` is.
    """
    left = own_cli.good("ps", "-aq", "--no-trunc").split()
    if left:
        own_cli.good("rm", "-f", *left)
    return own_cli


@pytest.fixture
def run(engine: Engine, busybox: str) -> Callable[..., tuple[int, str, str]]:
    """Run a shell script in a new container: exit code, standard output, standard error."""

    def run_script(script: str, **options: object) -> tuple[int, str, str]:
        made = ContainerOptions(image=busybox, network="none", **options)  # type: ignore[arg-type]
        result = engine.run(busybox, ["sh", "-c", script], options=made, check=False)
        return result.exit_code, result.stdout, result.stderr

    return run_script


@pytest.fixture(scope="session")
def users(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], User]]:
    """One user of each kind for the session."""
    with contextlib.ExitStack() as stack:
        known: dict[str, User] = {}

        def get(kind: str) -> User:
            if kind not in known:
                directory = tmp_path_factory.mktemp(kind)
                known[kind] = stack.enter_context(made(directory, range_=kind == "range"))
            return known[kind]

        yield get


@pytest.fixture
def user(request: pytest.FixtureRequest, users: Callable[[str], User]) -> User:
    """The one of the kind that the test is parametrised with."""
    return users(request.param)


@pytest.fixture(scope="session")
def callers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Caller]]:
    """One of each kind for the session, with containers of their own, and without an engine that runs."""
    with contextlib.ExitStack() as stack:
        known: dict[str, Caller] = {}

        def ordinary(kind: str) -> Caller:
            user: User = stack.enter_context(made(tmp_path_factory.mktemp(kind), range_=kind == "range"))
            return Caller(
                user.who.command, user.who.environment | {"KIST_RUN": str(user.run_root)}, user.run_root, user.who.home
            )

        def root() -> Caller:
            cli = stack.enter_context(a_cli(tmp_path_factory.mktemp("callers")))
            give_busybox(cli)
            return Caller([], cli.environment, cli.directory / "run", cli.directory)

        def get(kind: str) -> Caller:
            if kind not in known:
                known[kind] = root() if kind == "root" else ordinary(kind)
            return known[kind]

        yield get


@pytest.fixture
def caller(request: pytest.FixtureRequest, callers: Callable[[str], Caller]) -> Caller:
    found = callers(request.param)
    if found.engine_runs():
        found.stop_engine()
    return found
