"""Log drivers and options: what is right is planned, what is wrong is named with what is allowed."""

from pathlib import Path

import pytest

from kist.engine import logconfig, settings
from kist.engine.port_paths import PortSettings
from kist.errors import InvalidInput, Unavailable
from kist.runtime.plan import LOG_BYTES, LOG_FILES, Log
from kist.runtime.syslog import Syslog
from kist.spec import roots
from kist.spec.container import Container, ContainerOptions, LogConfig
from kist.spec.digest import Digest
from kist.spec.image import ContainerConfig


def container(driver: str = "", **options: str) -> Container:
    log = LogConfig(driver, {name.replace("_", "-"): value for name, value in options.items()})
    return Container(
        id="0123456789ab" + "c" * 52,
        name="web",
        image_id=Digest("sha256:" + "d" * 64),
        created_at=0,
        options=ContainerOptions(image="shop:2", log=log),
        config=ContainerConfig(
            labels={"tier": "db", "a.b": "x", "other": "y"}, env=("MODE=fast", "TOKEN=1=2", "PATH=/")
        ),
        argv=("serve", "--port", "80"),
    )


def resolve(host: str, port: int, transport: str) -> str:
    return f"{transport}:{host}:{port}"


@pytest.mark.parametrize(
    ("driver", "options", "expected"),
    [
        ("", {}, Log()),
        ("json-file", {}, Log(max_bytes=LOG_BYTES, max_files=LOG_FILES)),
        ("json-file", {"max_size": "10m"}, Log(max_bytes=10_000_000, max_files=1)),
        ("json-file", {"max_file": "3"}, Log(max_files=3)),
        ("json-file", {"max_size": "1.5k", "max_file": "2", "compress": "true"}, Log("container.log", 1500, 2, True)),
        ("local", {}, Log(max_bytes=20_000_000, max_files=5, compress=True)),
        ("local", {"compress": "false", "max_size": "1g"}, Log(max_bytes=10**9, max_files=5)),
        ("none", {"anything": "goes"}, None),
    ],
)
def test_files_are_planned(driver: str, options: dict[str, str], expected: Log | None) -> None:
    made = container(driver, **options)
    logconfig.check(made.options.log)
    assert logconfig.make_log(made) == expected


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("udp://logs.example", ("udp", "udp:logs.example:514", 514)),
        ("tcp://10.1.2.3:1514", ("tcp", "tcp:10.1.2.3:1514", 1514)),
        ("tcp://[::1]:1514", ("tcp", "tcp:::1:1514", 1514)),
        ("unix:///run/log.sock", ("unix", "/run/log.sock", 0)),
        ("unixgram:///dev/log", ("unixgram", "/dev/log", 0)),
    ],
)
def test_a_syslog_address_is_planned(address: str, expected: tuple[str, str, int]) -> None:
    made = container(
        "syslog", syslog_address=address, syslog_facility="local7", mode="non-blocking", max_buffer_size="2m"
    )
    logconfig.check(made.options.log)
    log = logconfig.make_log(made, resolve)
    assert log is not None
    assert log.forward is not None
    assert (log.forward["transport"], log.forward["address"], log.forward["port"]) == expected
    assert (log.forward["facility"], log.forward["tag"]) == (23, "0123456789ab")
    assert (log.forward["buffer"], log.forward["blocking"]) == (2 << 20, False)
    assert (log.max_bytes, log.max_files, log.compress) == (20_000_000, 5, True), "kept here, for kist logs"


def test_a_server_that_nobody_knows_stops_the_start() -> None:
    with pytest.raises(Unavailable, match=r"failed to initialize logging driver.*nobody\.invalid"):
        logconfig.make_log(container("syslog", syslog_address="tcp://nobody.invalid:5"))


def test_the_cache_is_as_its_options_say() -> None:
    log = logconfig.make_log(container("journald", cache_max_size="1m", cache_max_file="2", cache_compress="false"))
    assert log is not None
    assert (log.max_bytes, log.max_files, log.compress) == (1_000_000, 2, False)
    log = logconfig.make_log(container("journald", cache_disabled="true"))
    assert log is not None
    assert log.max_bytes == 0


@pytest.mark.parametrize(
    ("driver", "options", "message", "allowed"),
    [
        ("fluentd", {}, "no log driver named 'fluentd' is registered", "journald, json-file, local, none, syslog"),
        ("json-file", {"max-sise": "1m"}, "unknown log opt 'max-sise' for json-file log driver", "max-size"),
        ("local", {"syslog-address": "udp://x"}, "unknown log opt 'syslog-address' for local log driver", "max-size"),
        ("json-file", {"max-size": "big"}, "invalid value for log opt 'max-size': 'big'", "k, m or g"),
        ("json-file", {"max-size": "-1"}, "invalid value for log opt 'max-size': '-1'", "at least 1k"),
        ("json-file", {"max-size": "0"}, "invalid value for log opt 'max-size': '0'", "at least 1k"),
        ("json-file", {"max-file": "0"}, "invalid value for log opt 'max-file': '0'", "from 1 to"),
        ("json-file", {"compress": "maybe"}, "invalid value for log opt 'compress': 'maybe'", "true or false"),
        ("json-file", {"compress": "true", "max-size": "1m"}, "'compress' has no use with one file", "max-file"),
        ("json-file", {"mode": "fast"}, "logging mode not supported: fast", "blocking and non-blocking"),
        ("json-file", {"max-buffer-size": "1m"}, "max-buffer-size option is only supported with 'mode=non-bl", ""),
        ("json-file", {"labels-regex": "("}, "invalid value for log opt 'labels-regex': '('", "regular expression"),
        ("json-file", {"tag": "{{.Nane}}"}, "invalid value for log opt 'tag'", "{{.Name}}"),
        ("json-file", {"tag": "{{.Name"}, "a {{ is not closed", "{{.Name}}"),
        ("syslog", {"syslog-address": "logs:514"}, "invalid value for log opt 'syslog-address'", "tcp://HOST"),
        ("syslog", {"syslog-address": "http://logs"}, "invalid value for log opt 'syslog-address'", "tcp://HOST"),
        ("syslog", {"syslog-address": "tcp://logs:99999"}, "invalid value for log opt 'syslog-address'", "tcp://HOST"),
        ("syslog", {"syslog-address": "unix://dev/log"}, "invalid value for log opt 'syslog-address'", "absolute"),
        ("syslog", {"syslog-address": "tcp+tls://logs"}, "syslog over TLS is not supported", "on this machine"),
        ("syslog", {"syslog-tls-key": "/k"}, "syslog over TLS is not supported", "on this machine"),
        ("syslog", {"syslog-facility": "loud"}, "invalid value for log opt 'syslog-facility'", "local0"),
        ("syslog", {"syslog-facility": "24"}, "invalid value for log opt 'syslog-facility'", "0 to 23"),
        ("syslog", {"syslog-format": "rfc1"}, "invalid value for log opt 'syslog-format'", "rfc5424micro"),
        ("journald", {"cache-max-file": "x"}, "invalid value for log opt 'cache-max-file'", "from 1 to"),
    ],
)
def test_what_is_wrong_is_named(driver: str, options: dict[str, str], message: str, allowed: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        logconfig.check(LogConfig(driver, options))
    assert message in str(caught.value)
    assert allowed in caught.value.hint


def test_attributes_are_the_labels_and_variables_that_are_named() -> None:
    made = container(
        "json-file", labels="tier,absent", labels_regex=r"^a\.", env="TOKEN", env_regex="^MO", tag="{{.Name}}"
    )
    assert logconfig.attributes(made) == {"MODE": "fast", "TOKEN": "1=2", "a.b": "x", "tag": "web", "tier": "db"}
    assert logconfig.attributes(container("json-file")) == {}


def test_a_tag_is_expanded() -> None:
    text = "{{.Name}}/{{ .ID }} {{.FullID}} {{.ImageName}} {{.ImageID}} {{.ImageFullID}} {{.Command}} {{.DaemonName}}"
    log = logconfig.make_log(container("journald", tag=text))
    assert log is not None
    assert log.forward is not None
    short, full, image = "0123456789ab", "0123456789ab" + "c" * 52, "d" * 64
    expected = f"web/{short} {full} shop:2 {image[:12]} sha256:{image} serve --port 80 docker"
    assert log.forward["fields"]["CONTAINER_TAG"] == expected


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("", r"<30>Jan  1 00:00:00 tag[7]: "),
        ("rfc3164", r"<30>Jan  1 00:00:00 box tag[7]: "),
        ("rfc5424", r"<30>1 2026-01-01T00:00:00Z box tag 7 tag - "),
        ("rfc5424micro", r"<30>1 2026-01-01T00:00:00.000042Z box tag 7 tag - "),
    ],
)
def test_messages_of_syslog(form: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.localtime", __import__("time").gmtime)
    syslog = Syslog({"facility": 3, "tag": "tag", "hostname": "box", "format": form})
    assert syslog.head(30, 1767225600_000042000, 7) == expected


# settings


def test_the_default_driver_comes_from_the_settings(tmp_path: Path) -> None:
    assert settings.read("") == settings.read(f"{tmp_path}/none") == settings.Settings()
    path = f"{tmp_path}/engine.toml"
    with open(path, "w", encoding="utf-8") as file:
        file.write('[log]\ndriver = "local"\noptions = { max-size = "1m", max-file = "4" }\n')
    log = settings.read(path).log
    assert log == LogConfig("local", {"max-size": "1m", "max-file": "4"})
    assert logconfig.with_default(LogConfig(), log) == log
    assert logconfig.with_default(LogConfig("local", {"max-file": "9"}), log).options == {
        "max-size": "1m",
        "max-file": "9",
    }
    assert logconfig.with_default(LogConfig("none"), log) == LogConfig("none")


def test_where_and_how_ports_are_published(tmp_path: Path) -> None:
    path = tmp_path / "engine.toml"
    path.write_text('[ports]\npath = "user"\naddress = "127.0.0.1"\n', encoding="utf-8")
    assert settings.read(str(path)).ports == PortSettings("user", "127.0.0.1")
    assert settings.read("").ports == PortSettings("auto", "")


def test_which_subnets_networks_get_that_name_none(tmp_path: Path) -> None:
    path = tmp_path / "engine.toml"
    path.write_text('[networks]\npools = [{ base = "10.200.0.0/16", size = 24 }]\n', encoding="utf-8")
    assert settings.read(str(path)).pools == (("10.200.0.0/16", 24),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[log", "engine.toml"),
        ("[networks]\npool = 1\n", "it must be a table, which has: pools"),
        ("[networks]\npools = [{ base = '10.200.0.0/16' }]\n", "a pool has a base and a size"),
        ("[networks]\npools = [{ base = '10.200.0.0/16', size = 8 }]\n", "size 8 is no length of a prefix"),
        ("[networks]\npools = [{ base = 'fd00::/16', size = 24 }]\n", "size 24 is no length of a prefix"),
        ("[networks]\npools = [{ base = '10.200', size = 24 }]\n", "invalid subnet '10.200'"),
        ("[logs]\n", "there is no setting 'logs'"),
        ("log = 1\n", "it must be a table"),
        ("[log]\ndrivers = 1\n", "there is no setting 'drivers'"),
        ("[log]\ndriver = 1\n", "driver must be a string"),
        ("[log]\ndriver = 'splunk'\n", "no log driver named 'splunk'"),
        ("[log]\noptions = { max-file = 3 }\n", "the values of options must be strings"),
        ("group = 1\n", "group is a name"),
        ("[ports]\npath = 'fast'\n", "path is auto, kernel, user, not 'fast'"),
        ("[ports]\naddress = 'localhost'\n", "invalid address: localhost"),
        ("[ports]\nport = 1\n", "which has: path, address"),
        ("[log]\noptions = { max-file = '0' }\n", "invalid value for log opt 'max-file'"),
    ],
)
def test_settings_that_are_wrong_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = f"{tmp_path}/engine.toml"
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    with pytest.raises(InvalidInput) as caught:
        settings.read(path)
    assert message in str(caught.value)
    assert path in str(caught.value)


def test_where_settings_are() -> None:
    assert roots.config_file({}, 0) == "/etc/kist/engine.toml"
    assert roots.config_file({"KIST_CONFIG": "/x.toml"}, 0) == "/x.toml"
    assert roots.config_file({"HOME": "/home/u"}, 1000) == "/home/u/.config/kist/engine.toml"
    assert roots.config_file({"HOME": "/home/u", "XDG_CONFIG_HOME": "/c"}, 1000) == "/c/kist/engine.toml"
    assert roots.config_file({}, 1000) == ""
