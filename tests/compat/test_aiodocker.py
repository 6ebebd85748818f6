"""aiodocker, unmodified: many containers from one event loop."""

import asyncio
import io
import time
from typing import Any

import aiodocker
import pytest

from .conftest import IMAGE, Server, make_tar

pytestmark = pytest.mark.root("serves an engine in a process of its own making")


def _config(*command: str, **fields: Any) -> dict[str, Any]:
    return {"Image": IMAGE, "Cmd": list(command), "HostConfig": {"NetworkMode": "none"}} | fields


def _with_client(server: Server, use: Any) -> Any:
    async def run() -> Any:
        async with aiodocker.Docker(url=server.host) as client:
            return await use(client)

    return asyncio.run(run())


def test_containers_side_by_side(server: Server):
    async def one(client: aiodocker.Docker, number: int) -> tuple[int, str]:
        made = await client.containers.create(_config("sh", "-c", f"echo {number}; exit {number}"))
        try:
            await made.start()
            code = (await made.wait())["StatusCode"]
            return code, "".join(await made.log(stdout=True, stderr=True))
        finally:
            await made.delete(force=True)

    async def use(client: aiodocker.Docker) -> Any:
        assert (await client.version())["Os"] == "linux"
        return await asyncio.gather(*(one(client, number) for number in range(5)))

    assert _with_client(server, use) == [(number, f"{number}\n") for number in range(5)]


def test_exec_attach_files_and_logs_as_they_come(server: Server):
    async def use(client: aiodocker.Docker) -> None:
        made = await client.containers.run(_config("sh", "-c", "echo begun; sleep 1000"))
        try:
            async for line in made.log(stdout=True, follow=True):
                assert line == "begun\n"
                break
            execution = await made.exec(["sh", "-c", "read word; echo got $word; exit 3"], stdin=True)
            async with execution.start(detach=False) as stream:
                await stream.write_in(b"words\n")
                told = await stream.read_out()
                assert told is not None
                assert (told.stream, told.data) == (1, b"got words\n")
                assert await stream.read_out() is None
            assert (await execution.inspect())["ExitCode"] == 3
            await made.put_archive("/", make_tar({"file": b"content"}))
            with await made.get_archive("/file") as archive:
                member = archive.extractfile("file")
                assert member is not None
                assert member.read() == b"content"
            assert (await made.stats(stream=False))[0]["pids_stats"]["current"] == 1
            assert (await made.show())["State"]["Running"]
        finally:
            await made.delete(force=True)

    _with_client(server, use)


def test_events_are_published(server: Server):
    async def use(client: aiodocker.Docker) -> list[str]:
        subscriber = client.events.subscribe(since=int(time.time()))
        made = await client.containers.create(_config("true"))
        await made.start()
        await made.wait()
        await made.delete(force=True)
        heard: list[str] = []
        while "destroy" not in heard:
            event = await asyncio.wait_for(subscriber.get(), 20)
            assert event is not None
            if event["Type"] == "container" and event["Actor"]["ID"] == made.id:
                heard.append(event["Action"])
        return heard

    assert _with_client(server, use) == ["create", "start", "die", "destroy"]


def test_an_image_is_built_and_removed(server: Server):
    async def use(client: aiodocker.Docker) -> None:
        context = io.BytesIO(make_tar({"Dockerfile": f"FROM {IMAGE}\nCOPY file /\n".encode(), "file": b"x"}))
        told = await client.images.build(fileobj=context, encoding="identity", tag="aio:1")
        assert any("Successfully tagged aio:1" in line.get("stream", "") for line in told)
        assert (await client.images.inspect("aio:1"))["RepoTags"] == ["aio:1"]
        await client.images.delete("aio:1")
        with pytest.raises(aiodocker.DockerError) as failed:
            await client.images.inspect("aio:1")
        assert failed.value.status == 404

    _with_client(server, use)


def test_volumes_and_networks(server: Server):
    async def use(client: aiodocker.Docker) -> None:
        volume = await client.volumes.create({"Name": "aio-volume"})
        assert (await volume.show())["Name"] == "aio-volume"
        await volume.delete()
        network = await client.networks.create({"Name": "aio-network"})
        assert (await network.show())["Name"] == "aio-network"
        await network.delete()

    _with_client(server, use)
