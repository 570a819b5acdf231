"""The Ray executor: evaluator actors on a local or a remote cluster; the driver stays the only writer."""

from __future__ import annotations

import logging
import math
import socket
from collections import deque
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import ray
from ray.exceptions import RayActorError

from harness.errors import DerbyError
from harness.evaluator import Bug, Evaluated, Evaluator, Job
from harness.executors.base import Finished
from harness.keys import TaskKey
from harness.machine import Machine
from harness.task import Data
from harness.threads import VARIABLES
from harness.trial import Curve, Evaluation, Status

CONNECT_SECONDS = 10.0
"""How long a cluster's head may take to answer."""

ATTEMPTS = 2
"""An evaluation that takes its evaluator down this many times is recorded as crashed."""


class _Actor:
    """An evaluator in a process of its own; data come from the object store, zero-copy and read-only."""

    def __init__(self, threads: int) -> None:
        self._data: dict[str, Data] = {}
        self._evaluator = Evaluator(threads, lambda key: self._data[key.id])

    def evaluate(self, job: Job, data: Data) -> Evaluated | Bug:
        self._data.setdefault(job.key.task.id, data)
        return self._evaluator.evaluate(job)


class RayExecutor:
    """Runs jobs on evaluator actors, one per CPU core or GPU share.

    Args:
        threads: Threads one evaluation may use.
        evaluators: Number of evaluators; ``None``: as many as the cluster's CPUs, or GPU shares, hold.
        gpus_per_evaluator: Share of a GPU that each takes; 0 trains on CPUs.
        address: The cluster; ``None`` starts one on this machine that ends with the driver.

    Raises:
        DerbyError: The cluster cannot be reached, or holds no evaluator.
    """

    name = "ray"

    def __init__(
        self,
        threads: int,
        *,
        evaluators: int | None = None,
        gpus_per_evaluator: float = 0.0,
        address: str | None = None,
    ) -> None:
        self._threads = threads
        self._started_here = not ray.is_initialized()
        if self._started_here:
            self._connect(address)
        resources = ray.cluster_resources()
        if evaluators is None:
            gpus, cpus = resources.get("GPU", 0.0), resources.get("CPU", 0.0)
            evaluators = math.floor(gpus / gpus_per_evaluator) if gpus_per_evaluator else int(cpus // threads)
        if evaluators < 1:
            raise DerbyError(
                f"the Ray cluster has no room for an evaluator of {threads} CPUs and {gpus_per_evaluator} GPUs; "
                f"it offers {resources}"
            )
        self._slots = evaluators
        self._remote = ray.remote(
            num_cpus=threads, num_gpus=gpus_per_evaluator, max_restarts=0, max_task_retries=0
        )(_Actor)
        self._data: dict[str, ray.ObjectRef[Any]] = {}
        self._idle = [self._new_actor() for _ in range(evaluators)]
        self._queue: deque[Job] = deque()
        self._running: dict[ray.ObjectRef[Any], tuple[Job, Any]] = {}
        self._attempts: dict[str, int] = {}

    @property
    def slots(self) -> int:
        """Jobs worth having in flight: one per evaluator, and one waiting so that none idles."""
        return self._slots + 1

    def add_data(self, task: TaskKey, data: Data) -> None:
        """Put a task's data into the object store, owned by the driver."""
        self._data[task.id] = ray.put(dict(data))

    def submit(self, job: Job) -> None:
        """Start a job on an idle evaluator, or queue it."""
        self._queue.append(job)
        self._start_queued()

    def wait(self) -> Finished:
        """Return the next job that ends; a lost evaluator is replaced and its job run again."""
        while True:
            done, _ = ray.wait(list(self._running), num_returns=1)
            job, actor = self._running.pop(done[0])
            try:
                outcome: Evaluated | Bug = ray.get(done[0])
            except RayActorError as error:
                self._idle.append(self._new_actor())
                attempts = self._attempts[job.key.id] = self._attempts.get(job.key.id, 0) + 1
                if attempts < ATTEMPTS:
                    self._queue.appendleft(job)
                    self._start_queued()
                    continue
                outcome = _crashed(job, error)
            else:
                self._idle.append(actor)
            self._attempts.pop(job.key.id, None)
            self._start_queued()
            return Finished(job, outcome)

    def close(self) -> None:
        """Stop the evaluators, and the cluster where it was started here."""
        for _, actor in self._running.values():
            ray.kill(actor)
        for actor in self._idle:
            ray.kill(actor)
        if self._started_here:
            ray.shutdown()

    def _connect(self, address: str | None) -> None:
        if address is not None:
            _check_answers(address)
        else:
            # "Token authentication is enabled": nothing to act on for a cluster that ends with the driver.
            logging.getLogger("ray._private.authentication").setLevel(logging.ERROR)
        # Without the override, work that asked for no GPU would see them all.
        environment = {"env_vars": {"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1", **VARIABLES}}
        try:
            ray.init(
                address=address or "local",
                # A cluster of our own is for this machine only: nothing of it listens to others.
                _node_ip_address="127.0.0.1" if address is None else None,
                runtime_env=environment,
                include_dashboard=False if address is None else None,
                log_to_driver=False,
                logging_level="warning",
            )
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise DerbyError(f"cannot reach Ray at {address or 'this machine'}: {error}") from error

    def _new_actor(self) -> Any:
        return self._remote.remote(self._threads)

    def _start_queued(self) -> None:
        while self._idle and self._queue:
            job, actor = self._queue.popleft(), self._idle.pop()
            ref = actor.evaluate.remote(job, self._data[job.key.task.id])
            self._running[ref] = (job, actor)


def _check_answers(address: str) -> None:
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


def _crashed(job: Job, error: RayActorError) -> Evaluated:
    reason = str(error).strip().splitlines()[0]
    evaluation = Evaluation(
        Status.CRASHED, Curve(), epochs=0, message=f"its evaluator died {ATTEMPTS} times: {reason}"
    )
    unknown = Machine({"processor": "unknown: the evaluator died before it could tell"})
    return Evaluated(replace(evaluation, machine=unknown.id), unknown)
