"""A Ray cluster: joining one or starting one, and what its nodes offer."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import socket
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import ray
from ray._private import ray_constants

from harness.arithmetic import Arithmetic, variables
from harness.errors import DerbyError

CONNECT_SECONDS = 10.0
"""How long a cluster's head may take to answer."""


def connect(address: str | None, arithmetic: Arithmetic) -> bool:
    """Join a cluster, or start one on this machine; return whether it is to end with this process.

    Args:
        address: The cluster; ``None``: one of our own, that listens on loopback only and asks for Ray's token.
        arithmetic: What its processes compute with.

    Raises:
        DerbyError: It cannot be reached.
    """
    if ray.is_initialized():
        return False
    if address is not None:
        check_answers(address)
    else:
        # "Token authentication is enabled": nothing to act on for a cluster that ends with the driver.
        logging.getLogger("ray._private.authentication").setLevel(logging.ERROR)
    try:
        with _on_loopback() if address is None else contextlib.nullcontext():
            ray.init(
                address=address or "local",
                # Without the override, work that asked for no GPU would see them all.
                runtime_env={
                    "env_vars": {"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1", **variables(arithmetic)}
                },
                include_dashboard=False if address is None else None,
                log_to_driver=False,
                logging_level="warning",
            )
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise DerbyError(f"cannot reach Ray at {address or 'this machine'}: {error}") from error
    return True


@contextlib.contextmanager
def _on_loopback() -> Iterator[None]:
    """Let what Ray starts inside this listen on loopback only.

    Ray turns a loopback address that it is given into the machine's own, and then listens on every interface.
    It stays on loopback where clusters of several machines are off, as they are by default on macOS and Windows.
    """
    name = ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR
    before = os.environ.get(name), ray_constants.ENABLE_RAY_CLUSTER
    # Ray's processes read the variable, and this one has read it when it imported Ray.
    os.environ[name], ray_constants.ENABLE_RAY_CLUSTER = "0", False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before[1]
        if before[0] is None:
            del os.environ[name]
        else:
            os.environ[name] = before[0]


def check_answers(address: str) -> None:
    """Raise `DerbyError` where nothing listens at ``host:port``: Ray itself would try for minutes."""
    place = urlsplit(address if "//" in address else f"//{address}")
    try:
        if place.port is not None:
            socket.create_connection((place.hostname or "", place.port), timeout=CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:
        raise DerbyError(
            f"cannot reach Ray at {address}: {error}; expected host:port of a running head node, such as "
            "`ray start --head` prints, or auto"
        ) from error


def living_nodes() -> dict[str, Mapping[str, float]]:
    """Return what each living node offers, by its id."""
    return {node["NodeID"]: node["Resources"] for node in ray.nodes() if node["Alive"]}


def fitting(offered: Mapping[str, float], cpus: float, gpus: float) -> int:
    """Return how many workers that need so much a node holds."""
    # A share such as 0.1 is no binary fraction: ten of them must fit.
    counts = [offered.get("CPU", 0.0) / cpus + 1e-9]
    if gpus:
        counts.append(offered.get("GPU", 0.0) / gpus + 1e-9)
    return math.floor(min(counts))


def on_driver_node() -> Any:
    """Return a strategy that prefers the driver's own node, which stays when others go."""
    return ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
        node_id=ray.get_runtime_context().get_node_id(), soft=True
    )
