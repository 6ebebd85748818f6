import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.errors import InvalidInput, Unsupported
from kist.spec.container import Caller, ContainerOptions, Resources
from kist.spec.docker.create import read_create, write_create
from kist.spec.mount import Mount

# What `docker run --rm -i -v /tmp:/x:ro --tmpfs /t:size=1m -m 100m busybox true` sends, version 20.10.
CLI_20 = (
    '{"Hostname":"","Domainname":"","User":"","AttachStdin":true,"AttachStdout":true,"AttachStderr":true,"Tty":false,'
    '"OpenStdin":true,"StdinOnce":true,"Env":null,"Cmd":["true"],"Image":"busybox","Volumes":{},"WorkingDir":"",'
    '"Entrypoint":null,"OnBuild":null,"Labels":{},"HostConfig":{"Binds":["/tmp:/x:ro"],"ContainerIDFile":"",'
    '"LogConfig":{"Type":"","Config":{}},"NetworkMode":"default","PortBindings":{},"RestartPolicy":{"Name":"no",'
    '"MaximumRetryCount":0},"AutoRemove":true,"VolumeDriver":"","VolumesFrom":null,"CapAdd":null,"CapDrop":null,'
    '"CgroupnsMode":"","Dns":[],"DnsOptions":[],"DnsSearch":[],"ExtraHosts":null,"GroupAdd":null,"IpcMode":"",'
    '"Cgroup":"","Links":null,"OomScoreAdj":0,"PidMode":"","Privileged":false,"PublishAllPorts":false,'
    '"ReadonlyRootfs":false,"SecurityOpt":null,"Tmpfs":{"/t":"size=1m"},"UTSMode":"","UsernsMode":"","ShmSize":0,'
    '"ConsoleSize":[0,0],"Isolation":"","CpuShares":0,"Memory":104857600,"NanoCpus":0,"CgroupParent":"",'
    '"BlkioWeight":0,"BlkioWeightDevice":[],"BlkioDeviceReadBps":null,"BlkioDeviceWriteBps":null,'
    '"BlkioDeviceReadIOps":null,"BlkioDeviceWriteIOps":null,"CpuPeriod":0,"CpuQuota":0,"CpuRealtimePeriod":0,'
    '"CpuRealtimeRuntime":0,"CpusetCpus":"","CpusetMems":"","Devices":[],"DeviceCgroupRules":null,'
    '"DeviceRequests":null,"KernelMemory":0,"KernelMemoryTCP":0,"MemoryReservation":0,"MemorySwap":0,'
    '"MemorySwappiness":-1,"OomKillDisable":false,"PidsLimit":0,"Ulimits":null,"CpuCount":0,"CpuPercent":0,'
    '"IOMaximumIOps":0,"IOMaximumBandwidth":0,"MaskedPaths":null,"ReadonlyPaths":null},'
    '"NetworkingConfig":{"EndpointsConfig":{}}}'
)
# What `docker create -it --mount type=bind,src=/tmp,dst=/m --mount type=tmpfs,dst=/y,tmpfs-size=100 --cpus 1.5
# --pids-limit 5 --init busybox` sends, version 28.2.
CLI_28 = (
    '{"Hostname":"","Domainname":"","User":"","AttachStdin":true,"AttachStdout":true,"AttachStderr":true,"Tty":true,'
    '"OpenStdin":true,"StdinOnce":true,"Env":null,"Cmd":null,"Image":"busybox","Volumes":{},"WorkingDir":"",'
    '"Entrypoint":null,"OnBuild":null,"Labels":{},"HostConfig":{"Binds":null,"ContainerIDFile":"",'
    '"LogConfig":{"Type":"","Config":{}},"NetworkMode":"default","PortBindings":{},"RestartPolicy":{"Name":"no",'
    '"MaximumRetryCount":0},"AutoRemove":false,"VolumeDriver":"","VolumesFrom":null,"ConsoleSize":[0,0],'
    '"CapAdd":null,"CapDrop":null,"CgroupnsMode":"","Dns":[],"DnsOptions":[],"DnsSearch":[],"ExtraHosts":null,'
    '"GroupAdd":null,"IpcMode":"","Cgroup":"","Links":null,"OomScoreAdj":0,"PidMode":"","Privileged":false,'
    '"PublishAllPorts":false,"ReadonlyRootfs":false,"SecurityOpt":null,"UTSMode":"","UsernsMode":"","ShmSize":0,'
    '"Isolation":"","CpuShares":0,"Memory":0,"NanoCpus":1500000000,"CgroupParent":"","BlkioWeight":0,'
    '"BlkioWeightDevice":[],"BlkioDeviceReadBps":[],"BlkioDeviceWriteBps":[],"BlkioDeviceReadIOps":[],'
    '"BlkioDeviceWriteIOps":[],"CpuPeriod":0,"CpuQuota":0,"CpuRealtimePeriod":0,"CpuRealtimeRuntime":0,'
    '"CpusetCpus":"","CpusetMems":"","Devices":[],"DeviceCgroupRules":null,"DeviceRequests":null,'
    '"MemoryReservation":0,"MemorySwap":0,"MemorySwappiness":-1,"OomKillDisable":false,"PidsLimit":5,"Ulimits":[],'
    '"CpuCount":0,"CpuPercent":0,"IOMaximumIOps":0,"IOMaximumBandwidth":0,"Mounts":[{"Type":"bind","Source":"/tmp",'
    '"Target":"/m"},{"Type":"tmpfs","Target":"/y","TmpfsOptions":{"SizeBytes":100}}],"MaskedPaths":null,'
    '"ReadonlyPaths":null,"Init":true},"NetworkingConfig":{"EndpointsConfig":{"default":{"IPAMConfig":null,'
    '"Links":null,"Aliases":null,"MacAddress":"","DriverOpts":null,"GwPriority":0,"NetworkID":"","EndpointID":"",'
    '"Gateway":"","IPAddress":"","IPPrefixLen":0,"IPv6Gateway":"","GlobalIPv6Address":"","GlobalIPv6PrefixLen":0,'
    '"DNSNames":null}}}}'
)


def body(host: dict[str, object] | None = None, **fields: object) -> dict[str, object]:
    return {"Image": "busybox", "HostConfig": host or {}, **fields}


def test_what_docker_20_sends_is_understood_whole():
    assert read_create(json.loads(CLI_20), "web") == ContainerOptions(
        image="busybox",
        name="web",
        command=("true",),
        mounts=(Mount.tmpfs("/t", "size=1m"), Mount.bind("/tmp", "/x", read_only=True)),
        resources=Resources(memory=100 << 20),
        open_stdin=True,
        stdin_once=True,
        auto_remove=True,
    )


def test_what_docker_28_sends_is_understood_whole():
    assert read_create(json.loads(CLI_28)) == ContainerOptions(
        image="busybox",
        mounts=(Mount.bind("/tmp", "/m"), Mount.tmpfs("/y", "size=100")),
        resources=Resources(nano_cpus=1_500_000_000, pids=5),
        tty=True,
        open_stdin=True,
        stdin_once=True,
        init=True,
    )


@pytest.mark.parametrize(
    ("host", "named"),
    [
        ({"Privileged": True}, "HostConfig.Privileged"),
        ({"Devices": [{"PathOnHost": "/dev/fuse"}]}, "HostConfig.Devices"),
        ({"PortBindings": {"80/tcp": [{"HostPort": ""}]}}, "80/tcp"),
        ({"PublishAllPorts": True}, "HostConfig.PublishAllPorts"),
        ({"RestartPolicy": {"Name": "always"}}, "HostConfig.RestartPolicy"),
        ({"NetworkMode": "container:x"}, "HostConfig.NetworkMode"),
        ({"NetworkMode": "mynet"}, "mynet"),
        ({"SecurityOpt": ["no-new-privileges"]}, "HostConfig.SecurityOpt"),
        ({"CpuShares": 512}, "HostConfig.CpuShares"),
        ({"MemorySwap": -1}, "HostConfig.MemorySwap"),
        ({"PidMode": "host"}, "HostConfig.PidMode"),
        ({"IpcMode": "host"}, "HostConfig.IpcMode"),
        ({"CgroupnsMode": "host"}, "HostConfig.CgroupnsMode"),
        ({"MaskedPaths": []}, "HostConfig.MaskedPaths"),
        ({"ReadonlyPaths": []}, "HostConfig.ReadonlyPaths"),
        ({"ExtraHosts": ["a:1.2.3.4"]}, "HostConfig.ExtraHosts"),
        ({"Ulimits": [{"Name": "nofile"}]}, "HostConfig.Ulimits"),
        ({"LogConfig": {"Type": "syslog"}}, "syslog"),
        ({"FromTheFuture": 1}, "HostConfig.FromTheFuture"),
        ({"Mounts": [{"Type": "npipe", "Target": "/x"}]}, "npipe"),
        (
            {"Mounts": [{"Type": "bind", "Source": "/a", "Target": "/x", "BindOptions": {"NonRecursive": True}}]},
            "NonRec",
        ),
    ],
)
def test_a_setting_that_would_change_behaviour_is_refused_by_its_name(host: dict[str, object], named: str):
    with pytest.raises(Unsupported, match="not supported") as caught:
        read_create(body(host))
    assert named in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"Domainname": "example.org"}, "Domainname"),
        ({"MacAddress": "02:42:ac:12:05:02"}, "MacAddress"),
        ({"Healthcheck": {"Test": ["CMD", "true"]}}, "Healthcheck"),
        ({"NetworkingConfig": {"EndpointsConfig": {"other": {}}}}, "other"),
        ({"NetworkingConfig": {"EndpointsConfig": {"bridge": {"Aliases": ["db"]}}}}, "Aliases"),
    ],
)
def test_a_field_outside_host_config_is_refused_by_its_name_too(fields: dict[str, object], named: str):
    with pytest.raises(Unsupported) as caught:
        read_create(body(**fields))
    assert named in caught.value.message


@pytest.mark.parametrize(
    "fields",
    [
        {"Healthcheck": {"Test": ["NONE"]}},
        {"NetworkingConfig": None},
        {"NetworkingConfig": {"EndpointsConfig": {"bridge": {"Aliases": None}}}},
        {"ExposedPorts": {"80/tcp": {}}},
    ],
)
def test_what_asks_for_nothing_is_accepted(fields: dict[str, object]):
    assert read_create(body(**fields)) == ContainerOptions(image="busybox")


@pytest.mark.parametrize(
    ("changed", "part"),
    [
        ({"Image": ""}, "no image"),
        ({"Image": 7}, "Image must be a string"),
        ({"Env": "A=1"}, "Env must be an array"),
        ({"Env": [1]}, "Env must hold strings"),
        ({"Cmd": {"a": 1}}, "Cmd must be an array"),
        ({"Tty": "yes"}, "Tty must be a boolean"),
        ({"Labels": {"a": 1}}, "Labels must hold strings"),
        ({"HostConfig": []}, "HostConfig must be an object"),
        ({"HostConfig": {"Memory": "1g"}}, "Memory must be an integer"),
        ({"HostConfig": {"Memory": True}}, "Memory must be an integer"),
        ({"HostConfig": {"Memory": 1000}}, "Minimum memory"),
        ({"HostConfig": {"NanoCpus": -1}}, "NanoCpus"),
        ({"HostConfig": {"ShmSize": -1}}, "SHM size"),
        ({"HostConfig": {"Binds": ["./a:/b"]}}, "absolute"),
        ({"HostConfig": {"Binds": ["/a:/b", "/c:/b"]}}, "Duplicate mount point: /b"),
        ({"HostConfig": {"Mounts": ["/a"]}}, "Mounts must hold objects"),
        ({"HostConfig": {"Mounts": [{"Type": "bind", "Source": "a", "Target": "/b"}]}}, "must be absolute"),
        ({"HostConfig": {"RestartPolicy": {"Name": "sometimes"}}}, "unknown policy"),
        ({"KistCaller": {"uid": "x"}}, "KistCaller"),
    ],
)
def test_a_wrong_type_or_value_is_named(changed: dict[str, object], part: str):
    with pytest.raises(InvalidInput) as caught:
        read_create(body() | changed)
    assert part in caught.value.message


@pytest.mark.parametrize(("name", "kept"), [("", ""), ("/web", "web"), ("a.b-c_d", "a.b-c_d")])
def test_a_name_may_have_dockers_slash(name: str, kept: str):
    assert read_create(body(), name).name == kept


@pytest.mark.parametrize("name", ["/", "-a", "a b", "a/b", "ä", "//a"])
def test_a_name_that_no_container_can_have_is_refused(name: str):
    with pytest.raises(InvalidInput, match="Invalid container name"):
        read_create(body(), name)


@pytest.mark.parametrize(
    ("written", "meant"), [(None, None), ([], ()), ([""], ()), ("", ()), ("sh", ("sh",)), (["sh", "-c"], ("sh", "-c"))]
)
def test_entrypoint_none_is_the_images_and_an_empty_one_clears_it(written: object, meant: tuple[str, ...] | None):
    assert read_create(body(Entrypoint=written)).entrypoint == meant


def test_volumes_of_the_body_are_anonymous_volumes_unless_a_mount_has_their_target():
    options = read_create(body({"Binds": ["/src:/data"]}, Volumes={"/data": {}, "/cache": {}}))
    assert options.mounts == (Mount("volume", "", "/cache"), Mount.bind("/src", "/data"))


def test_mounts_come_parents_first_whatever_their_spelling():
    host = {"Binds": ["/src:/a/b", "/src:/a-b"], "Tmpfs": {"/a": ""}, "Mounts": [{"Type": "tmpfs", "Target": "/a/b/c"}]}
    assert [mount.target for mount in read_create(body(host)).mounts] == ["/a", "/a/b", "/a/b/c", "/a-b"]


def test_network_disabled_is_the_network_mode_none():
    assert read_create(body(NetworkDisabled=True)).network == "none"


words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
names = st.from_regex(r"\A[a-zA-Z0-9][a-zA-Z0-9_.-]{0,20}\Z")
paths = st.from_regex(r"\A(/[a-z0-9 ._-]{1,8}x){1,3}\Z")
commands = st.lists(words, min_size=1, max_size=4).map(tuple)
flags = st.sets(st.sampled_from(["ro", "z", "rshared"]), max_size=2).map(sorted).map(tuple)
mounts = st.one_of(
    st.builds(Mount, st.just("bind"), paths, paths, flags),
    st.builds(Mount, st.just("volume"), names.filter(lambda name: "." not in name[:1]), paths, flags),
    st.builds(Mount, st.just("volume"), st.just(""), paths, st.sampled_from([(), ("ro",)])),
    st.builds(Mount.tmpfs, paths, st.sampled_from(["size=64m", "mode=1777"])),
)
options = st.builds(
    ContainerOptions,
    image=words.filter(bool),
    name=names,
    command=st.none() | commands,
    entrypoint=st.none() | st.just(()) | commands.filter(lambda words: words != ("",)),
    env=st.lists(words, max_size=3).map(tuple),
    working_dir=words,
    user=words,
    hostname=words,
    mounts=st.lists(mounts, max_size=4, unique_by=lambda mount: mount.target).map(
        lambda found: tuple(sorted(found, key=lambda mount: mount.target.split("/")))
    ),
    network=st.sampled_from(["bridge", "host", "none"]),
    resources=st.builds(
        Resources,
        memory=st.just(0) | st.integers(6 << 20, 1 << 50),
        nano_cpus=st.integers(0, 10**12),
        pids=st.integers(0, 4_000_000),
        shm_size=st.integers(1, 1 << 40),
    ),
    cap_add=st.lists(words, max_size=2).map(tuple),
    cap_drop=st.lists(words, max_size=2).map(tuple),
    read_only=st.booleans(),
    init=st.booleans(),
    tty=st.booleans(),
    open_stdin=st.booleans(),
    stdin_once=st.booleans(),
    auto_remove=st.booleans(),
    labels=st.dictionaries(words, words, max_size=3),
    stop_signal=words,
    stop_timeout=st.integers(-1, 1 << 31),
    caller=st.none() | st.builds(Caller, st.integers(0, 1 << 31), st.just(1), st.just((1, 2)), words, words),
)


@given(options)
def test_options_survive_the_way_through_dockers_json(given_options: ContainerOptions):
    sent = json.loads(json.dumps(write_create(given_options)))
    assert read_create(sent, given_options.name) == given_options
