"""Amazon's EC2 as far as `ray up` can tell: a simulated one in the laboratory, whose instances are machines.

An instance that is launched becomes a machine with the address that EC2 says it has, is switched off when it is stopped
or terminated, and on again, with its disk, when it is started. Its image has what the setup commands need, and
stand-ins for ``sudo`` and ``apt-get``, which have nothing to do there.
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from desk import install
from equipment import Equipment
from machines import Laboratory, Machine

ADDRESS, PORT = "172.31.255.1", 5000
USER = "ubuntu"
CREDENTIALS = {
    "AWS_ENDPOINT_URL": f"http://{ADDRESS}:{PORT}",
    "AWS_ACCESS_KEY_ID": "laboratory",
    "AWS_SECRET_ACCESS_KEY": "laboratory",
    "AWS_DEFAULT_REGION": "us-west-2",
    "AWS_EC2_METADATA_DISABLED": "true",
}
STAND_INS = {"sudo": 'exec "$@"', "apt-get": "exit 0"}
PATH = "/etc/laboratory:/usr/local/bin:/usr/bin:/bin"


class Ec2:
    """A simulated EC2.

    Args:
        laboratory: Where it is, in the network 172.31.0.0/16.
        key: The host key of its instances.
        equipment: What is installed.
    """

    def __init__(self, laboratory: Laboratory, key: Path, equipment: Equipment) -> None:
        self._laboratory, self._key, self._equipment = laboratory, key, equipment
        self.instances: dict[str, dict[str, Any]] = {}
        """What EC2 says of each, by its id."""
        self.machines: dict[str, Machine] = {}
        """Instances by id, also those that are off."""
        self.failure: BaseException | None = None
        self._server = laboratory.machine(
            "aws", ADDRESS, copied={equipment.cloud: "/cloud"}, lent={Path(__file__).parent: "/support"}
        )
        self._process = subprocess.Popen(
            self._server.command("exec /cloud/bin/python /support/cloud.py"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        try:
            for line in self._process.stdout:
                told = {instance["id"]: instance for instance in json.loads(line)}
                self.instances = told
                for instance in told.values():
                    self._follow_one(instance)
        except BaseException as error:  # noqa: BLE001 - the test's thread says it
            self.failure = error

    def _follow_one(self, instance: dict[str, Any]) -> None:
        machine, runs = self.machines.get(instance["id"]), instance["state"] in ("pending", "running")
        if machine is None and runs:
            self.machines[instance["id"]] = self._launch(instance)
        elif machine is not None and runs and machine.pid is None:
            machine.boot()
        elif machine is not None and not runs:
            machine.power_off()

    def _launch(self, instance: dict[str, Any]) -> Machine:
        machine = self._laboratory.machine(
            f"ec2-{len(self.machines)}",
            instance["address"],
            login=self._key,
            lent={self._equipment.packages: "/packages"},
            copied={self._equipment.environment: f"/home/{USER}/env"},
        )
        machine.run("mkdir /etc/laboratory")
        for name, line in STAND_INS.items():
            machine.run(
                f"cat > /etc/laboratory/{name}; chmod +x /etc/laboratory/{name}", input=f"#!/bin/sh\n{line}\n"
            )
        install(machine, USER, instance["key"], {**CREDENTIALS, "PATH": PATH})
        return machine

    def of(self, *, spot: bool, states: tuple[str, ...] = ("pending", "running")) -> list[str]:
        """Return the ids of the instances that are, or are not, on spot and in one of these states."""
        if self.failure is not None:
            raise RuntimeError("the simulated EC2 failed") from self.failure
        found = self.instances.items()
        return [name for name, told in found if told["spot"] == spot and told["state"] in states]

    def reclaim(self, instance: str) -> None:
        """Take a spot instance back, as Amazon does: at once, as its notice is nobody's to read here."""
        self._ask(f"terminate_instances(InstanceIds=['{instance}'])")

    def disks_of(self, instances: list[str]) -> list[str]:
        """Return the ids of the disks that there are of these instances, whatever has become of those."""
        told = self._ask("describe_volumes()")["Volumes"]
        return [
            disk["VolumeId"]
            for disk in told
            if any(place["InstanceId"] in instances for place in disk["Attachments"])
        ]

    def _ask(self, call: str) -> Any:
        code = f"import boto3, json; print(json.dumps(boto3.client('ec2').{call}, default=str))"
        told = " ".join(f"{name}={value}" for name, value in CREDENTIALS.items())
        return json.loads(self._server.run(f'env {told} /cloud/bin/python -c "{code}"').stdout)

    def close(self) -> None:
        """End it. Its instances stay, as machines."""
        self._server.power_off()
        self._process.wait()
        self._thread.join()
        self._process.stdout.close()


@contextmanager
def served(laboratory: Laboratory, key: Path, equipment: Equipment) -> Iterator[Ec2]:
    """A simulated EC2 while this context lasts."""
    made = Ec2(laboratory, key, equipment)
    try:
        yield made
    finally:
        made.close()
