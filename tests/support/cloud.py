"""A simulated EC2, moto's server, for the laboratory: `ec2.py` runs it on a machine, and gives its instances machines.

Runs under an environment that has moto and nothing of the project. Prints a line of JSON with every instance whenever
one has changed: id, state, address, whether it is on spot, and the public key that may log in.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from typing import Any

os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"  # Ray gives them to the head's role

from moto.backends import get_backend
from moto.ec2.models.instances import InstanceBackend
from moto.server import ThreadedMotoServer

PORT = 5000
ACCOUNT, REGION = "123456789012", "us-west-2"


def with_requests(run: Any) -> Any:
    """Let spot instances have the request they came by, as on EC2: by it Ray knows them, and terminates, not stops."""

    def run_instances(self: Any, *arguments: Any, **options: Any) -> Any:
        made = run(self, *arguments, **options)
        for instance in made.instances:
            if instance.lifecycle == "spot":
                instance.spot_instance_request_id = f"sir-{instance.id[-8:]}"
                instance.instance_lifecycle = "spot"
        return made

    return run_instances


def instances(backend: Any) -> list[dict[str, Any]]:
    """Return every instance there has been."""
    return [
        {
            "id": instance.id,
            "state": instance.state,
            "address": instance.private_ip,
            "spot": instance.lifecycle == "spot",
            "type": instance.instance_type,
            "key": backend.key_pairs[instance.key_name].material_public.decode(),
        }
        for reservation in list(backend.reservations.values())
        for instance in reservation.instances
    ]


def main() -> None:
    """Serve until the process ends."""
    InstanceBackend.run_instances = with_requests(InstanceBackend.run_instances)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # else it writes a line for every request
    ThreadedMotoServer(port=PORT, verbose=False).start()
    backend = get_backend("ec2")[ACCOUNT][REGION]
    before = None
    while True:
        now = json.dumps(instances(backend))
        if now != before:
            print(now, flush=True)
            before = now
        time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main())
