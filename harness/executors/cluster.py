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
from ray._common.usage.usage_constants import USAGE_STATS_ENABLED_ENV_VAR
from ray._private import ray_constants, services
from ray._private.authentication.authentication_token_setup import (
    AUTH_MODE_ENV_VAR,
    maybe_enable_token_auth_if_token_available,
)
from ray._raylet import AuthenticationTokenLoader  # type: ignore[attr-defined]

from harness.arithmetic import Arithmetic, variables
from harness.errors import DerbyError, refusal

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
    # "Token authentication is enabled": nothing to act on.
    logging.getLogger("ray._private.authentication").setLevel(logging.ERROR)
    if address is not None:
        check_answers(address)
        show_token(address)
    else:
        # Ray would report to its makers what this machine is and what runs on it, unless a file of the user's says no.
        os.environ.setdefault(USAGE_STATS_ENABLED_ENV_VAR, "0")
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
            f"cannot reach Ray at {address}: {refusal(error)}; expected host:port of a running head node, such as "
            "`ray start --head` prints, or auto"
        ) from error


def asks_for_token(address: str) -> bool:
    """Tell whether a cluster answers nobody who shows no token."""
    head = _head_of(address)
    return head is not None and _takes(head, None) is False


def is_silent(address: str) -> bool:
    """Tell whether a head takes connections and answers nothing for `CONNECT_SECONDS`: Ray would wait for minutes."""
    head = _head_of(address)
    return head is not None and _status(head, None) == "DEADLINE_EXCEEDED"


def show_token(address: str) -> None:
    """Let this process show Ray's token to a cluster that asks for one, as `ray start --head` makes it where it can.

    Ray itself shows it only where ``RAY_AUTH_MODE=token`` says so, and otherwise tries for twenty seconds and says that
    it failed to connect. Where it cannot be found out whether a token is asked for, nothing is done.

    Raises:
        DerbyError: The cluster asks for a token, and there is none here, or another.
    """
    head = _head_of(address)
    if head is None or _takes(head, None) is not False:
        return
    mode = os.environ.get(AUTH_MODE_ENV_VAR)
    if mode is not None and mode.lower() != "token":
        raise DerbyError(
            f"the Ray cluster at {address} asks for a token, and {AUTH_MODE_ENV_VAR}={mode} says to show none: unset "
            f"it, or set {AUTH_MODE_ENV_VAR}=token"
        )
    loader = AuthenticationTokenLoader.instance()
    if not loader.has_token(ignore_auth_mode=True):
        raise DerbyError(
            f"the Ray cluster at {address} asks for a token, and there is none here: copy ~/.ray/auth_token from its "
            "head node to ~/.ray/auth_token, or set RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH"
        )
    if _takes(head, loader.get_raw_token(ignore_auth_mode=True)) is False:
        raise DerbyError(
            f"the Ray cluster at {address} does not take the token that is here, in RAY_AUTH_TOKEN, in the file that "
            "RAY_AUTH_TOKEN_PATH names, or in ~/.ray/auth_token: copy that of its head node"
        )
    maybe_enable_token_auth_if_token_available(warn_if_disabled=False)


def _head_of(address: str) -> str | None:
    """Return ``host:port`` of a cluster's head; ``None`` where that is not known, or is a Ray client's server."""
    if address == "auto":
        try:
            found: str | None = services.get_ray_address_from_environment("auto", None)
        except (ConnectionError, RuntimeError, ValueError):
            return None
        return found
    return None if "//" in address else address


def _takes(head: str, token: str | None) -> bool | None:
    """Tell whether a head answers who shows a token, or none; ``None`` where it cannot be told."""
    return {"OK": True, "UNAUTHENTICATED": False}.get(_status(head, token))


def _status(head: str, token: str | None) -> str:
    """Return how a head answers who shows a token, or none, by the name of gRPC's status; empty without gRPC."""
    try:
        import grpc
    except ImportError:
        return ""
    shown = () if token is None else (("authorization", f"Bearer {token}"),)
    with grpc.insecure_channel(head) as channel:
        ask = channel.unary_unary(_CLUSTER_ID, request_serializer=bytes, response_deserializer=bytes)
        try:
            ask(b"", timeout=CONNECT_SECONDS, metadata=shown)
        except grpc.RpcError as error:
            return str(error.code().name)
    return "OK"


_CLUSTER_ID = "/ray.rpc.NodeInfoGcsService/GetClusterId"
"""What Ray itself asks a head for first."""


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
