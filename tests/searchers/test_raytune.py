"""Ray Tune both ways: its searchers and its ASHA propose what they do in Ray Tune; ours do there what they do here."""

import copy
import logging
import math
import os
import pickle
import textwrap
import warnings
from pathlib import Path

import numpy as np
import pytest
from native import (
    CATEGORICAL,
    CONDITIONAL,
    CONTINUOUS,
    MIXED,
    SEEDS,
    SPACES,
    fate,
    objective,
    ours,
    plain,
    start,
)

from harness import registry
from harness.errors import IncompatibleError, ProtocolError, ReplayMismatchError, SearcherError
from harness.events import Asked, Told
from harness.space import Choice, Float, Int, Space
from harness.study import Study
from harness.trial import Budget, Curve, Evaluation, Fidelity, Objective, Problem, Status
from searchers.conformance import one_thread
from searchers.raytune import RayTuneSearcher
from searchers.raytune_asha import RayTuneASHA
from searchers.tune_search import as_tune_search

TINY = Space({"a": Choice(("x", "y")), "b": Int(1, 2)})


@pytest.fixture(autouse=True)
def reproducible():
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture(scope="module")
def cluster():
    """A local cluster whose workers can import what the trainables here use."""
    import ray

    here = Path(__file__)
    paths = [str(here.parent), str(here.parents[2]), os.environ.get("PYTHONPATH")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
        ray.init(
            address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error"
        )
        yield
        ray.shutdown()


def domains(space):
    """Return Ray Tune's domains as a user would write them, with the categories themselves."""
    from ray import tune

    out = {}
    for name, domain in space.parameters.items():
        if isinstance(domain, Choice):
            out[name] = tune.choice(list(domain.values))
        elif isinstance(domain, Float):
            out[name] = (tune.loguniform if domain.log else tune.uniform)(domain.low, domain.high)
        else:
            out[name] = (tune.lograndint if domain.log else tune.randint)(domain.low, domain.high + 1)
    return out


def tune_search(name, seed, **options):
    from ray.tune.search.hyperopt import HyperOptSearch
    from ray.tune.search.optuna import OptunaSearch

    if name == "raytune_optuna":
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        return OptunaSearch(seed=seed, **options)
    return HyperOptSearch(random_state_seed=seed, **options)


def driven(search, space, evaluations, *, fails=lambda config: False):
    """Return what one of Ray Tune's searchers suggests, driven like by its controller; also where trials fail."""
    assert search.set_search_properties("error", "min", domains(space))
    configs = []
    for step in range(evaluations):
        trial = f"trial_{step * 7919 % 100:x}"
        config = space.active_part(plain(space, search.suggest(trial)))
        configs.append(config)
        if fails(config):
            search.on_trial_complete(trial, error=True)
            continue
        result = {"error": float(objective(config)), "training_iteration": 1, "done": True}
        search.on_trial_result(trial, dict(result))
        search.on_trial_complete(trial, dict(result))
    return configs


def tuned(tmp_path, trainable, *, param_space=None, scheduler=None, **options):
    """Return the results of a real ``tune.Tuner``, in the order in which its trials were made."""
    from ray import tune

    tuner = tune.Tuner(
        trainable,
        param_space=param_space or {},
        tune_config=tune.TuneConfig(scheduler=scheduler, reuse_actors=True, **options),
        run_config=tune.RunConfig(storage_path=str(tmp_path), name="search", verbose=0),
    )
    return list(tuner.fit())


# Ray Tune's searchers as ours.


@pytest.mark.parametrize("name", ["raytune_optuna", "raytune_hyperopt"])
@pytest.mark.parametrize("space", list(SPACES))
@pytest.mark.parametrize("seed", SEEDS)
def test_proposes_what_ray_tunes_searcher_suggests(name, space, seed):
    assert ours(name, SPACES[space], seed, 40) == driven(tune_search(name, seed), SPACES[space], 40)


@pytest.mark.parametrize(
    ("name", "settings"),
    [("raytune_optuna", {}), ("raytune_hyperopt", {"n_initial_points": 6, "gamma": 0.4})],
)
@pytest.mark.parametrize("space", [CATEGORICAL, CONDITIONAL], ids=["categorical", "conditional"])
def test_settings_and_other_spaces(name, settings, space):
    assert ours(name, space, 3, 40, **settings) == driven(tune_search(name, 3, **settings), space, 40)


@pytest.mark.parametrize("name", ["raytune_optuna", "raytune_hyperopt"])
def test_starting_point(name):
    first = dict(MIXED.references["published"])
    proposed = ours(name, MIXED, 3, 25, start_at_reference=True)
    assert proposed == driven(tune_search(name, 3, points_to_evaluate=[first]), MIXED, 25)
    assert proposed[0] == MIXED.references["published"]


@pytest.mark.parametrize("name", ["raytune_optuna", "raytune_hyperopt"])
@pytest.mark.parametrize("space", [MIXED, CONDITIONAL], ids=["mixed", "conditional"])
def test_failures_are_told_as_errors(name, space):
    expected = driven(tune_search(name, 3), space, 40, fails=lambda config: fate(config) is not Status.OK)
    assert ours(name, space, 3, 40, fate=fate) == expected
    assert ours(name, space, 3, 40, fate=fate, on_failure="impute") != expected


def test_agrees_with_optuna_itself():
    assert ours("raytune_optuna", MIXED, 1, 30) == ours("optuna_tpe", MIXED, 1, 30)


@pytest.mark.ray
@pytest.mark.parametrize("name", ["raytune_optuna", "raytune_hyperopt"])
def test_proposes_what_a_tuner_does(name, cluster, tmp_path):
    results = tuned(
        tmp_path,
        lambda config: {"error": float(objective(config))},
        param_space=domains(MIXED),
        search_alg=tune_search(name, 5),
        metric="error",
        mode="min",
        num_samples=25,
        max_concurrent_trials=1,
    )
    assert ours(name, MIXED, 5, 25) == [plain(MIXED, result.config) for result in results]


def test_no_cluster_is_started():
    import ray

    before = ray.is_initialized()
    ours("raytune_optuna", MIXED, 1, 3)
    ours("raytune_hyperopt", MIXED, 1, 3)
    ours("raytune_asha", MIXED, 1, 3)
    assert ray.is_initialized() == before


def scripted(script, complete=lambda trial, result: None):
    """Return a third party's adapter of a searcher of Ray Tune's that suggests what a script says."""
    from ray.tune.search import Searcher

    class Script(Searcher):
        def set_search_properties(self, metric, mode, config, **spec):
            log.append((metric, mode, sorted(config)))
            return True

        def suggest(self, trial_id):
            return script.pop(0)

        def on_trial_result(self, trial_id, result):
            log.append(("result", trial_id, result["loss"]))

        def on_trial_complete(self, trial_id, result=None, error=False):
            log.append(("complete", trial_id, result and result["loss"], error))
            complete(trial_id, result)

    class ThirdParty(RayTuneSearcher):
        """A searcher of somebody else's."""

        name = "third_party"

        def _tune_searcher(self, points):
            return Script()

    log = []
    problem = Problem(
        Space({"b": Int(1, 9), "fixed": Float(2.0, 2.0)}),
        Fidelity(1, 1),
        Objective("score", "max", failure=0),
    )
    return ThirdParty(problem, seed=1, budget=Budget("evaluations", 9)), log


def score(value):
    return Evaluation(Status.OK, Curve({"score": (float(value),)}), 1)


def test_a_third_partys_searcher_waits_and_finishes():
    searcher, log = scripted([{"b": 3}, None, {"b": np.int64(9)}, "FINISHED", {"b": 1}])
    first = searcher.ask()
    assert dict(first.config) == {"b": 3, "fixed": 2.0}
    assert searcher.ask() is None
    searcher.tell(first, score(0.25))
    second = searcher.ask()
    assert dict(second.config) == {"b": 9, "fixed": 2.0}
    assert type(second.config["b"]) is int
    assert searcher.ask() is None
    searcher.tell(second, Evaluation(Status.DIVERGED, Curve(), 1))
    assert searcher.ask() is None  # it has finished
    assert log == [
        ("loss", "min", ["b"]),
        ("result", "00000000", -0.25),
        ("complete", "00000000", -0.25, False),
        ("complete", "00000001", None, True),
    ]


def test_the_documented_subclass_searches():
    code = RayTuneSearcher.__doc__.partition(".. code-block:: python\n")[2]
    names = {"RayTuneSearcher": RayTuneSearcher}
    exec(textwrap.dedent(code), names)
    searcher = names["RayTuneQMC"](
        maximised("random", MIXED).problem, seed=1, budget=Budget("evaluations", 9)
    )
    proposals = [searcher.ask() for _ in range(9)]
    assert len({proposal.config["rate"] for proposal in proposals}) == 9


@pytest.mark.parametrize("suggested", [{"b": 10}, {"b": 2.5}, {"b": 1, "c": 1}, {}])
def test_a_suggestion_outside_the_space_is_refused(suggested):
    searcher, _ = scripted([suggested])
    with pytest.raises(SearcherError):
        searcher.ask()


def test_what_ray_tune_only_logs_is_raised():
    logger = logging.getLogger("ray.tune.search.optuna.optuna_search")
    searcher, _ = scripted([{"b": 3}], lambda *_: logger.warning("the loss was dropped"))
    logging.getLogger("ray.tune").setLevel(logging.ERROR)
    try:
        with pytest.raises(SearcherError, match="the loss was dropped"):
            searcher.tell(searcher.ask(), score(0.25))
    finally:
        logging.getLogger("ray.tune").setLevel(logging.NOTSET)
    assert logging.getLogger("ray.tune.search").handlers == []


@pytest.mark.parametrize("name", ["raytune_optuna", "raytune_asha"])
def test_names_that_ray_tune_would_nest_are_refused(name):
    with pytest.raises(IncompatibleError, match="optimizer/rate"):
        start(name, Space({"optimizer/rate": Float(0, 1)}), 1, 5)


# Ray Tune's ASHA as a searcher.


def staged(config, epochs):
    """A deterministic loss in which the order of configurations changes with training."""
    return float(objective(config) + math.sin(37 * objective(config)) * 9 / epochs)


def failing_epoch(config):
    """Return in which epoch a training fails; 0 if it doesn't. One in three does."""
    lot = int(objective(config) * 1e4)
    return (1, 2, 4)[lot // 3 % 3] if lot % 3 == 0 else 0


def asha_study(fidelity, workers, budget, space=MIXED, seed=4, *, failing=False, **settings):
    """Return the tells of a study, each with its trial, config, epochs and loss, and all the asks."""
    problem = Problem(space, fidelity, Objective("error", "min", failure=1e9))
    searcher = RayTuneASHA(problem, seed=seed, budget=Budget("evaluations", budget), **settings)
    study = Study(searcher, workers=workers, cost=lambda config: 1 + config["layers"])
    asked, told = [], []
    while study.done is None:
        for event in study.advance():
            if isinstance(event, Asked):
                asked.append(event.proposal)
                curve = [staged(event.proposal.config, e + 1) for e in range(event.proposal.epochs)]
                ended = Evaluation(Status.OK, Curve({"error": curve}), event.proposal.epochs)
                epoch = failing_epoch(event.proposal.config) if failing else 0
                if 0 < epoch <= event.proposal.epochs:
                    status = (Status.DIVERGED, Status.CRASHED, Status.TIMEOUT)[event.proposal.trial % 3]
                    ended = Evaluation(status, Curve(), epoch)
                study.deliver(event.number, ended)
            elif isinstance(event, Told):
                told.append((asked[event.number], event.loss))
    return asked, told


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize(
    ("fidelity", "settings"),
    [
        (Fidelity(1, 27), {"reduction_factor": 3}),
        (Fidelity(1, 20), {}),
        (Fidelity(1, 32), {"reduction_factor": 2, "grace_period": 3}),
        (Fidelity(2, 81), {"reduction_factor": 3, "brackets": 3}),
    ],
)
def test_asha_decides_what_ray_tunes_scheduler_does(fidelity, settings, workers):
    """Ray Tune's own scheduler is fed every epoch's result, in the order of the study's tells."""
    from ray.tune.experiment import Trial
    from ray.tune.schedulers import ASHAScheduler

    asked, told = asha_study(fidelity, workers, 150, **settings)
    scheduler = ASHAScheduler(
        metric="error",
        mode="min",
        max_t=fidelity.high,
        **{"grace_period": fidelity.low, "reduction_factor": 4, **settings},
    )
    np.random.seed(4)
    trials, reached, continued = {}, {}, 0
    for proposal in asked:
        if proposal.trial not in trials:
            trials[proposal.trial] = Trial("stub", stub=True, trial_id=f"{proposal.trial:04d}")
            scheduler.on_trial_add(None, trials[proposal.trial])
    last = {proposal.trial: proposal.epochs for proposal in asked}
    queued = {told[-i][0].trial for i in range(1, workers + 1)}  # may await a budget that has ended
    for proposal, _ in told:
        trial = trials[proposal.trial]
        for epoch in range(reached.get(proposal.trial, 0) + 1, proposal.epochs + 1):
            result = {"training_iteration": epoch, "error": staged(proposal.config, epoch)}
            decision = scheduler.on_trial_result(None, trial, result)
            if epoch < proposal.epochs:
                assert decision == "CONTINUE"
        reached[proposal.trial] = proposal.epochs
        goes_on = last[proposal.trial] > proposal.epochs
        continued += goes_on
        if decision == "STOP":
            assert not goes_on
            scheduler.on_trial_complete(None, trial, result)
        else:
            assert goes_on or proposal.trial in queued
    assert 10 < continued < len(told) - len(trials) / 2
    assert fidelity.high in last.values()


@pytest.mark.ray
@pytest.mark.parametrize(
    ("full", "settings", "failing"),
    [
        (9, {"reduction_factor": 3}, False),
        (16, {"grace_period": 2}, True),
        (9, {"reduction_factor": 3}, True),
    ],
    ids=["regular", "grace", "failing"],
)
def test_asha_trains_what_a_tuner_does(full, settings, failing, cluster, tmp_path):
    """A real ``tune.Tuner`` with one trial at a time, in which a failing trainable raises."""
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search import BasicVariantGenerator

    def train(config):
        for epoch in range(1, full + 1):
            if failing and failing_epoch(config) == epoch:
                raise RuntimeError("it diverged, crashed, or took too long")
            tune.report({"error": staged(config, epoch)})

    results = tuned(
        tmp_path,
        train,
        param_space=domains(MIXED),
        search_alg=BasicVariantGenerator(random_state=4, max_concurrent=1),
        scheduler=ASHAScheduler(max_t=full, **settings),
        metric="error",
        mode="min",
        num_samples=16,
    )
    asked, _ = asha_study(Fidelity(1, full), 1, 60, failing=failing, **settings)
    last = {proposal.trial: proposal for proposal in asked}

    def reported(proposal):
        """How many epochs a trial of ours reported in Ray Tune's way: not the one in which it failed."""
        epoch = failing_epoch(proposal.config) if failing else 0
        return epoch - 1 if 0 < epoch <= proposal.epochs else proposal.epochs

    expected = [(dict(last[number].config), reported(last[number])) for number in range(16)]
    assert expected == [
        (plain(MIXED, result.config), (result.metrics or {}).get("training_iteration", 0))
        for result in results
    ]
    assert len({epochs for _, epochs in expected}) >= 3
    assert any(result.error for result in results) == failing


@pytest.mark.parametrize("status", [Status.DIVERGED, Status.CRASHED, Status.TIMEOUT])
def test_asha_never_continues_a_failed_trial(status):
    problem = Problem(MIXED, Fidelity(1, 27), Objective("error", "min", failure=1e9))
    searcher = RayTuneASHA(problem, seed=4, budget=Budget("evaluations", 99))
    for trial in range(20):
        proposal = searcher.ask()
        assert (proposal.trial, proposal.epochs) == (trial, 1)
        searcher.tell(proposal, Evaluation(status, Curve(), 1))


@pytest.mark.parametrize("brackets", [1, 3])
def test_asha_starting_point(brackets, tmp_path):
    """Ray Tune's own generator, given the point, makes the same trials; the first is the first at the first rung."""
    from ray.tune.experiment import Experiment
    from ray.tune.search import BasicVariantGenerator

    first = dict(MIXED.references["published"])
    settings = {"reduction_factor": 3, "brackets": brackets, "start_at_reference": True}
    asked, told = asha_study(Fidelity(1, 9), 1, 60, **settings)
    made = {proposal.trial: dict(proposal.config) for proposal in asked}
    generator = BasicVariantGenerator(points_to_evaluate=[dict(first)], random_state=4)
    generator.add_configurations(
        [
            Experiment(
                "asha",
                run=lambda config: None,
                config=domains(MIXED),
                num_samples=len(made),
                storage_path=str(tmp_path),
            )
        ]
    )
    expected = [plain(MIXED, generator.next_trial().config) for _ in made]
    assert [made[number] for number in range(len(made))] == expected
    assert made[0] == first
    assert told[0][0].trial == 0
    reached = [proposal.epochs for proposal in asked if proposal.trial == 0]
    assert reached[-1] == 9  # nothing to be compared with
    assert brackets > 1 or reached == [1, 3, 9]


@pytest.mark.parametrize("grace_period", [1, 10])
def test_asha_refuses_a_first_rung_that_cannot_be_trained_for(grace_period):
    with pytest.raises(IncompatibleError, match=f"grace_period = {grace_period}"):
        asha_study(Fidelity(2, 9), 1, 10, grace_period=grace_period)


# Ours in Ray Tune.


def outcome(config):
    """A score to maximise, which can be NaN, or fail."""
    if config["rate"] > 2e-2:
        raise RuntimeError("out of memory")
    return math.nan if config["share"] < -1.4 else -objective(config)


def maximised(name, space=CONTINUOUS, evaluations=20, seed=2, **settings):
    problem = Problem(space, Fidelity(1, 3), Objective("score", "max", failure=-30.0))
    budget = Budget("evaluations", evaluations)
    return registry.searcher(name)(problem, seed=seed, budget=budget, **settings)


def study_configs(searcher, score_of):
    """Return what our own study of one worker proposes."""
    study = Study(searcher, workers=1, cost=lambda config: 1.0)
    configs = []
    while study.done is None:
        for event in study.advance():
            if isinstance(event, Asked):
                config = dict(event.proposal.config)
                configs.append(config)
                study.deliver(event.number, evaluated(config, score_of))
    return configs


def evaluated(config, score_of):
    try:
        value = score_of(config)
    except RuntimeError:
        return Evaluation(Status.CRASHED, Curve(), 3)
    if math.isnan(value):
        return Evaluation(Status.DIVERGED, Curve(), 3)
    return Evaluation(Status.OK, Curve({"score": (0.0, 0.0, float(value))}), 3)


@pytest.mark.ray
@pytest.mark.parametrize(
    ("name", "evaluations", "settings"),
    [("optuna_tpe", 25, {"n_startup_trials": 5}), ("skopt_gp", 10, {"n_initial_points": 5, "n_points": 500})],
)
def test_ours_propose_in_a_tuner_what_they_do_in_a_study(name, evaluations, settings, cluster, tmp_path):
    results = tuned(
        tmp_path,
        lambda config: {"score": float(-objective(config))},
        search_alg=as_tune_search(maximised(name, MIXED, evaluations, **settings)),
        num_samples=-1,
        max_concurrent_trials=1,
    )
    expected = study_configs(
        maximised(name, MIXED, evaluations, **settings), lambda config: -objective(config)
    )
    assert [result.config for result in results] == expected
    assert len(expected) == evaluations


@pytest.mark.ray
def test_trials_that_fail_in_a_tuner_are_told_like_in_a_study(cluster, tmp_path):
    settings = {"n_startup_trials": 4}
    results = tuned(
        tmp_path,
        lambda config: {"score": outcome(config)},
        search_alg=as_tune_search(maximised("optuna_tpe", seed=19, **settings)),
        num_samples=10,
        max_concurrent_trials=1,
    )
    expected = study_configs(maximised("optuna_tpe", seed=19, **settings), outcome)[:10]
    assert [result.config for result in results] == expected
    kinds = {evaluated(config, outcome).status for config in expected[:8]}
    assert kinds == {Status.OK, Status.CRASHED, Status.DIVERGED}
    assert sum(result.error is not None for result in results) > 0


@pytest.mark.ray
def test_a_tuner_ends_with_the_searcher(cluster, tmp_path):
    results = tuned(
        tmp_path,
        lambda config: {"score": 1.0},
        search_alg=as_tune_search(maximised("grid", TINY)),
        num_samples=-1,
    )
    assert [result.config for result in results] == study_configs(maximised("grid", TINY), lambda config: 1.0)
    assert len(results) == 4


@pytest.mark.ray
def test_the_documented_example_runs(cluster, tmp_path, monkeypatch):
    code = as_tune_search.__doc__.partition(".. code-block:: python\n")[2]
    code = textwrap.dedent(code.replace('Budget("evaluations", 20)', 'Budget("evaluations", 2)'))
    monkeypatch.setattr("ray.train.constants.DEFAULT_STORAGE_PATH", str(tmp_path))
    names = {}
    exec(code, names)
    assert names["best"].metrics["val_loss"] < 1
    assert list(tmp_path.iterdir())


def drive(search, steps, prefix="t"):
    """Ask and tell by turns; return the configs."""
    configs = []
    for step in range(steps):
        config = search.suggest(f"{prefix}{step}")
        if config in (None, "FINISHED"):
            return [*configs, config]
        configs.append(config)
        try:
            value = outcome(config)
        except RuntimeError:
            search.on_trial_complete(f"{prefix}{step}", error=True)
        else:
            search.on_trial_complete(f"{prefix}{step}", {"score": value, "other": 1})
    return configs


def test_search_waits_and_finishes():
    search = as_tune_search(maximised("skopt_gp", evaluations=2))
    search._own.parallel = False
    assert isinstance(search.suggest("a"), dict)
    assert search.suggest("b") is None
    search.on_trial_complete("a", {"score": 1})
    search.on_trial_complete("a", {"score": 2})  # run again: only its first end is told
    assert isinstance(search.suggest("b"), dict)
    assert search.suggest("c") == "FINISHED"
    assert (search.metric, search.mode) == ("score", "max")


@pytest.mark.parametrize(
    ("result", "error", "status"),
    [
        ({"score": 2.5}, False, Status.OK),
        ({"score": np.float32(2.5)}, False, Status.OK),
        ({"score": math.nan}, False, Status.DIVERGED),
        ({"score": -math.inf}, False, Status.DIVERGED),
        ({"score": 2.5}, True, Status.CRASHED),
        (None, True, Status.CRASHED),
        (None, False, Status.CRASHED),
    ],
)
def test_what_the_end_of_a_trial_amounts_to(result, error, status, monkeypatch):
    searcher = maximised("random")
    told = []
    monkeypatch.setattr(type(searcher), "_tell", lambda self, suggestion, loss: told.append(loss))
    search = as_tune_search(searcher)
    search.suggest("a")
    search.on_trial_complete("a", result, error)
    assert told == [-2.5 if status is Status.OK else 30.0]
    assert search._events[-1]["status"] == status


@pytest.mark.parametrize("name", ["random", "optuna_tpe", "pyswarms_pso"])
def test_a_search_can_be_saved_restored_copied_and_pickled(name, tmp_path):
    whole = drive(as_tune_search(maximised(name)), 20)
    search = as_tune_search(maximised(name))
    assert drive(search, 12) == whole[:12]
    waiting = search.suggest("waiting")
    assert waiting == whole[12]
    search.save(str(tmp_path / "state"))
    restored = as_tune_search(maximised(name))
    restored.restore(str(tmp_path / "state"))
    from ray import cloudpickle

    for again in (restored, copy.deepcopy(search), pickle.loads(cloudpickle.dumps(search))):
        result = evaluated(waiting, outcome)
        again.on_trial_complete(
            "waiting",
            {"score": outcome(waiting)} if result.status is not Status.CRASHED else None,
            result.status is Status.CRASHED,
        )
        assert drive(again, 7, "later") == whole[13:]
    with pytest.raises(ReplayMismatchError, match="'t0'"):
        as_tune_search(maximised(name, seed=9)).restore(str(tmp_path / "state"))
    with pytest.raises(ProtocolError, match="fresh"):
        restored.restore(str(tmp_path / "state"))


def test_a_searcher_that_fails_stops_the_search(monkeypatch):
    searcher = maximised("random")
    monkeypatch.setattr(type(searcher), "_tell", lambda self, suggestion, loss: 1 / 0)
    search = as_tune_search(searcher)
    search.suggest("a")
    with pytest.raises(SearcherError, match="division"):
        search.on_trial_complete("a", {"score": 1.0})
    search.on_trial_complete("a", error=True)  # what Ray Tune makes of it
    with pytest.raises(SearcherError, match="division"):
        search.suggest("b")


def test_a_trial_must_report_the_metric_and_be_known():
    search = as_tune_search(maximised("random"))
    search.suggest("a")
    with pytest.raises(ProtocolError, match=r"'score'.*\['scores'\]"):
        search.on_trial_complete("a", {"scores": 1.0})
    with pytest.raises(ProtocolError, match="'z'"):
        as_tune_search(maximised("random")).on_trial_complete("z", {"score": 1.0})


def test_another_metric_or_direction_is_refused():
    search = as_tune_search(maximised("random"))
    assert search.set_search_properties("score", "max", {"constant": 1}) is False
    with pytest.raises(ValueError, match="mode='min'"):
        search.set_search_properties("score", "min", {"constant": 1})
    with pytest.raises(ValueError, match="metric='loss'"):
        search.set_search_properties("loss", None, {"constant": 1})


def test_a_method_that_continues_trials_is_refused():
    with pytest.raises(IncompatibleError, match="continues trials"):
        as_tune_search(maximised("raytune_asha"))
