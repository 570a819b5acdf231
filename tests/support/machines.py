"""Machines of the laboratory: network, mount and process namespaces on a bridge of their own, all on this computer.

A machine has its own address, host name, processes, home folders, ``/tmp``, ``/etc`` and ``/var``, and sees of this
computer its programs (``/usr`` and the like, to read) and what is lent to it. The bridge is in a network namespace
that has no way out, so nothing reaches another address than these; a machine has a default route all the same, by
which programs find out their own address. Everything lives below one process that ends with the one that made it,
however that ends: then the kernel ends all processes, mounts and links.

Needs Linux, root, ``iproute2``, ``util-linux`` and, where machines are to be logged in to, OpenSSH's server.

Example::

    with Laboratory() as laboratory:
        head = laboratory.machine("head", "10.83.0.10")
        print(head.run("hostname -I").stdout)
        head.pull_cable()
"""

from __future__ import annotations

import hashlib
import ipaddress
import itertools
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import psutil
from machine_scripts import MACHINE, OUTER, SSHD_CONFIG

PROGRAMS = ("ip", "mount", "nsenter", "pivot_root", "setpriv", "unshare")
SSHD = "/usr/sbin/sshd"
START_SECONDS = 30.0
FIRST_USER = 2000
"""The number of a machine's first user."""


def missing(*, ssh: bool = True) -> str | None:
    """Return what this computer lacks for a laboratory, or ``None``.

    Args:
        ssh: Whether machines are to be logged in to.
    """
    if not sys.platform.startswith("linux"):
        return "machines are made of Linux's namespaces"
    if os.geteuid() != 0:
        return "machines are made of namespaces, by root"
    programs = [*PROGRAMS, *(("ssh", "ssh-keygen", "rsync") if ssh else ())]
    if absent := [program for program in programs if shutil.which(program) is None]:
        return f"no {', '.join(absent)} here (Debian: iproute2, util-linux, openssh-client, rsync)"
    if ssh and not Path(SSHD).exists():
        return f"no {SSHD} here (Debian: openssh-server)"
    with tempfile.TemporaryDirectory() as folder:
        trial = f"mount --make-rprivate / && mount -t tmpfs trial {folder} && cd {folder} && mkdir a b c"
        trial += (
            " && mount -t overlay -o lowerdir=/etc,upperdir=a,workdir=b trial c && ip link add type bridge"
        )
        tried = subprocess.run(
            ["unshare", "--net", "--mount", "--pid", "--uts", "--ipc", "--fork", "bash", "-c", trial],
            capture_output=True,
            text=True,
            check=False,
        )
    if tried.returncode:
        return f"namespaces cannot be made here: {tried.stderr.strip().splitlines()[-1]}"
    return None


def _first(process: subprocess.Popen[str], depth: int) -> int:
    """Return the process so many forks below one, as it is called here."""
    found = psutil.Process(process.pid)
    until = time.monotonic() + START_SECONDS
    while depth:
        if children := found.children():
            found, depth = children[0], depth - 1
        elif time.monotonic() > until or process.poll() is not None:
            raise RuntimeError(f"{shlex.join(map(str, process.args))} started nothing")
        else:
            time.sleep(0.01)
    return found.pid


def _lines(folders: dict[Path, str]) -> str:
    return "\n".join(f"{source} {target}" for source, target in folders.items())


def _await_ready(process: subprocess.Popen[str]) -> None:
    if process.stdout.readline() != "ready\n":
        process.wait(START_SECONDS)
        raise RuntimeError(f"a machine did not start: {process.stderr.read()}")


@dataclass(slots=True, eq=False)
class Machine:
    """A machine, made by `Laboratory.machine`.

    Attributes:
        name: Its host name.
        address: With the network's width, as ``10.83.0.10/24``; empty while it has none.
        lent: Files and folders of this computer that it may read, and where it sees them.
        copied: Folders of this computer of which it has a copy of its own, and where.
    """

    laboratory: Laboratory
    name: str
    address: str
    lent: dict[Path, str]
    copied: dict[Path, str]
    user: str | None = None
    """Who runs what is run on it, unless said otherwise; ``None`` is root."""
    pid: int | None = None
    """Its first process, as it is called here; ``None`` while it is off."""
    _process: subprocess.Popen[str] | None = None

    @property
    def ip(self) -> str:
        """Its address alone."""
        return self.address.partition("/")[0]

    def boot(self) -> None:
        """Switch it on. Its disk is as it was; ``/tmp`` and ``/run`` are empty."""
        if self.pid is not None:
            raise RuntimeError(f"{self.name} is on")
        environment = {**os.environ, "BASE": str(self.laboratory.base), "NAME": self.name}
        environment |= {"ADDRESS": self.address, "LENT": _lines(self.lent), "COPIED": _lines(self.copied)}
        kinds = ("--net", "--mount", "--pid", "--uts", "--ipc")
        self._process = subprocess.Popen(
            [
                *self.laboratory.inside("mount", "net", "pid"),
                "unshare", *kinds, "--fork", "--kill-child", "bash", "-c", MACHINE,
            ],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        self.pid = _first(self._process, 2)
        wire = self.laboratory.wire(self.name)
        # Always the same, so that others find it again when it was off.
        card = f"02:{hashlib.sha256(self.name.encode()).digest()[:5].hex(':')}"
        add = ["ip", "link", "add", wire, "type", "veth", "peer", "name", "eth0", "address", card]
        self.laboratory.check([*self.laboratory.inside("net"), *add, "netns", str(self.pid)])
        self.laboratory.network("link", "set", wire, "master", "wire", "up")
        _await_ready(self._process)

    def power_off(self) -> None:
        """Switch it off at once, as by its plug; its disk stays."""
        if self.pid is not None:
            os.kill(self.pid, 9)
            self._process.wait(START_SECONDS)
            self._process.stdout.close()
            self._process.stderr.close()
            self.pid = None

    def pull_cable(self) -> None:
        """Cut it off from the network; its processes go on."""
        self.laboratory.network("link", "set", self.laboratory.wire(self.name), "down")

    def plug_cable(self) -> None:
        """Connect it again."""
        self.laboratory.network("link", "set", self.laboratory.wire(self.name), "up")

    def take_address(self, address: str) -> None:
        """Give it another address, with its network's width; empty takes its address away."""
        self.laboratory.check([*self.inside(), "ip", "address", "flush", "dev", "eth0"])
        self.address = address
        if address:
            self.laboratory.check([*self.inside(), "ip", "address", "add", address, "dev", "eth0"])
            self.laboratory.check([*self.inside(), "ip", "route", "add", "default", "dev", "eth0"])

    def add_user(self, name: str, *, keys: str = "") -> None:
        """Make a user with a home folder, who may log in with these public keys.

        Args:
            name: Who.
            keys: Lines of the file ``authorized_keys``.
        """
        taken = self.path("/etc/passwd").read_text()
        number = next(n for n in itertools.count(FIRST_USER) if f":{n}:" not in taken)
        with self.path("/etc/passwd").open("a") as passwd:
            passwd.write(f"{name}:x:{number}:{number}:{name}:/home/{name}:/bin/bash\n")
        with self.path("/etc/group").open("a") as group:
            group.write(f"{name}:x:{number}:\n")
        with self.path("/etc/shadow").open("a") as shadow:
            shadow.write(f"{name}:*:20000:0:99999:7:::\n")
        folder = f"/home/{name}"
        made = f"mkdir -p {folder}/.ssh && cp -rT /etc/skel {folder} && cat > {folder}/.ssh/authorized_keys"
        made += f" && find {folder} -xdev -exec chown -h {name}:{name} {{}} + && chmod -R go= {folder}/.ssh"
        self.run(made, user="root", input=keys)

    def run(
        self,
        command: str,
        *,
        user: str | None = None,
        timeout: float = 120.0,
        check: bool = True,
        input: str | None = None,  # noqa: A002 - the name that subprocess gives it
    ) -> subprocess.CompletedProcess[str]:
        """Run a line of shell on it as in a login, and return what came of it.

        Args:
            command: The line.
            user: Who runs it; by default the machine's `user`.
            timeout: Seconds after which it is ended, with exit code 124.
            check: Raise an error that has its output where its exit code is not 0.
            input: What it reads.
        """
        done = subprocess.run(
            self.command(command, user=user, timeout=timeout),
            capture_output=True,
            text=True,
            check=False,
            **({"input": input} if input is not None else {"stdin": subprocess.DEVNULL}),
        )
        if check and done.returncode:
            said = f"{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
            raise RuntimeError(f"on {self.name}: {command}: exit code {done.returncode}\n{said}")
        return done

    def command(self, command: str, *, user: str | None = None, timeout: float = 3600.0) -> list[str]:
        """Return the command by which a line of shell runs on it from here, for `subprocess.Popen`."""
        who = user or self.user or "root"
        home = "/root" if who == "root" else f"/home/{who}"
        become = ["setpriv", "--reuid", who, "--regid", who, "--init-groups"]
        clean = ["env", "-i", f"HOME={home}", f"USER={who}", f"LOGNAME={who}", "SHELL=/bin/bash", "TERM=dumb"]
        clean += ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"]
        inner = ["timeout", "--kill-after=5", f"{timeout:g}", "bash", "-lc", f"cd; {command}"]
        return [*self.inside(), *become, *clean, *inner]

    def path(self, path: str) -> Path:
        """Return a path of it as this process can open it, also while it is off where the disk keeps it."""
        if self.pid is not None:
            return Path(f"/proc/{self.pid}/root{path}")
        return self.laboratory.path(f"{self.laboratory.base}/{self.name}/disk{path}")

    def listening(self) -> set[str]:
        """Return the addresses, ``host:port``, on which its processes wait for TCP connections."""
        lines = self.run("ss -Hltn", user="root").stdout.splitlines()
        return {line.split()[3] for line in lines}

    def inside(self) -> list[str]:
        """Return what runs a command on it, as root."""
        if self.pid is None:
            raise RuntimeError(f"{self.name} is off")
        return ["nsenter", "--target", str(self.pid), "--mount", "--net", "--pid", "--uts", "--ipc", "--"]


@dataclass(slots=True, eq=False)
class Laboratory:
    """Machines on a bridge, while its ``with`` block lasts.

    All machines see the folder ``/shared``, also as ``/mnt/share``: a file system shared by a network as far as they
    can tell.
    """

    width: int = 16
    """Leading bits of an address that all machines have in common."""
    machines: dict[str, Machine] = field(default_factory=dict)
    base: Path = field(init=False)
    _process: subprocess.Popen[str] = field(init=False)
    _pid: int = field(init=False)

    def __enter__(self) -> Laboratory:
        self.base = Path(tempfile.mkdtemp(prefix="laboratory-"))
        # Of its own session, so that Ctrl-C in a terminal is its maker's to handle.
        self._process = subprocess.Popen(
            [
                "unshare", "--net", "--mount", "--pid", "--ipc", "--fork", "--kill-child", "--mount-proc",
                "bash", "-c", OUTER,
            ],
            env={**os.environ, "BASE": str(self.base)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )  # fmt: skip
        self._pid = _first(self._process, 1)
        _await_ready(self._process)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for machine in self.machines.values():
            machine.power_off()
        self._process.stdin.close()
        self._process.wait(START_SECONDS)
        self._process.stdout.close()
        self._process.stderr.close()
        self.base.rmdir()

    def machine(
        self,
        name: str,
        address: str = "",
        *,
        lent: dict[Path, str] | None = None,
        copied: dict[Path, str] | None = None,
        login: Path | None = None,
    ) -> Machine:
        """Make a machine and switch it on.

        Args:
            name: Its host name, at most eleven letters. Machines do not know each other's, see `name_machines`.
            address: Its address, such as ``10.83.0.10``; empty leaves it without one.
            lent: Files and folders of this computer that it may read, and where it sees them.
            copied: Folders of this computer of which it has a copy of its own, and where. The copy costs only what
                is changed in it.
            login: A private key as its host key: it runs an SSH server. `None`: it runs none.
        """
        if address:
            address = str(ipaddress.ip_interface(f"{address}/{self.width}"))
        made = Machine(self, name, address, dict(lent or {}), dict(copied or {}))
        self.machines[name] = made
        disk = self.path(f"{self.base}/{name}/disk")
        if login is not None:
            folder = disk / "etc" / "ssh"
            folder.mkdir(parents=True)
            key = folder / "laboratory_host_key"
            key.write_bytes(login.read_bytes())
            key.chmod(0o600)
            (folder / "laboratory").write_text(SSHD_CONFIG)
        made.boot()
        return made

    def name_machines(self, names: dict[str, str]) -> None:
        """Let every machine that is on know these names of addresses, as a name server would.

        Args:
            names: Address by name.
        """
        lines = "".join(f"{address} {name}\n" for name, address in names.items())
        for machine in self.machines.values():
            if machine.pid is not None:
                machine.path("/etc/hosts").write_text(f"127.0.0.1 localhost\n{lines}")

    def path(self, path: str) -> Path:
        """Return a path below `base`, or of the shared folder at ``base/shared``, as this process can open it."""
        return Path(f"/proc/{self._pid}/root{path}")

    @property
    def shared(self) -> Path:
        """The folder that all machines share, as this process can open it."""
        return self.path(f"{self.base}/shared")

    def wire(self, name: str) -> str:
        """Return the name of the bridge's end of a machine's cable."""
        return f"to-{name}"

    def network(self, *arguments: str) -> None:
        """Run ``ip`` where the bridge is."""
        self.check([*self.inside("net"), "ip", *arguments])

    def inside(self, *kinds: str) -> list[str]:
        """Return what runs a command in namespaces of the laboratory, in those of these kinds."""
        return ["nsenter", "--target", str(self._pid), *(f"--{kind}" for kind in kinds), "--"]

    def check(self, command: list[str]) -> None:
        """Run a command and raise an error with what it said where it failed."""
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{shlex.join(command)}: {done.stderr.strip()}")


def make_key(path: Path) -> str:
    """Make an SSH key without a passphrase, and return its public half as a line."""
    keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "laboratory", "-f", str(path)]
    subprocess.run(keygen, check=True)
    return Path(f"{path}.pub").read_text()
