"""The cluster files and their page: what Ray's own validation checks offline, and what it misses."""

from __future__ import annotations

import copy
import os
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
AWS = "cluster.yaml"
ON_PREMISES = "docs/cluster/on-premises.yaml"
RAYJOB = "docs/cluster/rayjob.yaml"
DOCKERFILE = "docs/cluster/Dockerfile"
PAGE = "docs/clusters.md"
RAY_UP = (AWS, ON_PREMISES)

RAY_PORTS = {"GCS": 6379, "object manager": 8076, "dashboard": 8265, "client": 10001}
INSTANCES = {  # vCPUs and GPUs, from AWS's tables of instance types
    "m5.large": (2, 0),
    "g4dn.xlarge": (4, 1),
    "g4dn.2xlarge": (8, 1),
    "g4dn.12xlarge": (48, 4),
    "g5.xlarge": (4, 1),
    "g6.xlarge": (4, 1),
}


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def load(name: str) -> dict[str, Any]:
    return yaml.safe_load(text(name))


def locked(package: str) -> str:
    return re.search(rf"^{package}==(\S+)$", text("requirements.lock"), re.MULTILINE).group(1)


def python_version() -> str:
    """Return the version that the lock file is made and the types are checked with."""
    return tomllib.loads(text("pyproject.toml"))["tool"]["mypy"]["python_version"]


def commands(config: dict[str, Any]) -> list[str]:
    return [command for key, value in config.items() if key.endswith("_commands") for command in value]


def prepared(config: dict[str, Any], folder: Path, monkeypatch) -> dict[str, Any]:
    """Return what `ray up` makes of a file, checked by Ray itself."""
    util = pytest.importorskip("ray.autoscaler._private.util")
    monkeypatch.chdir(folder)
    ready = util.prepare_config(copy.deepcopy(config))
    util.validate_config(ready)
    return ready


# What Ray checks.


@pytest.mark.parametrize("name", RAY_UP)
def test_ray_accepts_the_file(name, monkeypatch):
    ready = prepared(load(name), ROOT, monkeypatch)
    assert ready["cluster_name"] == "derby"
    assert ready["head_node_type"] in ready["available_node_types"]


@pytest.mark.parametrize("name", RAY_UP)
def test_ray_refuses_a_field_it_does_not_know(name, monkeypatch):
    from jsonschema import ValidationError

    with pytest.raises(ValidationError, match="setup_comands"):
        prepared({**load(name), "setup_comands": []}, ROOT, monkeypatch)


def test_every_on_premises_machine_joins(monkeypatch):
    config = load(ON_PREMISES)
    (kind,) = prepared(config, ROOT, monkeypatch)["available_node_types"].values()
    assert kind["min_workers"] == kind["max_workers"] == len(config["provider"]["worker_ips"])
    assert config["provider"]["head_ip"] not in config["provider"]["worker_ips"]
    named = [config["provider"]["head_ip"], *config["provider"]["worker_ips"]]
    assert all(machine.endswith(".example.org") for machine in named)


# What Ray does not check: versions.


@pytest.mark.parametrize("name", RAY_UP)
def test_nodes_get_the_locked_ray_and_python(name):
    setup = load(name)["setup_commands"]
    assert any(f"'ray[default]=={locked('ray')}'" in command for command in setup)
    assert any(f"venv --python {python_version()} ~/env" in command for command in setup)
    assert any("--requirement ~/derby/requirements.lock" in command for command in setup)
    assert any("--no-deps --editable ~/derby" in command for command in setup)


@pytest.mark.parametrize("name", [*RAY_UP, DOCKERFILE, RAYJOB])
def test_every_version_named_is_the_locked_one(name):
    pins = re.findall(r"'([a-z]+)(?:\[[\w-]+\])?==([^']+)'", text(name))
    assert {package: version for package, version in pins if version != locked(package)} == {}
    pythons = set(re.findall(r"--python (\d\S*)|-py(\d+)", text(name)))
    assert {dotted or f"{joined[0]}.{joined[1:]}" for dotted, joined in pythons} == {python_version()}
    for version in re.findall(r"(?:rayVersion: |rayproject/ray:|hpo-derby:)([\d.]+)", text(name)):
        assert version == locked("ray")


def test_the_python_version_is_one_the_project_allows():
    requires = tomllib.loads(text("pyproject.toml"))["project"]["requires-python"]
    minimum = tuple(map(int, requires.removeprefix(">=").split(".")))
    assert tuple(map(int, python_version().split("."))) >= minimum


@pytest.mark.parametrize("name", RAY_UP)
def test_only_the_environment_of_the_lock_file_starts_ray(name):
    """A bare ``ray`` could be the image's own, of another version."""
    config = load(name)
    started = [*config["head_start_ray_commands"], *config["worker_start_ray_commands"]]
    assert len(started) == 4
    for command in started:
        assert "~/env/bin/ray" in command
        assert re.search(r"(?<![/\w~])ray (start|stop)", command) is None


@pytest.mark.parametrize("name", RAY_UP)
def test_workers_train_on_their_gpu(name):
    (cuda,) = load(name)["worker_setup_commands"]
    assert f"'tensorflow[and-cuda]=={locked('tensorflow')}'" in cuda
    assert "--constraint ~/derby/requirements.lock" in cuda


# What Ray does not check: who works where.


@pytest.mark.parametrize("name", RAY_UP)
def test_the_head_takes_no_evaluator(name):
    (start,) = [line for line in load(name)["head_start_ray_commands"] if "ray start" in line]
    arguments = shlex.split(start)
    assert {"--head", "--num-cpus=0", "--num-gpus=0"} <= set(arguments)
    assert "--autoscaling-config=~/ray_bootstrap_config.yaml" in arguments


def test_the_aws_head_takes_no_evaluator_and_keeps_its_disk():
    config = load(AWS)
    head = config["available_node_types"][config["head_node_type"]]
    assert head["resources"] == {"CPU": 0, "GPU": 0}
    assert head["max_workers"] == 0
    assert "InstanceMarketOptions" not in head["node_config"]
    (disk,) = head["node_config"]["BlockDeviceMappings"]
    assert disk["Ebs"]["DeleteOnTermination"] is False
    assert disk["Ebs"]["Encrypted"] is True
    assert config["provider"]["cache_stopped_nodes"] is True


def test_aws_workers_are_spot_with_the_gpus_of_their_instance():
    config = load(AWS)
    workers = {
        name: kind
        for name, kind in config["available_node_types"].items()
        if name != config["head_node_type"]
    }
    assert workers
    for kind in workers.values():
        assert kind["node_config"]["InstanceMarketOptions"]["MarketType"] == "spot"
        cpus, gpus = INSTANCES[kind["node_config"]["InstanceType"]]
        assert kind["resources"] == {"CPU": cpus, "GPU": gpus}
        assert gpus > 0
        assert 0 <= kind["min_workers"] <= kind["max_workers"] <= config["max_workers"]
        assert kind["max_workers"] >= 1


def test_aws_images_are_named():
    """Left out, Ray would silently take an image of 2023; one that is nobody's is refused by AWS."""
    images = {kind["node_config"]["ImageId"] for kind in load(AWS)["available_node_types"].values()}
    assert images == {"ami-FILL-IN"}
    assert "ami-FILL-IN" in text(PAGE)


def test_no_legacy_field_is_given():
    """Ray ignores a top-level ``min_workers`` in silence, and takes 2 for a missing ``max_workers``."""
    config = load(AWS)
    assert "max_workers" in config
    assert not {"min_workers", "initial_workers", "head_node", "worker_nodes"} & set(config)


def test_the_aws_provider_has_only_fields_that_ray_reads():
    """Ray's schema lets a misspelt field of ``provider`` pass."""
    known = {"type", "region", "availability_zone", "cache_stopped_nodes", "security_group"}
    provider = load(AWS)["provider"]
    assert set(provider) == known
    zones = provider["availability_zone"].split(",")
    assert zones and all(re.fullmatch(rf"{provider['region']}[a-z]", zone) for zone in zones)


def test_the_on_premises_provider_has_only_fields_that_ray_reads():
    assert set(load(ON_PREMISES)["provider"]) == {"type", "head_ip", "worker_ips"}


# What Ray does not check: security.


def open_to_the_world(permissions: list[dict[str, Any]]) -> list[str]:
    """Return which of Ray's ports a security group's rules open to every address."""
    everyone = {"0.0.0.0/0", "::/0"}
    found = []
    for rule in permissions:
        sources = {source["CidrIp"] for source in rule.get("IpRanges", [])}
        sources |= {source["CidrIpv6"] for source in rule.get("Ipv6Ranges", [])}
        if not sources & everyone:
            continue
        whole = str(rule["IpProtocol"]) == "-1"
        open_here = [
            port for port in RAY_PORTS.values() if whole or rule["FromPort"] <= port <= rule["ToPort"]
        ]
        found += [f"{port} by {rule}" for port in open_here]
    return found


def test_no_rule_opens_a_port_of_ray():
    assert open_to_the_world(load(AWS)["provider"]["security_group"]["IpPermissions"]) == []


@pytest.mark.parametrize(
    "rule",
    [
        {"FromPort": 8265, "ToPort": 8265, "IpProtocol": "tcp", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]},
        {"FromPort": 1, "ToPort": 9000, "IpProtocol": "tcp", "Ipv6Ranges": [{"CidrIpv6": "::/0"}]},
        {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]},
    ],
)
def test_an_open_rule_would_be_found(rule):
    assert open_to_the_world([rule])


@pytest.mark.parametrize("name", RAY_UP)
def test_the_dashboard_listens_on_loopback(name):
    hosts = re.findall(r"--dashboard-host[= ](\S+)", " ".join(commands(load(name))))
    assert hosts == ["127.0.0.1"]


@pytest.mark.parametrize("name", RAY_UP)
def test_no_one_without_the_token_may_use_the_cluster(name):
    config = load(name)
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    starts = [line for line in commands(config) if "ray start" in line]
    assert len(starts) == 2
    assert all("RAY_AUTH_MODE=token ~/env/bin/ray start" in line for line in starts)
    assert "ray get-auth-token --generate" in text(PAGE)


def head_start(name: str) -> str:
    (start,) = [line for line in load(name)["head_start_ray_commands"] if "ray start" in line]
    return start


@pytest.mark.parametrize("name", RAY_UP)
def test_nothing_is_told_to_ray_s_makers(name):
    words = shlex.split(head_start(name))
    assert "--disable-usage-stats" in words
    assert "RAY_USAGE_STATS_REPORT_URL=http://127.0.0.1:9" in words  # it says that nothing is said


def test_nothing_of_a_rayjob_is_told_to_ray_s_makers():
    (head,) = containers(manifests()["RayJob"]["spec"]["rayClusterSpec"]["headGroupSpec"])
    told = {variable["name"]: variable["value"] for variable in head["env"]}
    assert told == {"RAY_USAGE_STATS_ENABLED": "0", "RAY_USAGE_STATS_REPORT_URL": "http://127.0.0.1:9"}


def test_ray_s_own_variables_are_those_that_it_reads():
    usage = pytest.importorskip("ray._common.usage.usage_lib")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_REPORT_URL", "http://127.0.0.1:9")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        assert usage._usage_stats_report_url() == "http://127.0.0.1:9"
        assert not usage.usage_stats_enabled()


def test_own_machines_are_started_by_the_autoscaler_that_starts_all():
    """`ray up` exports version 2 before the command, which a word of the command itself overrides."""
    assert "RAY_enable_autoscaler_v2=0" in shlex.split(head_start(ON_PREMISES))
    assert "RAY_enable_autoscaler_v2" not in head_start(AWS)


@pytest.mark.parametrize("name", RAY_UP)
def test_no_secret_travels_or_stands_in_the_file(name):
    config = load(name)
    assert not {".", ".git", ".venv", "docs", "tests"} & set(config["file_mounts"].values())
    assert re.search(r"AKIA[0-9A-Z]{16}|PRIVATE KEY|aws_credentials|password", text(name)) is None


# What Ray does not check: paths.


@pytest.mark.parametrize("name", RAY_UP)
def test_every_project_file_named_exists_and_travels(name):
    config = load(name)
    mounts = {remote: local for remote, local in config["file_mounts"].items() if not local.startswith("~")}
    assert [local for local in mounts.values() if not (ROOT / local).exists()] == []
    assert all(remote == f"~/derby/{local}" for remote, local in mounts.items())
    named = set(re.findall(r"~/derby/([\w./-]+)", " ".join(commands(config))))
    assert named == {"requirements.lock"}
    assert named | packages() | {"docs/sweeps", "pyproject.toml", "README.md", "LICENSE"} == set(
        mounts.values()
    )


def packages() -> set[str]:
    found = tomllib.loads(text("pyproject.toml"))["tool"]["setuptools"]["packages"]["find"]["include"]
    return {package.removesuffix("*") for package in found}


def test_the_image_copies_what_exists():
    sources = [
        source
        for line in re.findall(r"^COPY --chown=ray (.+) \S+$", text(DOCKERFILE), re.MULTILINE)
        for source in line.split()
    ]
    assert [source for source in sources if not (ROOT / source).exists()] == []
    assert packages() <= set(sources)
    assert {"LICENSE", "README.md", "pyproject.toml", "requirements.lock"} <= set(sources)


# KubeRay.


def manifests() -> dict[str, dict[str, Any]]:
    return {document["kind"]: document for document in yaml.safe_load_all(text(RAYJOB))}


def containers(group: dict[str, Any]) -> list[dict[str, Any]]:
    return group["template"]["spec"]["containers"]


def test_the_rayjob_has_what_its_definition_requires():
    job = manifests()["RayJob"]
    assert job["apiVersion"] == "ray.io/v1"
    assert re.fullmatch(r"[a-z]([-a-z0-9]{0,46}[a-z0-9])?", job["metadata"]["name"])
    spec = job["spec"]
    assert set(spec) <= {
        "entrypoint", "backoffLimit", "shutdownAfterJobFinishes", "ttlSecondsAfterFinished", "rayClusterSpec",
    }  # fmt: skip
    cluster = spec["rayClusterSpec"]
    assert set(cluster) == {"rayVersion", "authOptions", "headGroupSpec", "workerGroupSpecs"}
    assert set(cluster["headGroupSpec"]) == {"serviceType", "enableIngress", "rayStartParams", "template"}
    for group in cluster["workerGroupSpecs"]:
        assert set(group) == {
            "groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template",
        }  # fmt: skip
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    parameters = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for group in parameters:
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        assert all(container["name"] and container["image"] for container in containers(group))


def test_the_rayjob_runs_one_image_with_the_locked_versions():
    cluster = manifests()["RayJob"]["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    tag = f"{locked('ray')}-py{python_version().replace('.', '')}"
    assert str(cluster["rayVersion"]) == locked("ray")
    assert {container["image"] for group in groups for container in containers(group)} == {
        f"registry.example.org/hpo-derby:{tag}"
    }
    assert f"FROM rayproject/ray:{tag}-gpu" in text(DOCKERFILE)
    assert f"hpo-derby:{tag}" in text(PAGE)


def test_the_rayjob_head_takes_no_evaluator_and_workers_have_a_gpu():
    cluster = manifests()["RayJob"]["spec"]["rayClusterSpec"]
    assert cluster["headGroupSpec"]["rayStartParams"] == {"num-cpus": "0", "num-gpus": "0"}
    assert not any("gpu" in str(container["resources"]) for container in containers(cluster["headGroupSpec"]))
    for group in cluster["workerGroupSpecs"]:
        for container in containers(group):
            assert container["resources"]["limits"] == container["resources"]["requests"]
            assert int(container["resources"]["limits"]["nvidia.com/gpu"]) >= 1


def test_the_rayjob_opens_nothing_and_asks_for_a_token():
    cluster = manifests()["RayJob"]["spec"]["rayClusterSpec"]
    assert cluster["headGroupSpec"]["serviceType"] == "ClusterIP"
    assert cluster["headGroupSpec"]["enableIngress"] is False
    assert cluster["authOptions"] == {"mode": "token"}
    assert set(manifests()) == {"RayJob", "PersistentVolumeClaim"}  # no Ingress, no Service of our own


def test_the_rayjob_writes_its_results_to_the_claim():
    found = manifests()
    spec = found["RayJob"]["spec"]
    pod = spec["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]
    (volume,) = pod["volumes"]
    assert volume["persistentVolumeClaim"]["claimName"] == found["PersistentVolumeClaim"]["metadata"]["name"]
    (mount,) = pod["containers"][0]["volumeMounts"]
    assert mount["name"] == volume["name"]
    arguments = shlex.split(spec["entrypoint"])
    assert arguments[arguments.index("--results") + 1] == mount["mountPath"]


def test_the_rayjob_runs_a_sweep_that_the_image_holds():
    arguments = shlex.split(manifests()["RayJob"]["spec"]["entrypoint"])
    check_derby(arguments)
    (sweep,) = [argument for argument in arguments if argument.endswith(".yaml")]
    inside = sweep.removeprefix("/home/ray/derby/")
    assert (ROOT / inside).is_file()
    assert f"COPY --chown=ray {Path(inside).parent} " in text(DOCKERFILE)


# The page.


def shown() -> list[str]:
    """Return every command of the page's shell blocks, comments cut off and continued lines joined."""
    blocks = re.findall(r"```sh\n(.*?)```", text(PAGE), re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line.split("  #")[0].strip() for line in lines if line.strip() and not line.startswith("#")]


def options_of(command: Any) -> set[str]:
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}


def resolve(group: Any, words: list[str]) -> tuple[Any, list[str]]:
    """Follow subcommands; return the command and the words left over."""
    while hasattr(group, "commands"):
        group, words = group.commands[words[0]], words[1:]
    return group, words


def check_options(command: Any, words: list[str]) -> None:
    used = {word.split("=")[0] for word in words if re.match(r"--?[a-z]", word)}
    assert used <= options_of(command) | {"--help"}, words


def check_derby(words: list[str]) -> None:
    from typer.main import get_command

    from harness.cli import app

    assert words[0].rsplit("/", 1)[-1] == "derby"
    check_options(*resolve(get_command(app), words[1:]))


def check_ray(words: list[str]) -> None:
    """Check a `ray` command, and the one that it runs on the cluster."""
    scripts = pytest.importorskip("ray.scripts.scripts")
    inner: list[str] = []
    if "--" in words:
        words, inner = words[: words.index("--")], words[words.index("--") + 1 :]
    command, rest = resolve(scripts.cli, words[1:])
    check_options(command, rest)
    if command.name == "exec":
        inner = shlex.split(next(word for word in rest if " " in word))
    if inner:
        check(inner)


def check(words: list[str]) -> None:
    while words and re.match(r"[A-Z_]+=", words[0]):
        words = words[1:]
    program = words[0].rsplit("/", 1)[-1]
    if program == "derby":
        check_derby(words)
    elif program == "ray":
        check_ray(words)


def test_every_command_shown_has_the_options_it_uses():
    lines = shown()
    for wanted in (
        "derby run",
        "ray job submit",
        "ray up cluster.yaml",
        f"ray up {ON_PREMISES}",
        "kubectl apply",
    ):
        assert any(wanted in line for line in lines), wanted
    for line in lines:
        for part in re.split(r"\s(?:&&|\|)\s", line):
            check(shlex.split(part))


@pytest.mark.parametrize(
    "line",
    [
        "derby run x.yaml --adress auto",
        "ray job submit --working-directory . -- derby status x",
        "ray exec cluster.yaml 'derby run x.yaml --executors ray'",
        "ray job submit -- derby run x.yaml --gpus 1",
    ],
)
def test_a_misspelt_option_would_be_found(line):
    with pytest.raises(AssertionError):
        check(shlex.split(line))


def test_every_file_the_page_names_exists():
    named = set(re.findall(r"\]\(([^)#:]+)\)", text(PAGE)))
    assert named
    assert [name for name in sorted(named) if not (ROOT / "docs" / name).exists()] == []
    paths = set(re.findall(r"(?<![\w/~.])(?:docs|tests|harness)/[\w./-]+\w", text(PAGE)))
    assert {ON_PREMISES, RAYJOB, DOCKERFILE} <= paths
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


def test_the_page_has_each_way():
    headings = re.findall(r"^## (.+)$", text(PAGE), re.MULTILINE)
    for way in ("This machine", "A cluster that runs already", "AWS", "Machines of your own", "Kubernetes"):
        assert any(way in heading for heading in headings), way


@pytest.mark.parametrize("name", [*RAY_UP, RAYJOB, DOCKERFILE, PAGE])
def test_nothing_of_the_author_s_machine_is_in_a_file(name):
    assert os.fspath(ROOT) not in text(name)
    assert not re.search(r"/home/(?!ray)\w+|/root/|/Users/", text(name))
