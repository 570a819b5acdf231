"""AWS, by the documented commands as they stand, on a simulated EC2 whose instances are the laboratory's machines.

One story in its order, as in `test_own_machines.py`.
"""

from __future__ import annotations

import re

import pytest
from desk import Desk, trained, values, wait_until
from ec2 import CREDENTIALS, served
from machines import Laboratory

pytestmark = pytest.mark.lab

FILE = "cluster.yaml"
FILLED_IN = {
    "ami-FILL-IN": "ami-12c6146b",
    # No address but the laboratory's own is to be reached.
    "  cache_stopped_nodes: true\n": "  cache_stopped_nodes: true\n  use_internal_ips: true\n",
    "idle_timeout_minutes: 10": "idle_timeout_minutes: 1",
}
FEW = {"--gpus-per-evaluator 0.25": "--gpus-per-evaluator 1 --evaluators 2"}
"""One evaluator for each of two workers, which is what this computer has processors for."""
GONE = ("stopping", "stopped", "shutting-down", "terminated")


@pytest.fixture(scope="module")
def laboratory():
    with Laboratory() as made:
        yield made


@pytest.fixture(scope="module")
def cloud(laboratory, key, installed):
    with served(laboratory, key[0], installed) as made:
        yield made


@pytest.fixture(scope="module")
def desk(laboratory, cloud, key, installed):
    made = Desk(laboratory, "172.31.255.2", key[0], installed)
    with made.machine.path("/etc/profile.d/laboratory.sh").open("a") as profile:
        profile.writelines(f"export {name}={value}\n" for name, value in CREDENTIALS.items())
    made.fill_in(FILE, FILLED_IN)
    return made


def in_the_cloud(desk, start, changed=None, **options):
    """Run a documented command from the environment that the page says to make for AWS."""
    return desk.does(start, changed, environment="cloud", **options)


def status(desk):
    return in_the_cloud(desk, f"ray exec {FILE} 'derby status")


def running(head):
    return head.run("pgrep -f '[b]in/derby run'", check=False).returncode == 0


def test_up_starts_a_head_and_no_worker(desk, cloud):
    in_the_cloud(desk, "ray get-auth-token")
    in_the_cloud(desk, f"ray up {FILE}", minutes=15)
    assert len(cloud.of(spot=False)) == 1
    assert cloud.of(spot=True) == []


def test_workers_come_when_a_run_asks_for_them_and_one_that_is_reclaimed_is_replaced(desk, cloud, serial):
    (head_id,) = cloud.of(spot=False)
    head = cloud.machines[head_id]
    in_the_cloud(desk, f"ray exec {FILE} --tmux", FEW)
    wait_until(lambda: len(cloud.of(spot=True)) == 2, minutes=10, what="two workers")
    results = head.path("/home/ubuntu/results")
    wait_until(lambda: len(trained(results)) >= 3, minutes=20, what="trainings")
    reclaimed, _ = cloud.of(spot=True)
    cloud.reclaim(reclaimed)
    wait_until(
        lambda: (len(cloud.of(spot=True)) == 2 and reclaimed not in cloud.of(spot=True)) or not running(head),
        minutes=10,
        what="another in its place",
    )
    wait_until(lambda: not running(head), minutes=20, what="the end of the run")
    assert re.search(r"^\S+ +random +3 +0 +0 +0 +18 ", status(desk), re.MULTILINE)
    in_the_cloud(desk, f"ray rsync-down {FILE}")
    fetched = desk.record("results/aws")
    assert values(fetched) == values(serial)
    assert len(trained(fetched)) == len(trained(serial))
    assert "report" in desk.does("derby report live --results results/aws", minutes=10)


def test_idle_workers_are_terminated_with_their_disks_and_not_kept(cloud):
    wait_until(lambda: not cloud.of(spot=True), minutes=10, what="the end of idle workers")
    wait_until(lambda: cloud.of(spot=True, states=("terminated",)), minutes=1, what="their state")
    assert cloud.of(spot=True, states=("stopping", "stopped")) == []
    assert cloud.disks_of(cloud.of(spot=True, states=("terminated",))) == []


def test_down_stops_the_head_and_up_starts_the_same_with_its_disk(desk, cloud):
    (head_id,) = cloud.of(spot=False)
    in_the_cloud(desk, f"ray down {FILE}", minutes=10)
    wait_until(lambda: cloud.of(spot=False, states=("stopped",)), minutes=2, what="the stopped head")
    assert cloud.machines[head_id].pid is None
    assert len(cloud.disks_of([head_id])) >= 1
    in_the_cloud(desk, f"ray up {FILE}", minutes=15)
    assert cloud.of(spot=False) == [head_id]
    assert trained(cloud.machines[head_id].path("/home/ubuntu/results"))
