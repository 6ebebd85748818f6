"""Measurements as ``GET /containers/{id}/stats`` answers them (Engine API, ContainerStats)."""

from collections.abc import Mapping
from typing import Any

from kist.spec.docker.times import write_time
from kist.spec.stats import Sample


def write_stats(sample: Sample) -> dict[str, Any]:
    """A sample in Docker's shape; version 2 of the cgroups has fewer fields, as there."""
    blocks = sample.blocks
    return {
        "os_type": "linux",
        "read": write_time(sample.time),
        "preread": write_time(sample.before),
        "pids_stats": _present(current=sample.processes.get("current"), limit=sample.processes.get("limit") or None),
        "blkio_stats": {
            "io_service_bytes_recursive": _write_blocks(blocks.get("bytes", ()), sample.version),
            "io_serviced_recursive": _write_blocks(blocks.get("operations", ()), sample.version),
            "io_queue_recursive": None,
            "io_service_time_recursive": None,
            "io_wait_time_recursive": None,
            "io_merged_recursive": None,
            "io_time_recursive": None,
            "sectors_recursive": None,
        },
        "num_procs": 0,
        "storage_stats": {},
        "cpu_stats": _write_cpu(sample.cpu, sample.machine_cpu, sample.cpus),
        "precpu_stats": _write_cpu(sample.cpu_before, sample.machine_cpu_before, sample.cpus if sample.before else 0),
        "memory_stats": _write_memory(sample),
        "name": f"/{sample.name}" if sample.name else "",
        "id": sample.container,
        **({"networks": sample.networks} if sample.networks else {}),
    }


def _present(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _write_cpu(cpu: Mapping[str, Any], machine: int, cpus: int) -> dict[str, Any]:
    usage: dict[str, Any] = {"total_usage": cpu.get("total", 0)}
    if cpu.get("each"):
        usage["percpu_usage"] = cpu["each"]
    usage |= {"usage_in_kernelmode": cpu.get("system", 0), "usage_in_usermode": cpu.get("user", 0)}
    return {
        "cpu_usage": usage,
        **({"system_cpu_usage": machine, "online_cpus": cpus} if machine else {}),
        "throttling_data": {
            "periods": cpu.get("periods", 0),
            "throttled_periods": cpu.get("throttled_periods", 0),
            "throttled_time": cpu.get("throttled_time", 0),
        },
    }


def _write_memory(sample: Sample) -> dict[str, Any]:
    memory = sample.memory
    if not memory:
        return {}
    return _present(
        usage=memory.get("usage"),
        max_usage=memory.get("peak"),
        stats=memory.get("stats"),
        failcnt=memory.get("failures"),
        limit=memory.get("limit"),
    )


def _write_blocks(entries: Any, version: int) -> list[dict[str, Any]] | None:
    found = []
    for device, operation, value in entries:
        major, _, minor = device.partition(":")
        word = operation if version == 1 else operation.lower()
        found.append({"major": int(major), "minor": int(minor), "op": word, "value": value})
    return found or None
