"""Ray's token: shown to a cluster that asks for it, and what is wrong with it said."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from concurrent import futures
from pathlib import Path

import pytest

from harness.errors import DerbyError

pytestmark = pytest.mark.ray

SWEEP = "{name: s, repetitions: 1, budget: {evaluations: 2}, tasks: [branin], searchers: [random]}"


@pytest.fixture
def head():
    """Return a function that makes something that answers as a head does, which asks for a token or for none."""
    grpc = pytest.importorskip("grpc")
    servers = []

    def make(token):
        def answer(request, context):
            if (
                token is not None
                and ("authorization", f"Bearer {token}") not in context.invocation_metadata()
            ):
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "InvalidAuthToken")
            return b"id"

        service, method = "ray.rpc.NodeInfoGcsService", "GetClusterId"
        handler = grpc.unary_unary_rpc_method_handler(answer)
        server = grpc.server(futures.ThreadPoolExecutor(2))
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        servers.append(server)
        return f"127.0.0.1:{port}"

    yield make
    for server in servers:
        server.stop(None)


@pytest.fixture
def enabled(monkeypatch, tmp_path):
    """Return a list that is told when Ray is to show its token; without a token or a mode of this machine's own."""
    from harness.executors import cluster

    told = []
    monkeypatch.setattr(
        cluster, "maybe_enable_token_auth_if_token_available", lambda **_: told.append(True) or True
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    cluster.AuthenticationTokenLoader.instance().reset_cache()
    yield told
    monkeypatch.undo()
    cluster.AuthenticationTokenLoader.instance().reset_cache()


def ask(address):
    from harness.executors import cluster

    cluster.AuthenticationTokenLoader.instance().reset_cache()
    cluster.show_token(address)


def test_the_token_is_shown_where_it_is_asked_for(head, enabled, monkeypatch):
    token = "a" * 32
    monkeypatch.setenv("RAY_AUTH_TOKEN", token)
    ask(head(None))
    assert enabled == []
    ask(head(token))
    assert enabled == [True]


def test_what_is_wrong_with_it_is_said(head, enabled, monkeypatch):
    address = head("a" * 32)
    with pytest.raises(DerbyError, match="asks for a token, and there is none here: copy ~/.ray/auth_token"):
        ask(address)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "b" * 32)
    with pytest.raises(DerbyError, match="does not take the token that is here"):
        ask(address)
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with pytest.raises(DerbyError, match="RAY_AUTH_MODE=disabled says to show none: unset it"):
        ask(address)
    assert enabled == []


def test_whether_one_is_asked_for_can_be_told(head, enabled):
    from harness.executors.cluster import asks_for_token

    assert asks_for_token(head("a" * 32))
    assert not asks_for_token(head(None))
    assert not asks_for_token("127.0.0.1:1")


def test_a_head_that_answers_nothing_is_told_from_one_that_is_not_there(head, enabled, monkeypatch, tmp_path):
    from command import derby

    from harness.executors import cluster

    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 1.0)
    assert not cluster.is_silent(head(None))
    assert not cluster.is_silent("127.0.0.1:1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        assert cluster.is_silent(address)
        done = derby("doctor", "--address", address, "--results", tmp_path / "results")
    assert done.returncode == 1
    assert f"the head of the Ray cluster at {address} takes connections, and answers nothing" in done.stdout


def test_what_cannot_be_asked_is_left_to_ray(enabled):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.listen()
        ask(f"ray://127.0.0.1:{silent.getsockname()[1]}")
    ask("127.0.0.1:1")
    assert enabled == []


@pytest.mark.slow
def test_a_cluster_that_was_started_plainly_is_joined(tmp_path):
    """`ray start --head` asks for a token where there is one; nothing need be set to run on it."""
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("c" * 32)
    (tmp_path / "s.yaml").write_text(SWEEP)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {**os.environ, "HOME": str(tmp_path)}
    environment.pop("RAY_AUTH_MODE", None)
    ray = [str(Path(sys.executable).parent / "ray"), "start", "--head", "--block", "--port", str(port)]
    options = [
        "--num-cpus",
        "1",
        "--include-dashboard=false",
        "--disable-usage-stats",
        "--temp-dir",
        f"/tmp/rt{port}",
    ]
    with (tmp_path / "ray.log").open("wb") as log:
        started = subprocess.Popen(
            [*ray, *options], env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        limit = time.monotonic() + 120
        while b"Ray runtime started" not in (tmp_path / "ray.log").read_bytes():
            assert time.monotonic() < limit, (tmp_path / "ray.log").read_text()
            time.sleep(0.5)
        command = [sys.executable, "-m", "harness.cli", "run", str(tmp_path / "s.yaml")]
        where = [
            "--executor",
            "ray",
            "--address",
            f"127.0.0.1:{port}",
            "--results",
            str(tmp_path / "results"),
        ]
        done = subprocess.run(
            [*command, *where], env=environment, capture_output=True, text=True, timeout=240, check=False
        )
    finally:
        os.killpg(started.pid, signal.SIGTERM)
        started.wait(60)
    assert done.returncode == 0, done.stderr
    assert "1 of 1 study done" in done.stdout
