"""The roll of a cluster: which machines should train, and which of them do not.

A cluster of machines of one's own has no autoscaler that would replace what is missing, and Ray says nowhere that a
machine never joined: a sweep would only take longer.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import yaml

from harness.executors.cluster import fitting
from harness.plurals import plural

CLUSTER_FILE = Path("~/ray_bootstrap_config.yaml")
"""Where `ray up` leaves its cluster file on the head."""


@dataclass(frozen=True, slots=True)
class Node:
    """A living node of the cluster.

    Args:
        names: Its address and host name.
        offered: Its resources.
    """

    names: frozenset[str]
    offered: Mapping[str, float]


class Roll:
    """Compares the machines that should train with those that have room for an evaluator.

    Which should is what the cluster file of `ray up` lists as workers, where the driver runs on that cluster's head,
    and how many is what the user says.

    Args:
        threads: CPUs of an evaluator.
        gpus: Its share of a GPU.
        wanted: How many nodes should have room for an evaluator; ``None``: only the cluster file says.
        file: The cluster file; it may be absent.
    """

    def __init__(
        self, threads: int, gpus: float, wanted: int | None = None, file: Path = CLUSTER_FILE
    ) -> None:
        self._threads, self._gpus, self._wanted = threads, gpus, wanted
        self._workers = workers_in(file.expanduser(), _head())
        self.missing: tuple[str, ...] = ()
        """The machines that do not train when last looked, each with the reason."""

    def call(self) -> None:
        """Look which are there."""
        if self._workers or self._wanted is not None:
            self.missing = tuple(self._absent(living()))

    def _absent(self, nodes: Iterable[Node]) -> Iterable[str]:
        nodes = list(nodes)
        fit = [node for node in nodes if fitting(node.offered, self._threads, self._gpus)]
        for name, known_as in self._workers.items():
            here = [node for node in nodes if node.names & known_as]
            if not here:
                yield f"{name} (not in the cluster)"
            elif not any(node in fit for node in here):
                yield f"{name} (no room for an evaluator of {self._needs}; it offers {offer(here[0].offered)})"
        if self._wanted is not None and len(fit) < self._wanted:
            yield (
                f"{self._wanted - len(fit)} of {plural(self._wanted, 'node')} (--nodes): {len(fit)} with room for "
                f"an evaluator of {self._needs}"
            )

    @property
    def _needs(self) -> str:
        return offer({"CPU": self._threads, **({"GPU": self._gpus} if self._gpus else {})})


def workers_in(file: Path, head: str) -> dict[str, frozenset[str]]:
    """Return the machines that a cluster file lists as workers, and what each is known as; none where it is absent.

    Args:
        file: What `ray up` has left.
        head: Address of the head of the cluster at hand. A file of another cluster lists none.
    """
    try:
        provider = yaml.safe_load(file.read_text(encoding="utf-8"))["provider"]
        if provider["type"] != "local" or head not in known_as(str(provider["head_ip"])):
            return {}
        return {str(name): known_as(str(name)) for name in provider["worker_ips"]}
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError):
        return {}  # it is Ray's, and absent on most machines


def adds_nodes(file: Path = CLUSTER_FILE) -> bool:
    """Tell whether this is the head of a cluster whose autoscaler adds nodes when they are asked for."""
    try:
        kind = yaml.safe_load(file.expanduser().read_text(encoding="utf-8"))["provider"]["type"]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError):
        return False  # as above
    return bool(kind != "local")


def known_as(name: str) -> frozenset[str]:
    """Return a machine's name and its addresses, as far as they can be found out."""
    found: set[Any] = {name}
    with contextlib.suppress(OSError):
        found |= {address[4][0] for address in socket.getaddrinfo(name, None)}
    return frozenset(map(str, found))


def living() -> list[Node]:
    """Return the living nodes of the cluster."""
    return [
        Node(frozenset((node["NodeManagerAddress"], node["NodeManagerHostname"])), node["Resources"])
        for node in ray.nodes()
        if node["Alive"]
    ]


def _head() -> str:
    address: str = ray.get_runtime_context().gcs_address
    return address.rpartition(":")[0]


def offer(resources: Mapping[str, float]) -> str:
    """Write processors and GPUs for people."""
    shown = {name: resources.get(name, 0.0) for name in ("CPU", "GPU") if name == "CPU" or name in resources}
    return " and ".join(plural(amount, name) for name, amount in shown.items())
