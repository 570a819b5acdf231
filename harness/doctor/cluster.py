"""Examines a Ray cluster: who is there, what each node has, whether it can do its part, and how many evaluators fit."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import ray
from filelock import FileLock

from derby.rooms import ROOMS
from harness import files
from harness.doctor import comparing
from harness.doctor.asking import Answers, Node, Probes, nodes_of_cluster
from harness.doctor.findings import Finding, Grade, fine, problem, size, some, warning
from harness.doctor.probe import Probe
from harness.doctor.storage import place_to_try
from harness.doctor.versions import needed
from harness.errors import DerbyError
from harness.executors.cluster import CONNECT_SECONDS, asks_for_token, connect, fitting, is_silent
from harness.executors.roll import Roll, adds_nodes, offer
from harness.machine import installed
from harness.plurals import plural

if TYPE_CHECKING:
    from harness.doctor.examination import Wanted
    from harness.keys import TaskKey
    from harness.launch import Placement

CURE_OF_SILENCE: Final = (
    "see whether Ray runs there (`ray status`) and what its logs say (/tmp/ray/session_latest/logs); start Ray anew on "
    "it, or take it out of the cluster"
)


def examine_cluster(
    about: Wanted, results: Path, placement: Placement, patience: float, data: int
) -> Iterator[Finding]:
    """Yield what a run will find on a cluster, or on one of its own on this machine.

    Args:
        about: What it would run.
        results: The results folder.
        placement: Where it would run.
        patience: Seconds that a node may take for each answer.
        data: Bytes of the tasks' data.
    """
    where = placement.address or "this machine"
    if placement.address is not None and is_silent(placement.address):
        yield problem(
            "cluster",
            f"the head of the Ray cluster at {placement.address} takes connections, and answers nothing for "
            f"{CONNECT_SECONDS:g} s",
            "see whether it hangs or is overloaded (its logs are in /tmp/ray/session_latest/logs there); start it anew",
        )
        return
    try:
        token = placement.address is not None and asks_for_token(placement.address)
        joined = connect(placement.address, about.arithmetic)
    except DerbyError as error:
        yield Finding(Grade.PROBLEM, "cluster", str(error))
        return
    try:
        nodes = nodes_of_cluster()
        asked = "; it asks for a token, and takes the one that is here" if token else ""
        yield fine("cluster", f"Ray {ray.__version__} at {where}, {plural(len(nodes), 'node')}{asked}")
        yield from _room(nodes, about, placement)
        with Probes(nodes, about.arithmetic, patience) as probes:
            yield from _Nodes(nodes, about, placement, probes).examine(results, data)
    finally:
        if joined:
            ray.shutdown()


def _room(nodes: list[Node], about: Wanted, placement: Placement) -> Iterator[Finding]:
    """Yield how many evaluators would be started, and which machines that should train cannot."""
    gpus = placement.gpus_per_evaluator
    needs = offer({"CPU": about.threads, **({"GPU": gpus} if gpus else {})})
    room = {node.id: fitting(node.offered, about.threads, gpus) for node in nodes}
    free = {node.id: fitting(node.free, about.threads, gpus) for node in nodes}
    total, now = sum(room.values()), sum(free.values())
    most = placement.evaluators or total
    if placement.address is not None:
        roll = Roll(about.threads, gpus, placement.nodes)
        roll.call()
        for name in roll.missing:
            yield problem(
                "nodes",
                f"should train, and does not: {name}",
                "start Ray there, see why it could not be set up, or correct --nodes",
            )
    if not total:
        offered = "; ".join(f"{node.name} offers {offer(node.offered)}" for node in nodes)
        text = f"there is no room for an evaluator of {needs}: {offered}"
        if about.sweep is not None and not about.training and placement.address is not None:
            yield fine(
                "evaluators", f"{text}; none is needed, since searchers' processes evaluate all its tasks"
            )
        elif adds_nodes():
            yield warning(
                "evaluators", f"{text}; a run asks for nodes, and waits a quarter of an hour for one"
            )
        else:
            yield problem(
                "evaluators",
                text,
                "ask for less (`threads` in the sweep file, --gpus-per-evaluator), start Ray with more (--num-cpus, "
                "--num-gpus), or add nodes; where an autoscaler adds them when asked, a run waits a quarter of an hour",
            )
        return
    without = [f"{node.name}, which offers {offer(node.offered)}" for node in nodes if not room[node.id]]
    less = f"; no room on {some(without)}" if without else ""
    bound = f" (--evaluators; there is room for {total})" if most < total else ""
    text = f"{plural(min(most, total), 'evaluator')} of {needs} would be started{bound}{less}"
    if about.sweep is not None:
        use = sum(study.key.workers for study in about.sweep.every_study if study.task in about.training)
        text += (
            f"; the sweep asks for {plural(use, 'evaluation')} at once at most"
            if use
            else "; none is needed, since searchers' processes evaluate all its tasks"
        )
    yield fine("evaluators", text)
    if placement.evaluators is not None and placement.evaluators > total:
        yield warning(
            "evaluators", f"--evaluators {placement.evaluators} are asked for, and there is room for {total}"
        )
    if now < min(most, total):
        yield warning(
            "evaluators",
            f"others use the cluster: {now} of {min(most, total)} could be started now",
            "wait for what runs there (`ray status`), or go on: a run takes what becomes free",
        )
    if placement.memory is not None:
        for node in nodes:
            want, has = placement.memory * min(room[node.id], most), node.offered.get("memory", float("inf"))
            if want > has:
                yield warning(
                    "evaluators",
                    f"{node.name}: {plural(room[node.id], 'evaluator')} of {size(placement.memory)} each would take "
                    f"more than its memory, {size(has)}",
                    "give fewer --evaluators or less --memory-per-evaluator",
                )


class _Nodes:
    """Asks the nodes, question by question; who does not answer one is named and asked no more."""

    def __init__(self, nodes: list[Node], about: Wanted, placement: Placement, probes: Probes) -> None:
        self._nodes = {node.id: node for node in nodes}
        self._about = about
        self._share = placement.gpus_per_evaluator
        self._threads = about.threads
        self._probes = probes
        self._room = {node.id: fitting(node.offered, about.threads, self._share) for node in nodes}
        self._usable: set[str] = set()
        """Those with this project's code."""

    def examine(self, results: Path, data: int) -> Iterator[Finding]:
        """Yield what there is to say of the nodes."""
        answers = self._ask("starting a process", lambda probe, _: probe.about.remote())
        yield from self._silent(answers)
        yield from self._abouts(answers, data)
        for node, (asked, answered) in answers.times.items():
            yield from comparing.clock(self._nodes[node].name, asked, answers.given[node]["time"], answered)
        answers = self._ask("listing its libraries", lambda probe, _: probe.distributions.remote())
        yield from self._silent(answers)
        needs = needed(self._about.libraries, ray=True)
        yield from comparing.versions(self._by_name(answers.given), needs)
        answers = self._ask("loading this project", lambda probe, _: probe.project.remote((*ROOMS, "derby")))
        yield from self._silent(answers)
        own = Probe().project((*ROOMS, "derby"))
        yield from comparing.code(self._by_name(answers.given), own, str(installed().get("ray")))
        self._usable = {node for node, about in answers.given.items() if "fault" not in about}
        yield from self._searchers()
        yield from self._tasks()
        yield from self._locks(results)

    def _ask(self, doing: str, question: Callable[[Any, str], Any]) -> Answers:
        return self._probes.ask(doing, question)

    def _by_name(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return {self._nodes[node].name: answer for node, answer in given.items()}

    def _silent(self, answers: Answers) -> Iterator[Finding]:
        for node, reason in answers.silent.items():
            yield problem("nodes", f"{self._nodes[node].name} {reason}", CURE_OF_SILENCE)

    def _abouts(self, answers: Answers, data: int) -> Iterator[Finding]:
        kinds: dict[str, None] = {}
        for node, about in answers.given.items():
            offered, name = self._nodes[node].offered, self._nodes[node].name
            vector = {True: ", AVX-512", False: ", no AVX-512", None: ""}[about["avx512"]]
            gpu = [key.partition(":")[2] for key in offered if key.startswith("accelerator_type:")]
            kind = f" ({', '.join(gpu)})" if gpu else ""
            yield fine(
                "node",
                f"{name}: {about['processor']}{vector}; {offer(offered)}{kind}, {size(offered.get('memory', 0.0))}; "
                f"room for {plural(self._room[node], 'evaluator')}",
            )
            kinds[f"{about['processor']}{vector}"] = None
            if about["gpus"] is not None and about["gpus"] < offered.get("GPU", 0.0):
                yield problem(
                    "gpus",
                    f"{name}: Ray offers {plural(int(offered['GPU']), 'GPU')}, and its driver lists "
                    f"{about['gpus']}: evaluators on the others would train on processors",
                    f"start Ray there with --num-gpus {about['gpus']}, or mend the driver (nvidia-smi)",
                )
            yield from self._stores(node, about, data)
        if len(kinds) > 1:
            yield comparing.processors(list(kinds), self._about.arithmetic)

    def _stores(self, node: str, about: Mapping[str, Any], data: int) -> Iterator[Finding]:
        name, store = self._nodes[node].name, self._nodes[node].offered.get("object_store_memory", 0.0)
        if about["shm"] is not None and about["shm"] < data:
            yield problem(
                "memory",
                f"{name}: the tasks' data are {size(data)}, and /dev/shm, where Ray keeps them, has "
                f"{size(about['shm'])} free",
                "free it, or make it larger (in a container: --shm-size)",
            )
        elif store < data:
            yield warning(
                "memory",
                f"{name}: the tasks' data are {size(data)}, and Ray's object store there is {size(store)}: what does "
                "not fit is read from the disk, which is slow",
                "start Ray there with a larger --object-store-memory",
            )

    def _searchers(self) -> Iterator[Finding]:
        if not self._about.searchers:
            return
        answers = self._ask(
            "loading searchers",
            lambda probe, node: (
                probe.searchers.remote(files.sources(), self._about.searchers)
                if node in self._usable
                else None
            ),
        )
        yield from self._silent(answers)
        faults = {
            node: {f"searcher {label!r}": fault for label, fault in each.items()}
            for node, each in answers.given.items()
        }
        yield from comparing.faults(self._by_name(faults), "searchers")

    def _tasks(self) -> Iterator[Finding]:
        about = self._about
        # Searchers' processes may be on any node; evaluators are where there is room.
        parts = ((about.cheap, 0.0, self._usable), (about.training, self._share, self._roomy))
        for keys, share, where in parts:
            if not keys:
                continue
            answers = self._ask("setting tasks up", partial(self._set_up, keys, share, where))
            yield from self._silent(answers)
            by_name = self._by_name(answers.given)
            faults = {
                name: {f"task {label!r}": one["fault"] for label, one in each.items() if "fault" in one}
                for name, each in by_name.items()
            }
            yield from comparing.faults(
                faults, "tasks that are trained" if keys is about.training else "tasks"
            )
            if share:
                libraries = {label: about.libraries_of(label) for label in keys}
                yield from comparing.devices(by_name, libraries)
            yield from comparing.machines(by_name)

    def _set_up(
        self, keys: Mapping[str, TaskKey], share: float, where: set[str], probe: Any, node: str
    ) -> Any:
        if node not in where:
            return None
        return probe.tasks.remote(files.sources(), keys, self._threads, share)

    @property
    def _roomy(self) -> set[str]:
        return {node for node in self._usable if self._room[node]}

    def _locks(self, results: Path) -> Iterator[Finding]:
        """Yield where a lock in the results folder keeps no driver on another machine out."""
        token = secrets.token_hex(16)
        try:
            with place_to_try(results) as folder:
                (folder / "lock").write_text(token, encoding="utf-8")
                with FileLock(folder / "lock", timeout=0):
                    answers = self._ask(
                        "trying the results folder's lock",
                        lambda probe, _: probe.locks.remote(str(folder / "lock"), token),
                    )
        except OSError:
            return  # it has been said of the folder itself
        yield from self._silent(answers)
        taken = [self._nodes[node].name for node, answer in answers.given.items() if answer == "taken"]
        if taken:
            yield warning(
                "results",
                f"{results} is shared with {some(taken)}, where its lock does not hold: a second driver there is not "
                "refused",
                "run one driver at a time, or have the file system mounted with locks",
            )
