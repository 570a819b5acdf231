"""Optuna's pruners at rungs: what its own loop trains, how far, and in any order of evaluations."""

import itertools
import logging
import math
import random
from collections import Counter, defaultdict

import optuna
import pytest
from native import CATEGORICAL, CONDITIONAL, CONTINUOUS, MIXED, SEEDS, SPACES, objective, suggested

from harness import registry
from harness.errors import IncompatibleError
from harness.events import Asked, Told
from harness.space import Float, Space
from harness.study import Study
from harness.trial import Budget, Curve, Evaluation, Fidelity, Objective, Problem, Status
from searchers.conformance import one_thread

NAMES = ("optuna_sha", "optuna_hyperband")


@pytest.fixture(autouse=True)
def reproducible():
    logger = logging.getLogger("optuna")
    level = logger.level
    logger.setLevel(logging.WARNING)
    with one_thread():
        yield
    logger.setLevel(level)


def value(config, epoch):
    """A learning curve that falls, wavers, and crosses those of other configurations."""
    final = objective(config)
    return final + (3.0 + math.cos(7.0 * final + epoch)) / math.sqrt(epoch)


def started(name, space=CONTINUOUS, seed=1, *, low=1, full=27, budget=None, **settings):
    problem = Problem(space, Fidelity(low, full), Objective("error", "min", failure=1e9))
    return registry.searcher(name)(
        problem, seed=seed, budget=budget or Budget("evaluations", 10**6), **settings
    )


def ending(config):
    """How a configuration's training ends, and in which epoch if it fails: half of them do, each in its own way."""
    lot = int(objective(config) * 1e4)
    status = {0: Status.DIVERGED, 1: Status.TIMEOUT, 2: Status.CRASHED}.get(lot % 6, Status.OK)
    return status, (1, 2, 5, 20)[lot // 6 % 4]


def evaluated(proposal, status=Status.OK, epochs=1):
    if status is not Status.OK:
        return Evaluation(status, Curve(), epochs)
    curve = Curve({"error": [value(proposal.config, epoch) for epoch in range(1, proposal.epochs + 1)]})
    return Evaluation(status, curve, proposal.epochs)


def ours(name, space, seed, trials, *, full=27, low=1, failing=False, **settings):
    """Return each trial's configuration and the epochs it was evaluated at, one after another.

    Args:
        failing: End trainings as `ending` says; of one that doesn't diverge, the last epochs are those that it began.
    """
    searcher = started(name, space, seed, low=low, full=full, **settings)
    seen = []
    while True:
        proposal = searcher.ask()
        if proposal.trial == trials:
            return seen
        if proposal.trial == len(seen):
            seen.append((dict(proposal.config), [proposal.epochs]))
        else:
            assert proposal.trial == len(seen) - 1  # one worker trains a trial to its end
            assert seen[-1][0] == proposal.config
            assert seen[-1][1][-1] < proposal.epochs <= full
            seen[-1][1].append(proposal.epochs)
        status, epochs = ending(proposal.config)
        if not failing or status is Status.OK or proposal.epochs < epochs:
            searcher.tell(proposal, evaluated(proposal))
            continue
        searcher.tell(proposal, evaluated(proposal, status, epochs))
        if status is not Status.DIVERGED:
            seen[-1][1][-1] = epochs


def native(
    pruner,
    space,
    seed,
    trials,
    *,
    full=27,
    report=None,
    study_name=None,
    random=False,
    first=None,
    failing=False,
):
    """Return what `Study.optimize` trains: each trial's configuration and the epochs it was trained for.

    Args:
        report: The epochs that are reported; every one by default.
    """

    def run(trial):
        config = suggested(trial, space)
        seen.append([config, 0])
        for epoch in range(1, full + 1):
            seen[-1][1] = epoch
            status, fatal = ending(config) if failing else (Status.OK, 1)
            loss = value(config, epoch)
            if epoch >= fatal and status is Status.DIVERGED:
                loss = math.nan
            elif epoch >= fatal and status is not Status.OK:
                raise RuntimeError(status)
            if report is None or epoch in report:
                trial.report(loss, epoch)
                if epoch < full and trial.should_prune():
                    raise optuna.TrialPruned
        return loss

    seen = []
    sampler = optuna.samplers.RandomSampler if random else optuna.samplers.TPESampler
    study = optuna.create_study(sampler=sampler(seed=seed), pruner=pruner, study_name=study_name)
    if first is not None:
        study.enqueue_trial(first)
    study.optimize(run, n_trials=trials, catch=(RuntimeError,))
    return [tuple(trial) for trial in seen]


def sha(**options):
    return optuna.pruners.SuccessiveHalvingPruner(**{"min_resource": 1, **options})


def hyperband(full, **options):
    return optuna.pruners.HyperbandPruner(max_resource=full, **options)


def reached(trials):
    return [(config, epochs[-1]) for config, epochs in trials]


# What the library's own loop does.


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("space", SPACES)
def test_sha(space, seed):
    expected = native(sha(), SPACES[space], seed, 40)
    assert {1, 4, 27} <= {epochs for _, epochs in expected} <= {1, 4, 16, 27}
    assert reached(ours("optuna_sha", SPACES[space], seed, 40)) == expected


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("space", SPACES)
def test_hyperband(space, seed):
    expected = native(hyperband(27), SPACES[space], seed, 40, study_name=f"optuna_hyperband-{seed}")
    assert {1, 3, 27} <= {epochs for _, epochs in expected} <= {1, 3, 9, 27}
    assert reached(ours("optuna_hyperband", SPACES[space], seed, 40)) == expected


@pytest.mark.parametrize(
    ("space", "full", "settings"),
    [
        (CONDITIONAL, 50, {"reduction_factor": 2, "min_early_stopping_rate": 2}),
        (CATEGORICAL, 9, {"reduction_factor": 3, "bootstrap_count": 4}),
        (MIXED, 30, {"min_resource": 2, "reduction_factor": 3}),
    ],
    ids=["conditional", "categorical", "mixed"],
)
@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_sha_settings(space, full, settings, sampler):
    expected = native(sha(**settings), space, 3, 40, full=full, random=sampler == "random")
    assert reached(ours("optuna_sha", space, 3, 40, full=full, sampler=sampler, **settings)) == expected


@pytest.mark.parametrize(
    ("space", "full", "settings"),
    [
        (CONDITIONAL, 50, {"reduction_factor": 2}),
        (CATEGORICAL, 9, {"reduction_factor": 3, "bootstrap_count": 2}),
        (MIXED, 30, {"min_resource": 2, "reduction_factor": 4}),
    ],
    ids=["conditional", "categorical", "mixed"],
)
@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_hyperband_settings(space, full, settings, sampler):
    expected = native(
        hyperband(full, **settings),
        space,
        3,
        40,
        full=full,
        study_name="optuna_hyperband-3",
        random=sampler == "random",
    )
    assert reached(ours("optuna_hyperband", space, 3, 40, full=full, sampler=sampler, **settings)) == expected


def test_the_sampler_takes_its_settings():
    searcher = started("optuna_sha", n_startup_trials=3, multivariate=False, constant_liar=False)
    own, library = [], []
    sampler = optuna.samplers.TPESampler(seed=1, n_startup_trials=3, multivariate=False, constant_liar=False)
    study = optuna.create_study(sampler=sampler, pruner=sha())
    while len(own) < 30:
        proposal = searcher.ask()
        if proposal.trial == len(own):
            own.append(dict(proposal.config))
        searcher.tell(proposal, evaluated(proposal))

    def run(trial):
        config = {
            "rate": trial.suggest_float("rate", 1e-5, 1e-1, log=True),
            "share": trial.suggest_float("share", -2.0, 3.0),
        }
        library.append(config)
        for epoch in (1, 4, 16):
            trial.report(value(config, epoch), epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
        return value(config, 27)

    study.optimize(run, n_trials=30)
    assert own == library
    assert own != [config for config, _ in ours("optuna_sha", CONTINUOUS, 1, 30)]


def test_reporting_at_rungs_only_is_the_same():
    every = native(sha(reduction_factor=3), MIXED, 3, 40)
    assert native(sha(reduction_factor=3), MIXED, 3, 40, report=(1, 3, 9, 27)) == every


@pytest.mark.parametrize("name", NAMES)
def test_starting_point(name):
    first = dict(MIXED.references["published"])
    pruner = sha() if name == "optuna_sha" else hyperband(27)
    expected = native(pruner, MIXED, 3, 20, study_name=f"{name}-3", first=first)
    trials = ours(name, MIXED, 3, 20, start_at_reference=True)
    assert reached(trials) == expected
    assert trials[0][0] == first


# Rungs and brackets.


def test_sha_rungs():
    schedule = [1, 3, 9, 27, 81]
    trials = ours("optuna_sha", CONTINUOUS, 1, 60, full=81, reduction_factor=3)
    assert {len(epochs) for _, epochs in trials} == {1, 2, 3, 4, 5}
    for _, epochs in trials:
        assert epochs == schedule[: len(epochs)]


def test_hyperband_rungs():
    """Each bracket begins at its own rung, in the paper's proportions, and halves from there."""
    schedule = [1, 3, 9, 27, 81]
    trials = ours("optuna_hyperband", CONTINUOUS, 1, 400, full=81, sampler="random")
    starts = Counter(epochs[0] for _, epochs in trials)
    assert sorted(starts) == schedule
    for _, epochs in trials:
        first = schedule.index(epochs[0])
        assert epochs == schedule[first : first + len(epochs)]
    sizes = dict(zip(schedule, (81, 34, 15, 8, 5), strict=True))  # of Li et al.: ⌈5 · 3ˢ / (s + 1)⌉
    pruner = started("optuna_hyperband", full=81, sampler="random")._study.pruner
    assert pruner._trial_allocation_budgets == list(sizes.values())
    for epochs, size in sizes.items():
        assert starts[epochs] / 400 == pytest.approx(size / 143, abs=0.07)
    # About a third of a rung's trials goes on to the next.
    for here, there in itertools.pairwise(schedule):
        at = sum(here in epochs for _, epochs in trials)
        on = sum(here in epochs and there in epochs for _, epochs in trials)
        assert 0.2 < on / at < 0.6, (here, on, at)


def test_hyperband_brackets_differ_between_seeds():
    starts = [
        [epochs[0] for _, epochs in ours("optuna_hyperband", CONTINUOUS, seed, 20, sampler="random")]
        for seed in (1, 2)
    ]
    assert starts[0] != starts[1]


def test_hyperband_knows_the_bracket_of_the_very_first_trials():
    for seed in range(5):
        searcher = started("optuna_hyperband", seed=seed, sampler="random")
        at_once = [searcher.ask().epochs for _ in range(12)]
        one_by_one = ours("optuna_hyperband", CONTINUOUS, seed, 12, sampler="random")
        assert at_once == [epochs[0] for _, epochs in one_by_one]
        assert len(set(at_once)) > 1


def test_hyperband_loses_a_bracket_to_rounding():
    """As the library does: ⌊log₃ 243⌋ comes out as 4."""
    trials = ours("optuna_hyperband", CONTINUOUS, 1, 300, full=243, sampler="random")
    assert {epochs[0] for _, epochs in trials} == {1, 3, 9, 27, 81}


def test_hyperband_models_all_brackets_together():
    """The model takes over after ten trials in all, not ten of a bracket."""
    early, late = (
        ours("optuna_hyperband", CONTINUOUS, 1, 15, n_startup_trials=startup) for startup in (10, 100)
    )
    assert early[:10] == late[:10]
    assert early[10][0] != late[10][0]


def test_lowest_rung_is_the_lowest_fidelity():
    trials = ours("optuna_sha", CONTINUOUS, 1, 20, low=3, full=50)
    assert {tuple(epochs) for _, epochs in trials} >= {(3,), (3, 12, 48, 50)}


# Failures.


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("name", NAMES)
def test_failing_trials_end_where_they_do_in_the_library(name, space, seed):
    pruner = sha() if name == "optuna_sha" else hyperband(27)
    logging.getLogger("optuna").setLevel(logging.ERROR)
    expected = native(pruner, SPACES[space], seed, 40, study_name=f"{name}-{seed}", failing=True)
    assert reached(ours(name, SPACES[space], seed, 40, failing=True)) == expected
    met = {ending(config)[0] for config, epochs in expected if epochs >= ending(config)[1]}
    assert len(met) >= 3


@pytest.mark.parametrize("on_failure", ["library", "impute"])
@pytest.mark.parametrize("status", [Status.DIVERGED, Status.CRASHED, Status.TIMEOUT])
@pytest.mark.parametrize("name", NAMES)
def test_a_failed_trial_never_goes_on(name, status, on_failure):
    """Not even the first at its rung, of which any success goes on, nor where all fail."""
    searcher = started(name, sampler="random", on_failure=on_failure)
    for trial in range(30):
        proposal = searcher.ask()
        assert proposal.trial == trial
        searcher.tell(proposal, evaluated(proposal, status))


def test_impute_tells_the_sampler_the_failure_value_at_the_rung():
    searcher = started("optuna_sha", on_failure="impute")
    searcher.tell(searcher.ask(), evaluated(None, Status.TIMEOUT))
    (trial,) = searcher._study.trials
    assert (trial.state.name, trial.value, trial.intermediate_values) == ("PRUNED", 1e9, {1: 1e9})


# Several workers, any order of delivery.


def cost(config):
    """Seconds of an epoch, different for each configuration."""
    return 0.5 + config["rate"] * 30 + abs(config["share"])


def studied(name, workers, *, order=0, budget=400, **settings):
    """Run a study to its end; deliver evaluations in an order drawn from a generator."""
    searcher = started(name, CONTINUOUS, 5, full=81, budget=Budget("epochs", budget), **settings)
    study = Study(searcher, workers=workers, cost=cost)
    events, waiting, shuffled = [], [], random.Random(order)
    while study.done is None:
        for event in study.advance():
            events.append(event)
            if isinstance(event, Asked):
                waiting.append(event)
        if waiting and study.done is None:
            asked = waiting.pop(shuffled.randrange(len(waiting)))
            study.deliver(asked.number, evaluated(asked.proposal))
    return events


def story(events):
    return [
        (e.number, e.proposal, e.start) if isinstance(e, Asked) else (e.number, e.loss, e.epochs, e.finish)
        for e in events
        if isinstance(e, Asked | Told)
    ]


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_deliveries_does_not_matter(name, workers):
    settings = {"reduction_factor": 3, "n_startup_trials": 5}
    expected = story(studied(name, workers, **settings))
    assert any(len(told) == 4 for told in expected)
    for order in (1, 2, 3):
        assert story(studied(name, workers, order=order, **settings)) == expected


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("name", NAMES)
def test_epochs_are_charged_incrementally(name, workers):
    events = studied(name, workers, reduction_factor=3, sampler="random", budget=1500)
    asked = {e.number: e.proposal for e in events if isinstance(e, Asked)}
    charged, deepest = defaultdict(int), defaultdict(int)
    for event in events:
        if isinstance(event, Told):
            proposal = asked[event.number]
            assert event.epochs == proposal.epochs - deepest[proposal.trial]
            charged[proposal.trial] += event.epochs
            deepest[proposal.trial] = proposal.epochs
    assert charged == deepest
    assert 81 in deepest.values()
    assert sum(charged.values()) == events[-1].epochs <= 1500


@pytest.mark.parametrize("name", NAMES)
def test_trials_that_go_on_come_before_new_ones(name):
    """In the order in which they were told, whichever was asked first."""
    searcher = started(name, sampler="random", bootstrap_count=0, reduction_factor=3)
    opened = []
    while len(opened) < 4:  # those of the lowest bracket, each better than the one before
        proposal = searcher.ask()
        if proposal.epochs == 1:
            opened.append(proposal)
    order = [opened[i] for i in (2, 0, 3, 1)]
    for loss, proposal in zip((4.0, 3.0, 2.0, 1.0), order, strict=True):
        searcher.tell(proposal, Evaluation(Status.OK, Curve({"error": (loss,)}), 1))
    following = [searcher.ask() for _ in range(5)]
    assert [(p.trial, p.epochs) for p in following[:4]] == [(p.trial, 3) for p in order]
    assert following[4].trial > max(p.trial for p in opened)


# What they refuse.


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("low", "full", "settings", "reason"),
    [
        (5, 5, {}, "nothing to halve: its first rung is at 5 epochs, and full fidelity is 5"),
        (1, 9, {"min_resource": 9}, "nothing to halve"),
        (3, 9, {"min_resource": 2}, "min_resource is 2, and the task needs 3 epochs at least"),
        (1, 9, {"start_at_reference": True}, "no reference configuration"),
    ],
)
def test_refused_problems(name, low, full, settings, reason):
    with pytest.raises(IncompatibleError, match=reason):
        started(name, CONDITIONAL, low=low, full=full, **settings)


def test_sha_refuses_to_skip_every_rung():
    with pytest.raises(IncompatibleError, match="its first rung is at 16 epochs, and full fidelity is 16"):
        started("optuna_sha", full=16, min_early_stopping_rate=2)


@pytest.mark.parametrize("name", NAMES)
def test_settings_of_the_other_sampler_are_refused(name):
    with pytest.raises(ValueError, match="n_startup_trials is a setting of sampler: tpe"):
        started(name, sampler="random", n_startup_trials=5)


def test_a_space_without_choice():
    space = Space({"share": Float(0.5, 0.5)})
    assert [epochs for _, epochs in ours("optuna_sha", space, 1, 3)] == [[1, 4, 16, 27]] * 3
