"""Machines of one's own, by the documented commands as they stand: `ray up`, runs, what a loss costs, and the end.

The tests are one story in its order: the first makes the cluster, and each goes on from where the one before it left.
"""

from __future__ import annotations

import re

import pytest
from desk import Desk, install, trained, values, wait_until
from equipment import documented
from machines import Laboratory

pytestmark = pytest.mark.lab

FILE = "docs/cluster/on-premises.yaml"
ADDRESSES = {"head": "10.83.0.10", "head-2": "10.83.0.11", "gpu-1": "10.83.0.21", "gpu-2": "10.83.0.22"}
WORKERS = ("gpu-1", "gpu-2")
HAS_A_GPU = {"RAY_OVERRIDE_RESOURCES": '{"CPU":1,"GPU":1}'}
"""Lets Ray find a GPU, so that there is a share of one to be had; TensorFlow finds none, and takes the processor."""
RUN = f"ray exec {FILE} --tmux"


@pytest.fixture(scope="module")
def laboratory():
    with Laboratory() as made:
        yield made


@pytest.fixture(scope="module")
def machines(laboratory, key, installed):
    private, public = key
    for name, address in ADDRESSES.items():
        machine = laboratory.machine(
            name,
            address,
            login=private,
            lent={installed.packages: "/packages"},
            copied={installed.environment: "/home/derby/env"},
        )
        install(machine, "derby", public, HAS_A_GPU if name in WORKERS else None)
    return laboratory.machines


@pytest.fixture(scope="module")
def desk(laboratory, machines, key, installed):
    made = Desk(laboratory, "10.83.0.2", key[0], installed)
    laboratory.name_machines({f"{name}.example.org": address for name, address in ADDRESSES.items()})
    made.does("ray get-auth-token --generate")
    return made


def status(machine, results="results"):
    # Before the driver has written its first line there is no such sweep.
    return machine.run(f"env/bin/derby status live --results {results}", check=False).stdout


def running(machine):
    return machine.run("pgrep -f '[b]in/derby run'", check=False).returncode == 0


def on_record(machine, results="results"):
    return len(trained(machine.path(f"/home/derby/{results}")))


def finished(machine, results="results"):
    wait_until(lambda: not running(machine), minutes=15, what="the end of the run")
    said = status(machine, results)
    assert re.search(r"^\S+ +random +3 +0 +0 +0 +18 ", said, re.MULTILINE), said
    return said


def of_cluster(machine):
    """Return the addresses at which a machine can be reached, but for that of its SSH server."""
    return {place for place in machine.listening() if not place.startswith(("127.", "[::1]"))} - {
        "0.0.0.0:22"
    }


def test_all_machines_start(desk, machines, serial):
    desk.does(f"ray up {FILE}", minutes=15)
    # A run that begins at once says which machines are not there yet, and uses them when they are.
    desk.does(RUN)
    head = machines["head"]
    wait_until(lambda: running(head), minutes=2, what="a driver")
    said = wait_until(
        lambda: re.search("missing: .*", status(head)) or not running(head),
        minutes=5,
        what="missing machines",
    )
    assert said.group() == (
        "missing: gpu-1.example.org (not in the cluster), gpu-2.example.org (not in the cluster)"
    )
    wait_until(lambda: "missing:" not in status(head), minutes=15, what="all machines")
    assert on_record(head) < len(trained(serial))  # it was not only that the run had ended
    for worker in WORKERS:
        assert of_cluster(machines[worker])


def test_a_pulled_cable_costs_what_was_in_flight(desk, machines, serial):
    head, pulled = machines["head"], machines["gpu-2"]
    wait_until(lambda: on_record(head), minutes=10, what="a training")
    pulled.pull_cable()
    said = wait_until(lambda: re.search("missing: .*", status(head)), minutes=5, what="the loss")
    assert said.group() == "missing: gpu-2.example.org (not in the cluster)"
    pulled.plug_cable()
    finished(head)
    desk.does(f"ray rsync-down {FILE}")
    fetched = desk.record("results/cluster")
    assert values(fetched) == values(serial)
    assert len(trained(fetched)) == len(trained(serial))


def test_a_job_is_submitted_and_submitted_again(desk, machines, serial):
    head = machines["head"]
    submit = documented("RAY_AUTH_MODE=token ray job submit").replace("--results results", "--results by-job")
    head.run(f"export PATH=$HOME/env/bin:$PATH; {submit}", timeout=300)
    wait_until(lambda: running(head), minutes=3, what="a driver")
    wait_until(lambda: on_record(head, "by-job") >= 3, minutes=10, what="trainings")
    head.run(
        f"export PATH=$HOME/env/bin:$PATH; {documented('RAY_AUTH_MODE=token ray job stop')}", timeout=300
    )
    wait_until(lambda: not running(head), minutes=3, what="the end of the job")
    before = on_record(head, "by-job")
    assert before < len(trained(serial))
    again = submit.replace("--submission-id live", "--submission-id again")
    head.run(f"export PATH=$HOME/env/bin:$PATH; {again}", timeout=300)
    wait_until(lambda: running(head), minutes=3, what="a driver")
    finished(head, "by-job")
    assert values(head.path("/home/derby/by-job")) == values(serial)


def test_a_lost_head_is_gone_on_from_on_another(desk, machines, serial):
    """`--sync-to` keeps a copy on a share; the head's machine is switched off, and another takes its place."""
    head, other = machines["head"], machines["head-2"]
    # Of its own on the new head, which may be fetched only from the copy.
    synced = {"--results results": "--results synced --sync-to /mnt/share/live"}
    assert documented("derby run docs/sweeps/live.yaml --results results --sync-to /mnt/share/live")
    desk.does(RUN, synced)
    wait_until(lambda: on_record(head, "synced") >= 6, minutes=10, what="trainings")
    shared = head.path("/shared/live")
    wait_until(lambda: shared.exists() and trained(shared), minutes=3, what="a copy")
    copied = {line["id"] for line in trained(shared)}
    head.power_off()
    desk.fill_in(FILE, {"head.example.org": "head-2.example.org"})
    desk.does(f"ray up {FILE}", minutes=15)
    desk.does(RUN, synced)
    wait_until(lambda: running(other), minutes=2, what="a driver")
    finished(other, "synced")
    found = trained(other.path("/home/derby/synced"))
    assert values(other.path("/home/derby/synced")) == values(serial)
    assert len(found) == len(trained(serial)) and copied < {
        line["id"] for line in found
    }  # nothing that was copied was trained again


def test_nothing_is_told_to_ray_s_makers(machines):
    """Not even that nothing is told, which Ray tells where its usage statistics are only turned off."""
    said = (
        machines["head-2"]
        .run(
            "cat /tmp/ray/session_latest/logs/dashboard*.log; for process in $(pgrep -f dashboard.py); do "
            "tr '\\0' '\\n' < /proc/$process/environ; done",
            user="root",
        )
        .stdout
    )
    assert "Usage reporting is disabled" in said and "Usage reporting is enabled" not in said
    assert "RAY_USAGE_STATS_REPORT_URL=http://127.0.0.1:9" in said


def test_down_leaves_nothing(desk, machines):
    desk.does(f"ray down {FILE}")
    assert of_cluster(machines["head-2"]) == set()
    desk.does("for machine in gpu-1.example.org")
    for worker in WORKERS:
        assert of_cluster(machines[worker]) == set()
        assert machines[worker].run("pgrep -u derby -f [r]ay/", check=False).stdout == ""
