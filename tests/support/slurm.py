"""SLURM on machines of the laboratory: one where jobs are submitted from and scheduled, and nodes that run them.

The machines share their home folders, as the nodes of a cluster do. A node's processors, memory and GPUs are what the
configuration says it has; GPUs are only counted.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass

from desk import wait_until
from equipment import PROFILE, ROOT, Equipment, project_files
from machines import Laboratory, Machine

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "munged")
USER = "me"
HOME = f"/home/{USER}"
PROJECT = f"{HOME}/project"
LOGIN = "10.83.2.1"
ENVIRONMENT = "/env"
"""Of each machine its own copy; in the project's folder a link leads to it."""

CONFIGURATION = """\
ClusterName=laboratory
SlurmctldHost=login
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
StateSaveLocation=/var/spool/slurmctld
SlurmdSpoolDir=/var/spool/slurmd
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
SlurmctldLogFile=/var/log/slurmctld.log
SlurmdLogFile=/var/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
MailProg=/bin/true
ReturnToService=2
SlurmdTimeout=30
KillWait=30
SchedulerParameters=sched_interval=5,bf_interval=5
GresTypes=gpu
NodeName=DEFAULT CPUs={cpus} RealMemory={memory} Gres=gpu:{gpus} State=UNKNOWN
{nodes}
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE PriorityTier=1 GraceTime=30
PartitionName=urgent Nodes=ALL MaxTime=INFINITE PriorityTier=2 PreemptMode=OFF
"""
"""As Debian's packages want it, without accounting and control groups, and with less patience than usual."""


def missing() -> str | None:
    """Return what this computer lacks for it, or ``None``."""
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin"))
    if absent := [program for program in PROGRAMS if shutil.which(program, path=path) is None]:
        return f"no {', '.join(absent)} here (Debian: slurmctld, slurmd, slurm-client, munge)"
    return None


@dataclass(slots=True, eq=False)
class Slurm:
    """A cluster whose jobs a user may submit on `login`."""

    login: Machine
    nodes: dict[str, Machine]

    def show(self, job: int) -> dict[str, str]:
        """Return what SLURM knows of a job, by its own names."""
        said = self.login.run(f"scontrol --oneliner show job {job}").stdout
        return dict(re.findall(r"(\S+?)=(\S*)", said))

    def idle(self) -> int:
        """Return how many nodes have no job and are well."""
        listed = "sinfo --noheader --Node --format %N --states idle"  # in each partition
        return len(set(self.login.run(listed, check=False).stdout.split()))

    def submit(self, command: str) -> int:
        """Submit a job from the project's folder, and return its number."""
        said = self.login.run(f"cd {PROJECT} && {command}").stdout
        return int(re.search(r"Submitted batch job (\d+)", said).group(1))

    def kill_daemon(self, name: str) -> None:
        """Kill a node's daemon: the cluster loses the node, whatever runs there."""
        self.nodes[name].run("kill -9 $(cat /run/slurmd.pid)", user="root")

    def start_node(self, name: str) -> None:
        """Start a node's daemon."""
        self.nodes[name].run("slurmd", user="root")


def cluster(
    laboratory: Laboratory,
    equipment: Equipment,
    names: list[str],
    *,
    cpus: int = 2,
    memory: int = 4000,
    gpus: int = 1,
) -> Slurm:
    """Make machines and start SLURM on them.

    Args:
        laboratory: Where they stand.
        equipment: What is installed.
        names: Of the nodes.
        cpus: Processors of each.
        memory: Megabytes of each.
        gpus: GPUs of each, which are not there.
    """
    addresses = {"login": LOGIN} | {name: f"10.83.2.{n}" for n, name in enumerate(names, 11)}
    settings = CONFIGURATION.format(
        nodes="\n".join(f"NodeName={name}" for name in names), cpus=cpus, memory=memory, gpus=gpus
    )
    key = os.urandom(128)
    for name, address in addresses.items():
        machine = laboratory.machine(
            name,
            address,
            lent={equipment.packages: "/packages"},
            copied={equipment.environment: ENVIRONMENT},
        )
        machine.run("mkdir -p /shared/home /etc/slurm /run/munge && mount --bind /shared/home /home")
        machine.path("/etc/slurm/slurm.conf").write_text(settings)
        machine.path("/etc/slurm/gres.conf").write_text("Name=gpu File=/dev/null\n")
        # Asked for even where nothing uses control groups, of which machines see none.
        machine.path("/etc/slurm/cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
        machine.path("/etc/profile.d/laboratory.sh").write_text(PROFILE)
        path = machine.path("/etc/munge/munge.key")
        path.unlink(missing_ok=True)
        path.write_bytes(key)
        path.chmod(0o600)
        machine.add_user(USER)
        machine.user = USER
    laboratory.name_machines(addresses)
    login = laboratory.machines["login"]
    _clone(login)
    for machine in laboratory.machines.values():
        install = (
            f"uv/bin/uv pip install --quiet --python {ENVIRONMENT}/bin/python --no-deps --editable project"
        )
        machine.run(install, timeout=300)
        machine.run("mkdir -p /var/spool/slurmctld /var/spool/slurmd && munged --force", user="root")
    login.run("slurmctld", user="root")
    made = Slurm(login, {name: laboratory.machines[name] for name in names})
    for name in names:
        made.start_node(name)
    wait_until(lambda: made.idle() == len(names), minutes=2, what="all nodes")
    return made


def _clone(login: Machine) -> None:
    """Put the project and what installs it into the home folder that all share."""
    login.run(f"mkdir {PROJECT} && ln -s {ENVIRONMENT} {PROJECT}/.venv")
    pack = ["tar", "-C", str(ROOT), "--null", "--files-from", "-", "-cf", "-"]
    packed = subprocess.run(
        pack, input="\0".join(project_files()).encode(), stdout=subprocess.PIPE, check=True
    )
    unpack = ["tar", "-xf", "-", "--no-same-owner", "-C", str(login.path(PROJECT))]
    subprocess.run(unpack, input=packed.stdout, check=True)
    login.run(f"chown -R {USER}:{USER} {PROJECT}", user="root")
    login.run("python3 -m venv uv && uv/bin/pip install --quiet uv", timeout=300)
