"""Networks by the unmodified docker client, and by docker-py."""

from collections.abc import Iterator

import pytest

from .conftest import IMAGE, Docker, Server

pytestmark = pytest.mark.root("serves an engine in a process of its own making")

REACHES = "ping -c 1 -W 2 {} >/dev/null && echo yes"


@pytest.fixture
def lab(docker: Docker) -> Iterator[str]:
    made = docker.good("network", "create", "--subnet", "10.232.0.0/24", "--label", "team=survey", "lab").strip()
    assert len(made) == 64
    yield made
    for name in docker.good("ps", "-aq", "--filter", "network=lab").split():
        docker.good("rm", "-f", name)
    docker.good("network", "rm", "lab")


def test_networks_are_listed_and_inspected(docker: Docker, lab: str):
    assert lab[:12] in docker.good("network", "ls", "--filter", "label=team=survey", "--format", "{{.ID}} {{.Driver}}")
    shown = docker.good(
        "network", "inspect", "-f", "{{(index .IPAM.Config 0).Gateway}} {{.Scope}} {{.Internal}}", "lab"
    )
    assert shown == "10.232.0.1 local false\n"
    assert docker.good("network", "ls", "-q", "--filter", "type=builtin").count("\n") == 3
    assert b"already exists" in docker("network", "create", "lab").stderr
    assert b"nosuch" in docker("network", "inspect", "nosuch").stderr


@pytest.mark.usefixtures("lab")
def test_a_container_is_put_on_networks_and_taken_off(docker: Docker):
    docker.good("network", "create", "front")
    try:
        docker.good("run", "-d", "--name", "db", "--network", "lab", "--ip", "10.232.0.9", IMAGE, "sleep", "1000")
        docker.good("run", "-d", "--name", "web", "--network", "front", IMAGE, "sleep", "1000")
        assert docker("exec", "web", "sh", "-c", REACHES.format("10.232.0.9")).stdout == b""
        docker.good("network", "connect", "--ip", "10.232.0.7", "--alias", "www", "lab", "web")
        assert docker.good("exec", "web", "sh", "-c", REACHES.format("10.232.0.9")) == "yes\n"
        form = "{{range $name, $it := .NetworkSettings.Networks}}{{$name}} {{$it.IPAddress}} {{end}}"
        assert "lab 10.232.0.7 " in docker.good("inspect", "-f", form, "web")
        form = "{{range .Containers}}{{.Name}} {{.IPv4Address}},{{end}}"
        told = docker.good("network", "inspect", "-f", form, "lab").strip()
        assert set(told.split(",")) == {"db 10.232.0.9/24", "web 10.232.0.7/24", ""}
        assert b"has active endpoints" in docker("network", "rm", "front").stderr
        docker.good("network", "disconnect", "lab", "web")
        assert "lab" not in docker.good("inspect", "-f", "{{json .NetworkSettings.Networks}}", "web")
        assert b"is not connected" in docker("network", "disconnect", "lab", "web").stderr
        docker.good("rm", "-f", "web")
        assert docker.good("network", "prune", "-f") == "Deleted Networks:\nfront\n\n"
    finally:
        docker("rm", "-f", "web", "db")
        docker("network", "rm", "front")


def test_docker_py_makes_uses_and_removes_a_network(server: Server):
    docker = pytest.importorskip("docker")

    client = docker.DockerClient(base_url=server.host)
    try:
        pool = docker.types.IPAMPool(subnet="10.232.1.0/24", gateway="10.232.1.254")
        network = client.networks.create("py", ipam=docker.types.IPAMConfig(pool_configs=[pool]), labels={"a": "b"})
        try:
            container = client.containers.run(IMAGE, "sleep 1000", detach=True, network="py")
            try:
                network.reload()
                assert [each.id for each in network.containers] == [container.id]
                container.reload()
                assert container.attrs["NetworkSettings"]["Networks"]["py"]["Gateway"] == "10.232.1.254"
                network.disconnect(container)
                network.connect(container, aliases=["x"], ipv4_address="10.232.1.77")
                container.reload()
                assert container.attrs["NetworkSettings"]["Networks"]["py"]["IPAddress"] == "10.232.1.77"
                assert [each.name for each in client.networks.list(names=["py"])] == ["py"]
            finally:
                container.remove(force=True)
        finally:
            network.remove()
        assert client.networks.prune()["NetworksDeleted"] is None
    finally:
        client.close()
