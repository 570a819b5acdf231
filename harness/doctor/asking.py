"""Asks the nodes of a Ray cluster: one probe on each, all at once, with a time after which a node is given up.

A probe takes no processor and no GPU, has no name, and ends with this process at the latest.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import ray
from ray import cloudpickle
from ray.exceptions import RayActorError, RayError, RayTaskError

from harness.arithmetic import Arithmetic, variables
from harness.doctor import probe


@dataclass(frozen=True, slots=True)
class Node:
    """A living node.

    Args:
        id: Ray's.
        name: Its address and host name, for people; of several on one address also the beginning of its id.
        offered: Its resources.
        free: Those that nobody uses.
    """

    id: str
    name: str
    offered: Mapping[str, float]
    free: Mapping[str, float]


def nodes_of_cluster() -> list[Node]:
    """Return the living nodes of the cluster that this process has joined, by their names."""
    living = [node for node in ray.nodes() if node["Alive"]]
    at = Counter(node["NodeManagerAddress"] for node in living)
    free = ray._private.state.available_resources_per_node()
    found = []
    for node in living:
        address, host = node["NodeManagerAddress"], node["NodeManagerHostname"]
        also = [host] if host not in ("", address) else []
        if at[address] > 1:
            also.append(f"node {node['NodeID'][:8]}")
        name = f"{address} ({', '.join(also)})" if also else address
        found.append(Node(node["NodeID"], name, node["Resources"], free.get(node["NodeID"], {})))
    return sorted(found, key=lambda node: node.name)


@dataclass(slots=True)
class Answers:
    """What nodes answered to one question, and by their ids why others did not."""

    given: dict[str, Any] = field(default_factory=dict)
    silent: dict[str, str] = field(default_factory=dict)
    times: dict[str, tuple[float, float]] = field(default_factory=dict)
    """When a node was asked and when its answer was here, in seconds since 1970."""


class Probes:
    """A probe on each node; used in a ``with`` block, after which none is left.

    Args:
        nodes: The nodes.
        arithmetic: What their processes compute with, as evaluators' do.
        patience: Seconds that a node may take for an answer.
    """

    def __init__(self, nodes: list[Node], arithmetic: Arithmetic, patience: float) -> None:
        self._patience = patience
        cloudpickle.register_pickle_by_value(probe)  # it is to answer where this project is missing
        kind = ray.remote(
            num_cpus=0,
            max_restarts=0,
            max_task_retries=0,
            runtime_env={"env_vars": variables(arithmetic)},
        )(probe.Probe)
        strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        self._actors = {
            node.id: kind.options(scheduling_strategy=strategy(node_id=node.id, soft=False)).remote()
            for node in nodes
        }

    def ask(self, doing: str, question: Callable[[Any, str], Any]) -> Answers:
        """Ask all nodes that have answered so far.

        Args:
            doing: What a node does meanwhile, for the reason why it did not answer.
            question: Calls a method of a node's probe; it is given the probe and the node's id, and returns Ray's
                reference, or ``None`` where that node is not asked.
        """
        answers = Answers()
        asked = time.time()
        refs = {}
        for node, actor in self._actors.items():
            ref = question(actor, node)
            if ref is not None:
                refs[ref] = node
        until = time.monotonic() + self._patience
        waiting = list(refs)
        while waiting and (left := until - time.monotonic()) > 0:
            done, waiting = ray.wait(waiting, num_returns=1, timeout=left)
            for ref in done:
                self._take(answers, ref, refs[ref], doing, asked)
        for ref in waiting:
            answers.silent[refs[ref]] = f"gave no answer within {self._patience:g} s while it was {doing}"
        for node in answers.silent:
            ray.kill(self._actors.pop(node))
        return answers

    @staticmethod
    def _take(answers: Answers, ref: Any, node: str, doing: str, asked: float) -> None:
        try:
            answers.given[node] = ray.get(ref, timeout=0)
            answers.times[node] = (asked, time.time())
        except RayTaskError as error:
            answers.silent[node] = f"failed while it was {doing}: {_reason(error)}"
        except RayActorError as error:
            answers.silent[node] = f"lost its process while it was {doing}: {_reason(error)}"
        except RayError as error:
            answers.silent[node] = f"could not be asked while it was {doing}: {_reason(error)}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for actor in self._actors.values():
            ray.kill(actor)
        self._actors = {}
        cloudpickle.unregister_pickle_by_value(probe)


def _reason(error: Exception) -> str:
    """Return what of Ray's message says why, in one line."""
    lines = [line.strip() for line in str(error).strip().splitlines()]
    return next((line for line in reversed(lines) if line), type(error).__name__).rstrip(".")
