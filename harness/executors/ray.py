"""The Ray executor: evaluators and study hosts as actors; the driver stays the only writer.

One module, because actors that start, work, end and are lost are members of the same two lists.

Ray never retries anything here. What is lost is handed back as `Lost` with its cause, and the driver decides.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from harness import files
from harness.arithmetic import Arithmetic, variables
from harness.errors import DerbyError
from harness.evaluator import CHECKPOINTS_KEPT, Bug, Cause, Job, Lost, Outcome
from harness.executors.actors import EvaluatorActor, HostActor, Location, MemoryLimit
from harness.executors.base import Finished, Workforce
from harness.executors.cluster import connect, fitting, living_nodes, on_driver_node
from harness.executors.members import Deaths, EvaluatorMember, HostMember, Member
from harness.executors.roll import Roll
from harness.host import Step, Stepped
from harness.keys import StudyKey, TaskKey
from harness.plurals import plural
from harness.task import Data

POLL_SECONDS = 0.5
"""How long `RayExecutor.wait` waits for something to end before it looks at deadlines and nodes."""

FOLLOW_SECONDS = 2.0
"""How often the cluster's nodes are looked at."""

RECYCLE_AFTER = 2000
"""Evaluations after which an evaluator is replaced: libraries leak."""

GROWTH = 0.5
"""Part of its memory by which an evaluator may grow, after its first evaluation, before it is replaced."""

OVERRUN_SECONDS = 60.0
"""How long an evaluation may go on after its deadline before its evaluator is killed, at least: it may be the
first in its process, which also loads libraries. At most it takes as long again as the deadline is."""

PATIENCE_SECONDS = 900.0
"""How long a cluster may have no room for a single evaluator, since an autoscaler takes minutes to make some."""

AHEAD = 8
"""Evaluators asked for beyond those there is room for, at least; or as many again, where that is more."""

FAILED_STARTS = 3
"""Actors that may die while they start, none having started before, until the cluster is said to be unfit."""

HOSTS = 16
"""Study hosts at most."""


class RayExecutor:
    """Runs jobs on evaluators, one per CPU core or GPU share, and searchers on study hosts.

    Evaluators follow the cluster: they are started as nodes come, and given back when the sweep has no more use
    for them. On a cluster that is not ours alone more are asked for than there is room for, which is what an
    autoscaler goes by.

    Args:
        threads: Threads one evaluation may use.
        arithmetic: What searchers and evaluations compute with.
        evaluators: Number of evaluators at most; ``None``: as many as there is room and use for.
        gpus_per_evaluator: Share of a GPU that each takes; 0 trains on CPUs.
        gpu_libraries: Libraries with which the tasks train on GPUs. An evaluator may load all of them, none gives back
            to another what it took, and so each is held to its part of the evaluator's share.
        memory: Bytes an evaluator may take; ``None``: its share of its node's, when that is short of memory.
        address: The cluster; ``None`` starts one on this machine that ends with the driver.
        nodes: How many nodes should train; ``None``: what its cluster file says, where there is one here.
        recycle_after: Evaluations after which an evaluator is replaced.
        overrun: See `OVERRUN_SECONDS`.
        patience: See `PATIENCE_SECONDS`; by default 0 on a cluster of our own, which does not grow.

    Raises:
        DerbyError: The cluster cannot be reached, or a cluster of our own holds no evaluator.
    """

    def __init__(
        self,
        threads: int,
        *,
        arithmetic: Arithmetic = Arithmetic.PORTABLE,
        evaluators: int | None = None,
        gpus_per_evaluator: float = 0.0,
        gpu_libraries: int = 1,
        memory: int | None = None,
        address: str | None = None,
        nodes: int | None = None,
        recycle_after: int = RECYCLE_AFTER,
        overrun: float = OVERRUN_SECONDS,
        patience: float | None = None,
    ) -> None:
        self._threads, self._gpus, self._memory = threads, gpus_per_evaluator, memory
        self._gpu_share = min(gpus_per_evaluator or 1.0, 1.0) / max(gpu_libraries, 1)
        self._most, self._recycle_after, self._overrun = evaluators, recycle_after, overrun
        self._started_here = connect(address, arithmetic)
        self._grows = address is not None or not self._started_here
        self._patience = patience if patience is not None else PATIENCE_SECONDS if self._grows else 0.0
        # Retries are the driver's: it knows what a lost evaluation means.
        once: dict[str, Any] = {"max_restarts": 0, "max_task_retries": 0}
        once["runtime_env"] = {
            "env_vars": variables(arithmetic)
        }  # also on a cluster that someone else has joined
        self._evaluator_class = ray.remote(num_cpus=threads, num_gpus=gpus_per_evaluator, **once)(
            EvaluatorActor
        )
        self._host_class = ray.remote(num_cpus=0, **once)(HostActor)
        self._data: dict[str, ray.ObjectRef[Any]] = {}
        self._evaluators: list[EvaluatorMember] = []
        self._hosts: list[HostMember] = []
        self._jobs: deque[Job] = deque()
        self._ready: list[Finished | Stepped] = []
        self._wanted_jobs = self._cheap = 0
        self._deaths = Deaths(ray.get_runtime_context().get_node_id())
        self._nodes: dict[str, Any] = {}
        self._roll = Roll(threads, gpus_per_evaluator, nodes) if self._grows else None
        self._followed = -FOLLOW_SECONDS
        self._had_room = time.monotonic()
        self._failed_starts = 0
        self._began = False
        """Whether an actor has ever started."""
        self._arithmetic: str | None = None
        """What the first study host computes with, and so all: a study goes on where it computes the same."""
        self._unlike = False
        """Whether there are nodes that compute otherwise."""
        self._look_at_nodes()

    @property
    def job_slots(self) -> int:
        """One job per evaluator, those that wait for a busy evaluator's checkpoint, and a few so that none idles."""
        working = sum(member.location is not None for member in self._evaluators)
        blocked = sum(self._holder(job) is not None for job in self._jobs)
        return working + blocked + max(1, working // 4)

    @property
    def step_slots(self) -> int:
        """A step under way and one waiting for each host."""
        return 2 * max(len(self._hosts), 1)

    @property
    def workforce(self) -> Workforce:
        """The evaluators there are."""
        busy = sum(member.job is not None for member in self._evaluators)
        started = sum(member.location is not None for member in self._evaluators)
        # The others wait for nodes that may never come.
        starting = min(len(self._evaluators), self._room()) - started
        missing = () if self._roll is None else self._roll.missing
        return Workforce(busy, started - busy, max(starting, 0), missing)

    def demand(self, jobs: int, cheap: int) -> None:
        """Learn what the rest of the sweep could use."""
        if (jobs, cheap) != (self._wanted_jobs, self._cheap):
            self._wanted_jobs, self._cheap = jobs, cheap
            self._resize()

    def add_data(self, task: TaskKey, data: Data) -> None:
        """Put a task's data into the object store, owned by the driver."""
        self._data[task.id] = ray.put(dict(data))

    def submit(self, job: Job) -> None:
        """Start a job on an idle evaluator, or queue it."""
        self._jobs.append(job)
        self._hand_out_jobs()

    def step(self, step: Step, *, cheap: bool) -> None:
        """Let a study go on at its host, or begin at the one that has the fewest."""
        host = next((host for host in self._hosts if step.key.id in host.studies), None)
        if host is None:
            if not self._hosts:
                self._add_host()
            host = min(self._hosts, key=lambda host: len(host.studies))
            host.studies[step.key.id] = step.key
        # A training study's step is short and an evaluator may wait for it; a cheap one's is a slice of whole studies.
        before = len(host.queue) if cheap else sum(data is None for _, data in host.queue)
        host.queue.insert(before, (step, self._data[step.key.task.unsplit.id] if cheap else None))
        self._hand_out_step(host)

    def drop(self, key: StudyKey) -> None:
        """Forget a study."""
        for host in self._hosts:
            if host.studies.pop(key.id, None) is not None:
                host.actor.drop.remote(key)

    def wait(self) -> list[Finished | Stepped]:
        """Return what has ended; after `POLL_SECONDS` without anything, return nothing."""
        self._follow()
        if not self._ready:
            self._collect(POLL_SECONDS / 5 if self._deaths else POLL_SECONDS)
        self._kill_overrun()
        self._ready += self._deaths.judged()
        ready, self._ready = self._ready, []
        return ready

    def close(self) -> None:
        """Stop every actor, and the cluster where it was started here."""
        for member in [*self._evaluators, *self._hosts]:
            ray.kill(member.actor)
        self._evaluators, self._hosts = [], []
        if self._started_here:
            ray.shutdown()

    # The cluster and who works there.

    def _follow(self) -> None:
        if time.monotonic() - self._followed >= FOLLOW_SECONDS:
            self._look_at_nodes()
            self._resize()

    def _look_at_nodes(self) -> None:
        self._followed = time.monotonic()
        self._nodes = living_nodes()
        if self._roll is not None:
            self._roll.call()
        for member in [*self._evaluators, *self._hosts]:
            # A busy one's work says so itself.
            if (
                member.pending is None
                and member.location is not None
                and member.location.node not in self._nodes
            ):
                self._remove(member)
                if isinstance(member, HostMember):
                    self._lose_studies(member, "its searcher's node died")
        if self._room() or any(member.location for member in self._evaluators):
            self._had_room = time.monotonic()
        elif (not self._began or self._wanted_jobs) and (time.monotonic() - self._had_room >= self._patience):
            offered = ray.cluster_resources()
            raise DerbyError(
                f"the Ray cluster has no room for an evaluator of {plural(self._threads, 'CPU')} and "
                f"{plural(self._gpus, 'GPU')}; it offers {offered}"
            )

    def _room(self) -> int:
        return sum(fitting(offered, self._threads, self._gpus) for offered in self._nodes.values())

    def _resize(self) -> None:
        """Start the actors that are wanted and there is room for; give back idle ones that nothing will need."""
        room = self._room()
        target = room
        if self._grows:
            # What cannot start yet is what an autoscaler goes by.
            target = self._most or room + max(room, AHEAD)
        target = min(target, self._wanted_jobs, self._most or target)
        while len(self._evaluators) < target:
            actor = self._evaluator_class.remote(self._threads, self._gpu_share, files.sources())
            self._evaluators.append(EvaluatorMember(actor, actor.location.remote()))
        spare = [member for member in self._evaluators if member.job is None]
        spare.sort(key=lambda member: member.location is not None)  # those that have not started, first
        for member in spare[: max(len(self._evaluators) - self._wanted_jobs, 0)]:
            self._evaluators.remove(member)
            ray.kill(member.actor)
        cpus = sum(offered.get("CPU", 0.0) for offered in self._nodes.values())
        left = int(cpus - self._threads * len(self._evaluators))
        needed = self._cheap if not self._wanted_jobs else max(self._cheap, len(self._evaluators))
        while len(self._hosts) < min(max(left, 1), needed, HOSTS):
            self._add_host()

    def _add_host(self) -> None:
        # Beside the driver a host is safe from nodes that go, but it must not make the driver wait: so only
        # the first is there, and the others are where there are cores.
        first = not self._hosts or self._unlike
        options = {"scheduling_strategy": on_driver_node()} if first else {"scheduling_strategy": "SPREAD"}
        actor = self._host_class.options(**options).remote(self._threads, files.sources())
        self._hosts.append(HostMember(actor, actor.location.remote()))

    def _memory_limit(self, location: Location) -> MemoryLimit:
        """Return what an evaluator may take: its share of what its node has besides the object store."""
        if self._memory is not None:
            return MemoryLimit(self._memory, strict=True)
        offered = self._nodes.get(location.node, {})
        share = offered.get("memory", float("inf")) / max(fitting(offered, self._threads, self._gpus), 1)
        return MemoryLimit(share, strict=False)

    # Handing out.

    def _holder(self, job: Job) -> EvaluatorMember | None:
        """Return the evaluator that holds a job's checkpoint."""
        return next((member for member in self._evaluators if job.key.id in member.held), None)

    def _hand_out_jobs(self) -> None:
        for member in self._evaluators:
            if not self._jobs:
                return
            if member.location is not None and member.job is None:
                job = self._job_for(member)
                if job is not None:
                    self._start(member, job, member.location)

    def _job_for(self, member: EvaluatorMember) -> Job | None:
        """Choose the oldest job whose checkpoint it holds, or else the oldest one that no other holds."""
        chosen = None
        for job in self._jobs:
            holder = self._holder(job)
            if holder is member:
                chosen = job
                break
            if holder is None and chosen is None:
                chosen = job
        if chosen is not None:
            self._jobs.remove(chosen)
        return chosen

    def _start(self, member: EvaluatorMember, job: Job, location: Location) -> None:
        member.job, member.since, member.overrun = job, time.monotonic(), False
        member.held.pop(job.key.id, None)
        member.held[job.key.id] = None
        while len(member.held) > CHECKPOINTS_KEPT:
            del member.held[next(iter(member.held))]
        member.pending = member.actor.evaluate.remote(
            job, self._data[job.key.task.unsplit.id], self._memory_limit(location)
        )

    def _hand_out_step(self, host: HostMember) -> None:
        if host.location is not None and host.step is None and host.queue:
            host.step, data = host.queue.popleft()
            host.pending = host.actor.step.remote(host.step, data)

    # Collecting.

    def _collect(self, seconds: float) -> None:
        """Take in everything that has ended, and hand out to whoever has become free."""
        refs: dict[Any, tuple[str, Member]] = {}
        for member in [*self._evaluators, *self._hosts]:
            if member.location is None:
                refs[member.starting] = ("started", member)
            elif member.pending is not None:
                refs[member.pending] = ("worked", member)
        if not refs:
            time.sleep(seconds)
            return
        done, rest = ray.wait(list(refs), num_returns=1, timeout=seconds)
        if done and rest:
            done += ray.wait(rest, num_returns=len(rest), timeout=0)[0]
        for ref in done:
            what, member = refs[ref]
            if what == "started":
                self._take_started(member, ref)
            elif isinstance(member, EvaluatorMember):
                self._take_evaluated(member, ref)
            elif isinstance(member, HostMember):
                self._take_stepped(member, ref)
        self._hand_out_jobs()

    def _take_started(self, member: Member, ref: Any) -> None:
        try:
            member.location = ray.get(ref)
            self._began = True
        except RayError as error:
            self._remove(member)
            self._failed_starts += 1
            if not self._began and self._failed_starts >= FAILED_STARTS:
                raise DerbyError(
                    f"evaluators cannot start on the Ray cluster: {_reason(error)}; every node needs the project "
                    "and its locked dependencies, under the driver's version of Python"
                ) from error
            if isinstance(member, HostMember):
                self._lose_studies(member, f"its host could not start: {_reason(error)}")
            self._resize()
            return
        if isinstance(member, HostMember):
            self._take_host(member, member.location)

    def _take_host(self, host: HostMember, location: Location) -> None:
        """Use a host that has started, unless its node computes otherwise than the first one's."""
        self._arithmetic = self._arithmetic or location.arithmetic
        if location.arithmetic == self._arithmetic:
            self._hand_out_step(host)
            return
        self._unlike = True
        self._remove(host)
        ray.kill(host.actor)
        self._lose_studies(host, f"{location} computes otherwise than the other study hosts")

    def _take_evaluated(self, member: EvaluatorMember, ref: Any) -> None:
        job, where = member.job, str(member.location)
        assert job is not None  # noqa: S101 - pending belongs to a job
        member.job = member.pending = None
        try:
            outcome, memory = ray.get(ref)
        except MemoryError:
            # The watch's exception, when the evaluation had just ended by itself.
            outcome, memory = Lost(Cause.MEMORY, "out of memory"), 0
        except RayTaskError as error:
            outcome, memory = Bug(f"{_reason(error)}", str(error)), 0
        except RayError as error:
            self._remove(member)
            ray.kill(member.actor)  # it may be alive and only out of reach
            message = f"its evaluator died: {_reason(error)}"
            if member.overrun:
                message = (
                    f"stuck for {self._overrun_after(job):g} s beyond its deadline of {job.deadline:g} s"
                )
                self._ready.append(Finished(job, Lost(Cause.DEADLINE, message), where))
            else:
                self._ready += self._deaths.take(
                    member.location, error, lambda cause: Finished(job, Lost(cause, message), where)
                )
            self._resize()
            return
        member.served += 1
        member.first_memory = member.first_memory or memory
        self._ready.append(Finished(job, outcome, where))
        assert member.location is not None  # noqa: S101 - it has answered
        grown = memory - member.first_memory > GROWTH * self._memory_limit(member.location).nbytes
        if grown or member.served >= self._recycle_after or self._spent(outcome):
            self._remove(member)
            ray.kill(member.actor)
            self._resize()

    def _take_stepped(self, host: HostMember, ref: Any) -> None:
        step = host.step
        assert step is not None  # noqa: S101 - pending belongs to a step
        host.step = host.pending = None
        try:
            stepped: Stepped = ray.get(ref)
        except RayTaskError as error:
            stepped = Stepped(step.key, problem=Bug(_reason(error), str(error)))
        except RayError as error:
            self._remove(host)
            ray.kill(host.actor)
            message = f"its searcher's process died: {_reason(error)}"
            if host.studies.pop(step.key.id, None) is not None:
                self._ready += self._deaths.take(
                    host.location, error, lambda cause: Stepped(step.key, problem=Lost(cause, message))
                )
            self._lose_studies(host, message)
            return
        if stepped.done or stepped.problem is not None:
            host.studies.pop(step.key.id, None)
        self._ready.append(stepped)
        self._hand_out_step(host)

    def _spent(self, outcome: Outcome) -> bool:
        """Whether an outcome's process is to train nothing else."""
        if isinstance(outcome, Lost):
            return outcome.cause is Cause.MEMORY
        # On a GPU some errors stick: whatever the process asks of it afterwards fails with the same one.
        return isinstance(outcome, Bug) and self._gpus > 0

    # Losing.

    def _remove(self, member: Member) -> None:
        if isinstance(member, EvaluatorMember):
            self._evaluators.remove(member)
        elif isinstance(member, HostMember):
            self._hosts.remove(member)

    def _lose_studies(self, host: HostMember, message: str) -> None:
        """Hand back the studies of a lost host that it was not working on: they had no part in its end."""
        for key in host.studies.values():
            self._ready.append(Stepped(key, problem=Lost(Cause.NODE, message)))
        host.studies.clear()

    def _overrun_after(self, job: Job) -> float:
        return max(self._overrun, job.deadline or 0.0)

    def _kill_overrun(self) -> None:
        now = time.monotonic()
        for member in self._evaluators:
            job = member.job
            if job is None or job.deadline is None or member.overrun:
                continue
            if now - member.since > job.deadline + self._overrun_after(job):
                member.overrun = True
                ray.kill(member.actor)


def _reason(error: Exception) -> str:
    """Return what of Ray's message says why, in one line and without its general advice."""
    lines = [line.strip() for line in str(error).strip().splitlines()]
    line = next((line for line in reversed(lines) if line), type(error).__name__)
    return line.partition(" Some common causes include")[0].rstrip(".")
