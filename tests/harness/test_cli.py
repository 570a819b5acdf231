"""The command line as a user meets it; in a process of its own where that is what counts."""

from __future__ import annotations

import errno
import importlib.metadata
import json
import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from command import derby
from records import study_records
from typer.main import get_command

from harness.cli import app
from harness.commands import completion
from harness.errors import RecordError, nearest, refusal

ROOT = Path(__file__).resolve().parents[2]
DERBY = [sys.executable, "-m", "harness.cli"]

SWEEP = """\
name: cli
repetitions: 2
budget: {evaluations: 6}
tasks: [branin, mixed]
searchers: [random, grid]
"""


def alone(
    *arguments: str | Path, path: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run ``derby`` in a process of its own."""
    env = {**os.environ, "COLUMNS": "200", **environment}
    if path is not None:
        env["PYTHONPATH"] = str(path)
    return subprocess.run(
        [*DERBY, *map(str, arguments)], capture_output=True, text=True, env=env, timeout=120, check=False
    )


@pytest.fixture
def sweep(tmp_path):
    path = tmp_path / "sweep.yaml"
    path.write_text(SWEEP)
    return path


def test_help_answers_at_once():
    def cpu_seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert alone("--help").returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(cpu_seconds() for _ in range(3)) < 0.5


def test_importing_the_harness_loads_no_training_library():
    code = "import harness, sys; print(sorted({'tensorflow', 'keras', 'ray', 'numpy'} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


@pytest.mark.slow
def test_the_whole_way(sweep, tmp_path):
    sweep.write_text(SWEEP.replace(", mixed", ""))
    results = tmp_path / "results"
    planned = alone("plan", sweep, "--results", results)
    assert planned.returncode == 0, planned.stderr
    assert re.search(r"4 studies, 24 evaluations; .* × 2 searchers × 2 repetitions", planned.stdout)
    assert not results.exists()

    ran = alone("run", sweep, "--results", results)
    assert ran.returncode == 0, ran.stderr
    assert "4 of 4 studies done" in ran.stdout
    assert "failed evaluations 0" in ran.stdout

    again = alone("run", sweep, "--results", results)
    assert again.returncode == 0
    assert "all 4 studies were done already; nothing was trained" in again.stdout

    status = derby("status", "cli", "--results", results)
    assert re.search(r"branin\s+random\s+2\s+0\s+0\s+0\s+12", status.stdout)
    assert "not being written now" in status.stdout

    reported = derby("report", sweep, "--results", results)
    assert reported.returncode == 0, reported.stderr
    page = Path(reported.stdout.split("report: ")[1].strip())
    assert page.is_file()
    assert page.parent == results.resolve() / "sweeps" / "cli" / "report"

    exported = derby("export", "cli", "--results", results, "--out", tmp_path / "tidy")
    assert exported.returncode == 0
    assert (tmp_path / "tidy" / "trials.parquet").is_file()

    # Of two runs: the later one trained nothing, and so loaded no data.
    run = "".join(path.read_text() for path in (results / "sweeps" / "cli" / "runs").glob("*.json"))
    for word in ('"revision"', '"versions"', '"numpy"', '"processor"', '"data"', '"trained"'):
        assert word in run


def test_searchers_and_tasks_are_described():
    listed = derby("searchers")
    assert listed.returncode == 0
    assert {"random", "grid", "optuna_tpe", "skopt_gp"} <= set(
        re.findall(r"^\w+", listed.stdout, re.MULTILINE)
    )
    one = derby("searchers", "grid")
    assert "resolution" in one.stdout
    listed = derby("tasks")
    assert {"mnist_mlp", "fashion_mlp", "branin"} <= set(re.findall(r"^\w+", listed.stdout, re.MULTILINE))
    one = derby("tasks", "fashion_mlp")
    assert "S1" in one.stdout
    assert re.search(r"lr\s+1e-4 … 1e-1, log", one.stdout)
    assert re.search(r"momentum\s+0.5 … 0.99\s+optimizer is momentum", one.stdout)
    assert re.search(r"epochs\s+null\s+whole, from 1; or null", one.stdout)
    assert not re.search(r"`|\*Our|Choice\(|Float\(|anyOf", one.stdout)
    assert "optimizer" in one.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["plan", "none.yaml"], 2, "cannot read sweep file none.yaml"),
        (["searchers", "rendom"], 2, "did you mean 'random'"),
        (["tasks", "branni"], 2, "did you mean 'branin'"),
        (["report", "nothing", "--results", "/nonexistent/results"], 3, "no sweep called 'nothing'"),
        (["fly"], 2, "No such command"),
        (["run"], 2, "Missing argument"),
    ],
)
def test_bad_input_ends_with_a_message_and_no_traceback(arguments, code, words):
    out = derby(*arguments)
    assert out.returncode == code
    assert words in out.stderr
    assert "Traceback" not in out.stderr


def unread(*arguments, place):
    """Run a command whose output goes nowhere: into a pipe that nobody reads, onto a full disk, or none at all."""
    env = {**os.environ, "COLUMNS": "200"}
    if place == "pipe":
        reading, writing = os.pipe()
        os.close(reading)
        out = subprocess.run(
            [*DERBY, *map(str, arguments)], stdout=writing, stderr=subprocess.PIPE, env=env, check=False
        )
        os.close(writing)
    else:
        command = [*DERBY, *map(str, arguments)]
        shell = ["sh", "-c", f'exec "$@" >{place}', "sh", *command]
        out = subprocess.run(shell, stderr=subprocess.PIPE, env=env, check=False)
    return out.returncode, out.stderr.decode()


@pytest.mark.parametrize("arguments", [["tasks"], ["tasks", "--help"], ["plan", "SWEEP"]])
def test_a_reader_that_leaves_ends_a_command_without_a_word(sweep, arguments):
    arguments = [str(sweep) if word == "SWEEP" else word for word in arguments]
    assert unread(*arguments, place="pipe") == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_that_cannot_be_written_is_a_message():
    said = "derby: cannot write standard output: the disk is full\n"
    assert unread("tasks", place="/dev/full") == (3, said)


@pytest.mark.parametrize("place", ["pipe", "/dev/full", "&-"])
def test_a_run_goes_on_when_nothing_takes_its_output(sweep, tmp_path, place):
    results = tmp_path / "results"
    assert unread("run", sweep, "--results", results, place=place) == (0, "")
    assert len(study_records(results)) == 8
    assert "all 8 studies were done already" in derby("run", sweep, "--results", results).stdout


def test_an_error_that_nobody_reads_keeps_its_exit_code():
    for place in ("2>&-", "2>/dev/full"):
        shell = ["sh", "-c", f'exec "$@" {place}', "sh", *DERBY, "tasks", "nope"]
        assert subprocess.run(shell, check=False).returncode == 2


def test_a_wrong_sweep_file_fails_before_anything_is_written(sweep, tmp_path):
    sweep.write_text(SWEEP.replace("random", "ramdom").replace("evaluations: 6", "evaluations: -6"))
    out = derby("run", sweep, "--results", tmp_path / "results")
    assert out.returncode == 2
    assert f"derby: {sweep}, line 3, budget.evaluations: " in out.stderr
    assert not (tmp_path / "results").exists()
    sweep.write_text(SWEEP.replace("random", "ramdom"))
    out = derby("run", sweep, "--results", tmp_path / "results")
    assert (
        f"derby: {sweep}, line 5, searchers[0].name: no searcher is called 'ramdom'; did you mean 'random'"
        in out.stderr
    )
    assert not (tmp_path / "results").exists()


def test_failed_studies_are_named_and_give_exit_code_one(sweep, tmp_path, plugin):
    sweep.write_text(SWEEP.replace("mixed", "{name: troublesome, options: {trouble: raise}}"))
    out = alone("run", sweep, "--results", tmp_path / "results", path=plugin)
    assert out.returncode == 1
    assert "failed: random on troublesome,trouble=raise, repetition 0: task 'troublesome'" in out.stdout
    assert "ZeroDivisionError: a bug in the task" in out.stdout
    assert "4 studies failed; run again to retry them" in out.stdout
    status = derby("status", "cli", "--results", tmp_path / "results")
    assert "ZeroDivisionError" in status.stdout


def test_ray_options_need_ray(sweep):
    out = derby("run", sweep, "--evaluators", "2")
    assert out.returncode == 2
    assert "need --executor ray" in out.stderr


def test_a_number_of_evaluators_is_a_number_or_auto(sweep):
    out = derby("run", sweep, "--executor", "ray", "--evaluators", "many")
    assert out.returncode == 2
    assert "--evaluators: expected auto or a number from 1, got 'many'" in out.stderr


def test_a_run_goes_on_from_its_copy_when_its_machine_is_lost(sweep, tmp_path):
    results, copy = tmp_path / "results", tmp_path / "copy"
    ran = derby("run", sweep, "--results", results, "--sync-to", copy)
    assert ran.returncode == 0, ran.stderr
    record = study_records(results)
    shutil.rmtree(results)
    for path in sorted((copy / "studies").glob("*.jsonl"))[:3]:
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:4]))
    again = derby("run", sweep, "--results", results, "--sync-to", copy.as_uri())
    assert again.returncode == 0, again.stderr
    assert "note: fetched" in again.stdout
    assert "nothing was trained, reused" in again.stdout
    assert study_records(results) == study_records(copy) == record


def test_a_place_that_cannot_hold_a_copy_is_refused_before_anything_is_trained(sweep, tmp_path):
    out = derby("run", sweep, "--results", tmp_path / "results", "--sync-to", tmp_path / "not" / "mounted")
    assert out.returncode == 3
    assert "cannot write to" in out.stderr
    assert not list((tmp_path / "results").rglob("*.jsonl"))


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("optuna", "optuna_gp"),  # cut short, though `random` shares more letters with some
        ("rand", "random"),
        ("tpe", "optuna_tpe"),
        ("Optuna_TPE", "optuna_tpe"),
        ("skopt_pg", "skopt_gp"),
        ("gridd", "grid"),
    ],
)
def test_the_name_that_was_meant_begins_like_the_one_given(given, meant):
    names = ["grid", "hyperopt_tpe", "optuna_gp", "optuna_tpe", "random", "skopt_gp", "gpyopt_gp"]
    assert nearest(given, names).startswith(f"did you mean {meant!r}? valid: ")


def test_of_very_many_names_the_nearest_are_given():
    names = [f"Method{number}" for number in range(500)] + ["NGOpt"]
    hint = nearest("NGOp", names)
    assert hint.startswith("did you mean 'NGOpt'? valid: NGOpt, ")
    assert hint.endswith(" and 491 others")
    assert hint.count(",") == 9


def test_a_name_like_no_other_is_met_with_all_there_are():
    assert nearest("zzz", ["grid", "random"]) == "valid: grid, random"


REFUSED = [
    ("tasks nope", 2),
    ("searchers nope", 2),
    ("plan nope.yaml", 2),
    ("doctor nope.yaml", 2),
    ("run nope.yaml", 2),
    ("profile nope", 2),
    ("try nope", 2),
    ("record nope", 2),
    ("certify nope", 2),
    ("confirm nope", 3),
    ("gate nope", 2),
    ("gate nope.yaml --baseline-with optuna==4.6", 2),
    ("reproduce S9", 2),
    ("import nope.csv", 3),
    ("status nope", 3),
    ("report nope", 3),
    ("figure nope rank", 3),
    ("export nope", 3),
    ("compare nope neither", 3),
    ("publish nope", 3),
    ("verify nope", 3),
    ("site nope", 3),
    ("enter random --race nope", 3),
]
"""What is asked for by a name that nothing has, and the exit code."""

SAID_AT_ONCE = """\
import contextlib, io, json, sys
from harness.cli import main

found = []
for line in sys.argv[1:]:
    sys.argv, code = ["derby", *line.split()], 0
    with contextlib.redirect_stderr(io.StringIO()) as said:
        try:
            main()
        except SystemExit as ended:
            code = ended.code
    heavy = {"pandas", "matplotlib", "seaborn", "statsmodels", "sklearn", "PIL", "tensorflow", "keras", "ray"}
    found.append([code, said.getvalue(), sorted(heavy & set(sys.modules))])
print(json.dumps(found))
"""


def test_a_wrong_name_is_refused_before_anything_heavy_is_loaded_and_leaves_nothing(tmp_path):
    lines = [line for line, _ in REFUSED]
    done = subprocess.run(
        [sys.executable, "-c", SAID_AT_ONCE, *lines],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    for (line, code), (ended, said, heavy) in zip(REFUSED, json.loads(done.stdout), strict=True):
        assert (line, ended, heavy) == (line, code, [])
        assert said.startswith("derby: "), line
    assert list(tmp_path.iterdir()) == []


def test_every_command_that_takes_a_name_is_among_these():
    # A page may be opened before its sweep begins.
    assert {line.split()[0] for line, _ in REFUSED} == set(get_command(app).commands) - {"watch"}


def test_the_version_names_project_revision_and_python():
    said = derby("--version")
    assert said.returncode == 0
    version = re.escape(importlib.metadata.version("hpo-derby"))
    revision = r"( \(revision [0-9a-f]{12}(, with changes since)?\))?"
    assert re.fullmatch(rf"HPO Derby {version}{revision}, Python 3\.\d+\.\d+\n", said.stdout), said.stdout


def completed(*words, cwd):
    """Return what a shell is offered for the last of some words."""
    done = subprocess.run(
        [*DERBY[:1], "-c", "import sys; sys.argv[0] = 'derby'; from harness.cli import main; main()"],
        cwd=cwd,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "_DERBY_COMPLETE": "complete_bash",
            "COMP_WORDS": " ".join(("derby", *words)),
            "COMP_CWORD": str(len(words)),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_a_shell_completes_commands_tasks_searchers_sweeps_and_files(tmp_path):
    for sweep in ("results/local/sweeps/nightly", "elsewhere/sweeps/weekly"):
        (tmp_path / sweep).mkdir(parents=True)
        (tmp_path / sweep / "plan.json").write_text("{}")
    (tmp_path / "night.yaml").write_text("")
    (tmp_path / "mine.py").write_text("")
    for words, offered in (
        (("pub",), ["publish"]),
        (("tasks", "bra"), ["branin"]),
        (("tasks", "mi"), ["mine.py", "mixed"]),
        (("searchers", "optuna_t"), ["optuna_tpe"]),
        (("try", "gpyopt"), ["gpyopt_gp"]),
        (("report", "night"), ["night.yaml", "nightly"]),
        (("report", "--results", "elsewhere", "w"), ["weekly"]),
        (("certify", "fashion"), ["fashion_cnn-small", "fashion_mlp-small"]),
        (("reproduce", "S1"), ["S1"]),
        (("verify", "nothing"), []),
        (("figure", "nightly", "differ"), ["differences", "differences-anytime", "differences-nemenyi"]),
    ):
        assert completed(*words, cwd=tmp_path) == offered, words


def test_figures_are_completed_by_the_tasks_of_the_sweep_that_is_given(sweep, tmp_path):
    results = tmp_path / "results"
    assert derby("run", sweep, "--results", results).returncode == 0
    assert derby("export", "cli", "--results", results, "--out", tmp_path / "out").returncode == 0
    for params in (
        {"sweep": "cli", "results": str(results)},
        {"sweep": str(results / "sweeps" / "cli")},
        {"sweep": str(tmp_path / "out")},
    ):
        context = SimpleNamespace(params=params)
        assert completion.labels_of_tasks(context, "b") == ["branin"], params
        assert completion.labels_of_tasks(context, "") == ["branin", "mixed"], params
    assert completion.labels_of_tasks(SimpleNamespace(params={"sweep": "nothing"}), "") == []
    assert {"evaluations", "cost"} <= set(completion.costs(""))


@pytest.mark.parametrize("share", ["1.5", "0.00001", "inf", "nan"])
def test_a_share_of_a_gpu_that_nobody_can_have_is_refused_before_ray_starts(sweep, share):
    out = derby("run", sweep, "--executor", "ray", "--gpus-per-evaluator", share)
    assert out.returncode == 2
    assert "--gpus-per-evaluator" in out.stderr
    assert f"got '{share}'" in out.stderr or f"got {float(share):g}" in out.stderr


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--executor", "nope", "'nope' is not one of 'serial', 'ray'"),
        ("--on-mismatch", "nope", "'nope' is not one of 'fail', 'restart', 'tell'"),
        ("--gpus-per-evaluator", "-1", "input should be greater than or equal to 0, got '-1'"),
        (
            "--gpus-per-evaluator",
            "half",
            "input should be a valid number, unable to parse string as a number, got 'half'",
        ),
    ],
)
def test_an_options_value_that_cannot_be_is_named_without_a_librarys_words(sweep, option, value, message):
    out = derby("run", sweep, option, value)
    assert out.returncode == 2
    assert f"Invalid value for '{option}': {message}" in " ".join(out.stderr.split())


@pytest.mark.parametrize(
    "options",
    [
        ["--evaluators", "2"],
        ["--sync-to", "results/relative"],
        ["--sync-to", "{tmp}/not/mounted"],
        pytest.param(
            ["--executor", "ray", "--address", "127.0.0.1:1"], marks=[pytest.mark.ray, pytest.mark.slow]
        ),
    ],
)
def test_a_run_that_is_refused_leaves_no_trace(sweep, tmp_path, options):
    options = [option.format(tmp=tmp_path) for option in options]
    refused = derby("run", sweep, "--results", tmp_path / "new" / "results", *options)
    assert refused.returncode in (2, 3), refused.stdout
    assert refused.stderr.startswith("derby: ")
    assert list(tmp_path.iterdir()) == [sweep]

    kept = tmp_path / "kept"
    assert derby("run", sweep, "--results", kept).returncode == 0
    before = {path: path.read_bytes() for path in kept.rglob("*") if path.is_file()}
    sweep.write_text(SWEEP.replace("repetitions: 2", "repetitions: 3"))
    refused = derby("run", sweep, "--results", kept, *options)
    assert refused.returncode in (2, 3)
    after = {path: path.read_bytes() for path in kept.rglob("*") if path.is_file()}
    assert {path.name for path in before if before[path] != after.get(path)} <= {"driver.json"}
    assert after.keys() == before.keys()


def test_a_report_that_fails_leaves_no_folders(sweep, tmp_path, monkeypatch):
    assert derby("run", sweep, "--results", tmp_path / "results").returncode == 0
    import analysis.report.page

    def fails(*_, **__):
        raise RecordError("made to fail")

    monkeypatch.setattr(analysis.report.page, "build", fails)
    assert (
        derby("report", "cli", "--results", tmp_path / "results", "--out", tmp_path / "a/b/c").returncode == 3
    )
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["plan", "{tmp}"], 2, "it is a folder, and a file was expected"),
        (["plan", "{tmp}/none.yaml"], 2, "there is no such file or folder; a path is relative to"),
        (["plan", "{tmp}/file/s.yaml"], 2, "a part of this path is a file"),
        (["plan", "{tmp}/" + "n" * 300 + ".yaml"], 2, "a name in this path is too long"),
        (["run", "{sweep}", "--results", "{tmp}/file"], 3, "a part of this path is a file"),
        (["run", "{sweep}", "--results", "{tmp}/file/x"], 3, "a part of this path is a file"),
        (["run", "{sweep}", "--results", "{tmp}/" + "n" * 300], 3, "a name in this path is too long"),
        (["run", "{sweep}", "--results", "/proc/none"], 3, "there is no such file or folder"),
        (["report", "cli", "--results", "{tmp}/file"], 3, "file"),
        (["tasks", "{tmp}/none.py:x"], 2, "there is no such file or folder"),
        (["compare", "{tmp}/" + "n" * 300, "{tmp}"], 3, "a name in this path is too long"),
        (["certify", "n" * 300], 3, "a name in this path is too long"),
    ],
)
def test_what_the_system_refuses_is_said_in_words(sweep, tmp_path, arguments, code, words):
    (tmp_path / "file").write_text("")
    done = derby(*(argument.format(tmp=tmp_path, sweep=sweep) for argument in arguments))
    assert (done.returncode, words in done.stderr) == (code, True), done.stderr
    assert "Errno" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "sweep.yaml"]


def test_a_refusal_of_the_system_has_words_whatever_its_number():
    assert refusal(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))) == "the disk is full"
    assert (
        refusal(PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/root/y"))
        == "there is no permission"
    )
    assert refusal(OSError(errno.ETXTBSY, "Text file busy")) == "Text file busy"
    assert refusal(OSError(errno.EIO, "the disk is failing")) == "the disk is failing"
    assert refusal(OSError("odd")) == "OSError: odd"
