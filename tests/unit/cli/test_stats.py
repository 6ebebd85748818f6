"""``kist stats``: from the engine's numbers to what is shown."""

from typing import Any

import pytest

from kist.cli.listing import View
from kist.cli.nouns.stats import STATS, cpu_percent, memory_percent, memory_used

IDLE: dict[str, Any] = {"cpu_usage": {"total_usage": 0}}


def row(**parts: Any) -> dict[str, Any]:
    base = {
        "id": "0123456789abcdef", "name": "/web", "cpu_stats": IDLE, "precpu_stats": IDLE, "memory_stats": {},
        "blkio_stats": {"io_service_bytes_recursive": None}, "pids_stats": {},
    }  # fmt: skip
    return base | parts


def cpu(used: int, machine: int, cpus: int = 2) -> dict[str, Any]:
    return {"cpu_usage": {"total_usage": used}, "system_cpu_usage": machine, "online_cpus": cpus}


@pytest.mark.parametrize(
    ("before", "now", "percent"),
    [
        (cpu(100, 1000), cpu(200, 1200), 100.0),
        (cpu(100, 1000), cpu(100, 1200), 0.0),
        (cpu(200, 1000), cpu(100, 1200), 0.0),
        (IDLE, cpu(100, 1000), 0.0),
        (cpu(100, 1000), cpu(200, 1000), 0.0),
    ],
)
def test_the_share_of_cpu_time(before: dict[str, Any], now: dict[str, Any], percent: float) -> None:
    assert cpu_percent(row(cpu_stats=now, precpu_stats=before)) == percent


@pytest.mark.parametrize(
    ("memory", "used", "percent"),
    [
        ({"usage": 100, "limit": 200, "stats": {"total_inactive_file": 40}}, 60, 30.0),
        ({"usage": 100, "limit": 200, "stats": {"inactive_file": 50}}, 50, 25.0),
        ({"usage": 100, "limit": 0, "stats": {"inactive_file": 150}}, 100, 0.0),
        ({}, 0, 0.0),
    ],
)
def test_memory_without_cached_files(memory: dict[str, Any], used: int, percent: float) -> None:
    shown = row(memory_stats=memory)
    assert (memory_used(shown), memory_percent(shown)) == (used, percent)


def shown(of: dict[str, Any]) -> list[str]:
    return [str(STATS.fields[name][1](of, View())) for name in STATS.columns]


def test_a_container_that_runs() -> None:
    blocks = [{"op": "Read", "value": 1000}, {"op": "write", "value": 2_000_000}]
    running = row(
        cpu_stats=cpu(200, 1200),
        precpu_stats=cpu(100, 1000),
        memory_stats={"usage": 1 << 20, "limit": 1 << 30},
        blkio_stats={"io_service_bytes_recursive": blocks},
        pids_stats={"current": 3},
        networks={"eth0": {"rx_bytes": 5, "tx_bytes": 6}, "eth1": {"rx_bytes": 1, "tx_bytes": 2}},
    )
    assert shown(running) == ["0123456789ab", "web", "100.00%", "1MiB / 1GiB", "0.10%", "6B / 8B", "1kB / 2MB", "3"]


def test_a_container_that_has_ended() -> None:
    ended = row(memory_stats={"max_usage": 1 << 20})
    assert shown(ended) == ["0123456789ab", "web", "--", "1MiB / --", "--", "0B / 0B", "0B / 0B", "--"]
    assert shown(row())[3] == "-- / --"
