"""Names and addresses: hosts, resolv.conf, fixed addresses and links in real containers."""

import contextlib
import fcntl
import os
from collections.abc import Iterator

import pytest

from harness import BUSYBOX, Cli
from kist.engine import Engine
from kist.errors import Conflict, InvalidInput
from kist.spec.container import Container, ContainerOptions, ExecOptions
from kist.spec.networking import Endpoint, Networking


@contextlib.contextmanager
def started(engine: Engine, image: str, name: str, **options: object) -> Iterator[Container]:
    made = engine.create(ContainerOptions(image=image, name=name, command=("sleep", "60"), **options))  # type: ignore[arg-type]
    try:
        engine.start(made)
        yield engine.container(made)
    finally:
        engine.remove(made, force=True)


def shell(engine: Engine, container: Container, script: str) -> str:
    return engine.exec(container, ExecOptions(command=("sh", "-c", script))).stdout


def test_the_files_say_what_was_asked_for(engine: Engine, busybox: str):
    asked = Networking(
        dns=("192.0.2.53",),
        dns_search=("example.org",),
        dns_options=("ndots:3",),
        extra_hosts=("db:192.0.2.9", "up:host-gateway"),
    )
    with started(engine, busybox, "asked", networking=asked, hostname="web", domainname="example.org") as container:
        resolv = shell(engine, container, "cat /etc/resolv.conf")
        hosts = shell(engine, container, "cat /etc/hosts").splitlines()
        attached = container.networks[0]
    assert resolv == "nameserver 127.0.0.11\nsearch example.org\noptions ndots:3\n"
    assert "192.0.2.9\tdb" in hosts
    assert f"{attached.host or attached.gateway}\tup" in hosts
    assert f"{attached.address.partition('/')[0]}\tweb.example.org web" in hosts


def test_a_fixed_address_and_hardware_address(engine: Engine, busybox: str):
    with started(engine, busybox, "first") as first:
        own = first.networks[0].address.partition("/")[0]
        head = own.rpartition(".")[0]
        fixed = Networking(endpoints=(Endpoint("bridge", ip=f"{head}.77", mac="02:42:ac:11:00:77"),))
        with started(engine, busybox, "fixed", networking=fixed) as container:
            shown = shell(engine, container, "cat /sys/class/net/eth0/address; ip -4 addr show eth0")
            assert container.networks[0].address.startswith(f"{head}.77/")
            assert container.networks[0].mac == "02:42:ac:11:00:77"
            assert shell(engine, first, f"ping -c 1 -W 3 {head}.77 >/dev/null && echo reached") == "reached\n"
            taken = engine.create(ContainerOptions(image=busybox, command=("true",), networking=fixed))
            try:
                with pytest.raises(Conflict, match="already in use"):
                    engine.start(taken)
            finally:
                engine.remove(taken)
    assert "02:42:ac:11:00:77" in shown
    assert f"{head}.77/" in shown


def test_a_link_gives_name_and_environment_and_follows_a_restart(engine: Engine, busybox: str):
    exposed = Networking(exposed_ports=("5432/tcp",))
    linking = Networking(links=("postgres:db",))
    with (
        started(engine, busybox, "postgres", networking=exposed, env=("PGDATA=/data",)) as database,
        started(engine, busybox, "linked", networking=linking) as container,
    ):
        address = database.networks[0].address.partition("/")[0]
        env = shell(engine, container, "env")
        assert f"DB_PORT_5432_TCP_ADDR={address}\n" in env
        assert "DB_ENV_PGDATA=/data\n" in env
        assert shell(engine, container, "ping -c 1 -W 3 db >/dev/null && echo reached") == "reached\n"
        # Somebody else gets the address in between.
        engine.stop(database, timeout=0)
        with started(engine, busybox, "between"):
            engine.start(database)
            moved = engine.container(database).networks[0].address.partition("/")[0]
            assert moved != address
            assert f"{moved}\tdb " in shell(engine, container, "cat /etc/hosts")


def test_who_waits_for_an_end_hears_of_it_while_another_engine_is_at_work_on_the_container(small: Cli):
    name = small.good("run", "-d", BUSYBOX, "sleep", "1000")
    held = os.open(small.directory / "data" / "containers" / name, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        small.good("stop", "-t", "0", name)
        assert small.good("wait", name) == "137"
    finally:
        os.close(held)
    small.good("start", name)
    small.good("rm", "-f", name)


def test_a_link_to_nobody_and_to_a_stopped_one(engine: Engine, busybox: str):
    with pytest.raises(InvalidInput, match="nosuch"):
        engine.create(ContainerOptions(image=busybox, networking=Networking(links=("nosuch:db",))))
    stopped = engine.create(ContainerOptions(image=busybox, name="stopped", command=("true",)))
    linking = engine.create(
        ContainerOptions(image=busybox, command=("true",), networking=Networking(links=("stopped",)))
    )
    try:
        with pytest.raises(Conflict, match="Cannot link to a non running container: /stopped AS stopped"):
            engine.start(linking)
    finally:
        engine.remove(linking)
        engine.remove(stopped)
