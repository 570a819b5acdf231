"""The laboratory's machines are apart from each other, from this computer, and from everything else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time

import machines
import psutil
import pytest

pytestmark = pytest.mark.slow
if reason := machines.missing():
    pytest.skip(reason, allow_module_level=True)

KNOWN = "ssh -o BatchMode=yes -o ConnectTimeout=3 -o StrictHostKeyChecking=no"


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    key = tmp_path_factory.mktemp("key") / "id"
    public = machines.make_key(key)
    with machines.Laboratory() as laboratory:
        made = [
            laboratory.machine(name, f"10.83.0.{n}", login=key) for n, name in enumerate(("one", "two"), 1)
        ]
        laboratory.name_machines({machine.name: machine.ip for machine in made})
        for machine in made:
            machine.add_user("derby", keys=public)
            machine.user = "derby"
            machine.run("cat > ~/.ssh/id_ed25519 && chmod 600 ~/.ssh/id_ed25519", input=key.read_text())
        yield made


def test_each_has_its_own_address_name_home_and_temporary_folder(pair):
    one, two = pair
    for machine in pair:
        machine.run(f"echo {machine.name} | tee /tmp/mark ~/mark")
    for machine in pair:
        assert machine.run("hostname; hostname -I; cat /tmp/mark ~/mark").stdout.split() == [
            machine.name, machine.ip, machine.name, machine.name,
        ]  # fmt: skip
    assert one.path("/home/derby/mark").read_text() == "one\n"
    assert {one.run("pgrep -c sshd").stdout, two.run("pgrep -c sshd").stdout} == {"1\n"}
    assert not os.path.exists("/home/derby")


def test_one_logs_in_to_the_other(pair):
    one, _ = pair
    assert one.run(f"{KNOWN} two 'whoami; hostname'").stdout == "derby\ntwo\n"


def test_no_address_but_theirs_is_reached(pair):
    one, _ = pair
    assert one.run("ip -brief address", user="root").stdout.count("UP") == 1
    assert re.search("No route|timed out", one.run(f"{KNOWN} 192.0.2.1 true", check=False).stderr)


def test_this_computer_cannot_be_written_to(pair):
    assert "Read-only" in pair[0].run("touch /usr/mark", user="root", check=False).stderr
    pair[0].run("touch /etc/mark /var/mark", user="root")
    assert not os.path.exists("/etc/mark") and not os.path.exists("/var/mark")


def test_a_pulled_cable_cuts_the_network_and_nothing_else(pair):
    one, two = pair
    two.pull_cable()
    assert one.run(f"{KNOWN} two true", check=False).returncode == 255
    assert two.run("hostname").stdout == "two\n"
    two.plug_cable()
    assert one.run(f"{KNOWN} two hostname").stdout == "two\n"


def test_a_machine_that_was_off_has_its_disk_and_no_process(pair):
    one, two = pair
    two.run("echo kept > ~/disk; echo gone > /tmp/gone")
    two.run("setsid sleep 1000 > /dev/null 2>&1 &")
    two.power_off()
    assert two.path("/home/derby/disk").read_text() == "kept\n"
    assert one.run(f"{KNOWN} two true", check=False).returncode == 255
    two.boot()
    assert (
        one.run(f"{KNOWN} two 'cat disk; ls /tmp; pgrep -x sleep -u derby'", check=False).stdout == "kept\n"
    )


def test_a_user_is_nobody_else(pair):
    assert "Permission denied" in pair[0].run("cat /etc/ssh/laboratory_host_key", check=False).stderr


def test_everything_ends_with_its_maker_however_that_ends():
    code = "import machines, os, time; lab = machines.Laboratory().__enter__(); m = lab.machine('one', '10.83.0.1')"
    code += "; print(m.pid, lab.base, flush=True); time.sleep(100)"
    maker = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.path.dirname(machines.__file__)},
        stdout=subprocess.PIPE,
        text=True,
    )
    pid, base = maker.stdout.readline().split()
    assert psutil.pid_exists(int(pid))
    maker.kill()
    maker.communicate()
    until = time.monotonic() + 10
    while psutil.pid_exists(int(pid)):
        assert time.monotonic() < until
        time.sleep(0.02)
    os.rmdir(base)
