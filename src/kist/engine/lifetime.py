"""What a container's options say of its time: restarts, health checks, how it is stopped. Pure."""

from kist.engine.signals import signal_number
from kist.errors import Conflict, InvalidInput
from kist.runtime import plan
from kist.spec.container import Container, ContainerOptions
from kist.spec.image import Healthcheck

_MILLISECOND = 1_000_000
_SECOND = 1000 * _MILLISECOND
_ACTIONS = ("none", "kill", "restart", "stop")
# Docker's, for what neither the options nor the image say.
_DEFAULTS = {"interval": 30 * _SECOND, "timeout": 30 * _SECOND, "start_interval": 5 * _SECOND, "retries": 3}
_TIMES = {
    "interval": "Interval",
    "timeout": "Timeout",
    "start_period": "StartPeriod",
    "start_interval": "StartInterval",
}
_SHELL = ("/bin/sh", "-c")


def check(options: ContainerOptions) -> None:
    """Refuse what cannot be right.

    Raises:
        InvalidInput: names the option, the value, and what is allowed.
    """
    if options.auto_remove and options.restart.name != "no":
        raise InvalidInput(
            "can't create 'AutoRemove' container with restart policy", hint="choose one of --rm and --restart"
        )
    if options.stop_signal:
        signal_number(options.stop_signal)
    if options.timeout < 0:
        raise InvalidInput(f"invalid timeout {options.timeout}", hint="it is a number of seconds, 0 for none")
    if options.health_on_failure not in {"", *_ACTIONS}:
        raise InvalidInput(
            f"invalid action on a failed health check: {options.health_on_failure!r}",
            hint="it is one of " + ", ".join(_ACTIONS),
        )
    if options.healthcheck is not None:
        _check_healthcheck(options.healthcheck)


def _check_healthcheck(asked: Healthcheck) -> None:
    for name, word in _TIMES.items():
        value = getattr(asked, name)
        if value and value < _MILLISECOND:
            raise InvalidInput(f"{word} in Healthcheck cannot be less than 1ms", hint=f"it was {value} ns")
    if asked.retries < 0:
        raise InvalidInput("Retries in Healthcheck cannot be negative", hint=f"it was {asked.retries}")
    kind = asked.test[:1]
    if kind and kind[0] not in {"", "NONE", "CMD", "CMD-SHELL"}:
        raise InvalidInput(
            f"Unknown healthcheck type {kind[0]!r} (expected 'CMD')", hint="the first word is CMD, CMD-SHELL or NONE"
        )


def merge_healthcheck(asked: Healthcheck | None, image: Healthcheck | None) -> Healthcheck | None:
    """The check that holds: what is asked for, and of the image's what is not."""
    if asked is None or image is None:
        return asked or image
    return Healthcheck(
        test=asked.test or image.test,
        interval=asked.interval or image.interval,
        timeout=asked.timeout or image.timeout,
        start_period=asked.start_period or image.start_period,
        start_interval=asked.start_interval or image.start_interval,
        retries=asked.retries or image.retries,
    )


def health_command(container: Container) -> tuple[str, ...]:
    """What a health check of this container executes; empty when it has none."""
    asked = container.config.healthcheck
    kind, *words = (asked.test if asked is not None else ()) or ("NONE",)
    if kind == "CMD":
        return tuple(words)
    if kind == "CMD-SHELL":
        return (*(container.config.shell or _SHELL), *words[:1])
    return ()


def life(container: Container, check: plan.Plan | None) -> plan.Life:
    """What the monitor needs to know to stop the container, to start it again, and to check its health.

    Args:
        container: whose config is the effective one.
        check: the plan of a health check's process (see ``health_command``).
    """
    options = container.options
    return plan.Life(
        stop_signal=signal_number(container.config.stop_signal or "TERM"),
        stop_timeout=options.stop_timeout,
        timeout=options.timeout,
        restart=plan.Restart(options.restart.name, options.restart.maximum_retry_count),
        health=_health(container, check) if check is not None else None,
    )


def _health(container: Container, check: plan.Plan) -> plan.Health:
    asked = container.config.healthcheck
    assert asked is not None
    times = {name: getattr(asked, name) or default for name, default in _DEFAULTS.items()}
    return plan.Health(
        start_period=asked.start_period, on_failure=container.options.health_on_failure or "none", check=check, **times
    )


def need_process(container: Container) -> None:
    """Refuse what needs a process, where the container has none.

    Raises:
        Conflict: the container does not run, or is restarting.
    """
    if not container.state.running:
        raise Conflict(f"container {container.id} is not running", hint=f"kist start {container.name}")
    refuse_restarting(container)


def refuse_restarting(container: Container) -> None:
    """Refuse what needs a process, between two runs of the container.

    Raises:
        Conflict: the container is restarting.
    """
    if container.state.status == "restarting":
        raise Conflict(f"Container {container.id} is restarting, wait until the container is running")


def starts_again(container: Container, *, rebooted: bool) -> bool:
    """Whether the engine starts a container that it finds ended, by its restart policy.

    While a monitor is there, it is the one who does that. What is left are ends that no monitor saw (the machine went
    down, or all guardians were killed), and ``always``, for which the restart of the machine counts as a new beginning.

    Args:
        container: as it was found.
        rebooted: whether the machine was restarted since another engine looked.
    """
    state, policy = container.state, container.options.restart
    if state.status != "exited":
        return False
    unseen = not state.finished_at and not state.by_hand
    if policy.name == "always":
        return unseen or rebooted
    if policy.name == "unless-stopped":
        return unseen or (rebooted and not state.by_hand)
    return policy.name == "on-failure" and unseen
