"""testcontainers-python, unmodified: containers that a test-suite asks for.

Its reaper, Ryuk, is an image of a registry's, and off here. PostgreSQL, with an image that is built here of Debian's
packages, takes a minute or two: KIST_LONG_TESTS=1 runs it.
"""

import os
import socket
import struct
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import busybox_tar, until
from kist.spec.docker.progress import EVENTS_TYPE

from .conftest import Server, a_server, make_tar

pytestmark = [pytest.mark.root("serves an engine in a process of its own making"), pytest.mark.timeout(600)]
IMAGE = "testcontainers/small:1"


@pytest.fixture
def pointed(monkeypatch: pytest.MonkeyPatch, server: Server) -> Iterator[Server]:
    """What testcontainers reads of the environment says this engine, while the library is imported too."""
    _point(monkeypatch, server)
    server.good("POST", "/images/create?fromSrc=-&repo=testcontainers/small&tag=1&changes=CMD%20sh", raw=busybox_tar())
    yield server
    server.good("DELETE", f"/images/{IMAGE}?force=1")


def _point(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    monkeypatch.setenv("DOCKER_HOST", server.host)
    monkeypatch.setenv("TESTCONTAINERS_RYUK_DISABLED", "true")
    core: Any = pytest.importorskip("testcontainers.core.config")
    monkeypatch.setattr(core.testcontainers_config, "ryuk_disabled", True)


@pytest.mark.usefixtures("pointed")
def test_a_container_that_answers_on_its_port():
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy

    command = ["sh", "-c", "mkdir /w; echo $WHAT > /w/page; echo ready; exec httpd -f -h /w"]
    asked = DockerContainer(IMAGE).with_command(command).with_env("WHAT", "served").with_exposed_ports(80)
    with asked.waiting_for(LogMessageWaitStrategy("ready")) as made:
        address = f"http://{made.get_container_host_ip()}:{made.get_exposed_port(80)}/page"
        with urllib.request.urlopen(address, timeout=20) as answer:
            assert answer.read() == b"served\n"
        # docker-py, which it stands on, may lose what a quick command says (test_docker_py.py).
        until(lambda: made.exec(["cat", "/w/page"]).output == b"served\n")
        assert made.get_logs()[0] == b"ready\n"


ENTRY = """#!/bin/sh
# What testcontainers expects of an image of PostgreSQL: a cluster is made at the first start, of the variables' names.
set -e
bin=$(echo /usr/lib/postgresql/*/bin)
data=/var/lib/postgresql/data
if [ ! -s "$data/PG_VERSION" ]; then
    echo "$POSTGRES_PASSWORD" > /tmp/password
    "$bin/initdb" -D "$data" -U "$POSTGRES_USER" --pwfile=/tmp/password -A scram-sha-256 > /dev/null
    echo "host all all all scram-sha-256" >> "$data/pg_hba.conf"
    rm /tmp/password
    "$bin/pg_ctl" -D "$data" -o "-c listen_addresses=''" -w start > /dev/null
    PGPASSWORD=$POSTGRES_PASSWORD "$bin/createdb" -U "$POSTGRES_USER" "$POSTGRES_DB"
    "$bin/pg_ctl" -D "$data" -w stop > /dev/null
fi
exec "$bin/postgres" -D "$data" -c listen_addresses='*'
"""
DOCKERFILE = """
FROM debian:bookworm
COPY --chmod=755 entry /entry
RUN mkdir -p /run/postgresql /var/lib/postgresql/data && chown -R postgres: /run/postgresql /var/lib/postgresql
USER postgres
EXPOSE 5432
ENTRYPOINT ["/entry"]
"""


@pytest.fixture
def postgres_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    """An engine of its own with an image of PostgreSQL, from Debian's packages."""
    if "KIST_LONG_TESTS" not in os.environ:
        pytest.skip("bootstraps Debian with PostgreSQL: KIST_LONG_TESTS=1 runs it")
    with a_server(tmp_path) as made:
        _point(monkeypatch, made)
        body = {"distribution": "debian:12", "include": ["postgresql"]}
        told = made.ask("POST", "/kist/bootstrap", body, {"Accept": EVENTS_TYPE})
        assert told.lines[-1]["type"] == "finished", told.body[-2000:]
        context = make_tar({"Dockerfile": DOCKERFILE.encode(), "entry": ENTRY.encode()})
        told = made.ask("POST", "/build?t=postgres:test", raw=context)
        assert b"Successfully tagged postgres:test" in told.body, told.body
        yield made


@pytest.mark.usefixtures("postgres_server")
def test_postgresql_answers_queries_and_on_its_port():
    from testcontainers.community.postgres import PostgresContainer

    with PostgresContainer("postgres:test", username="me", password="secret", dbname="survey") as made:
        query = "create table found(n int); insert into found values (41), (1); select sum(n) from found"
        words = ["psql", "-h", "127.0.0.1", "-U", "me", "-d", "survey", "-At", "-c", query]
        done = made.get_wrapped_container().exec_run(words, environment={"PGPASSWORD": "secret"})
        assert (done.exit_code, done.output.split()[-1]) == (0, b"42"), done
        address = (made.get_container_host_ip(), int(made.get_exposed_port(5432)))
        with socket.create_connection(address, timeout=20) as connection:
            connection.sendall(struct.pack("!ii", 8, 80877103))  # SSLRequest (PostgreSQL, section 55.7)
            assert connection.recv(1) in {b"S", b"N"}
