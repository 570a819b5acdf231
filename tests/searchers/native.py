"""What the equivalence tests compare: the test problems, and our own side of the comparison."""

import math

import pytest

pytest.register_assert_rewrite("searchers.conformance")

from harness import registry  # noqa: E402
from harness.space import Choice, Condition, Float, Int, Space  # noqa: E402
from harness.trial import Budget, Curve, Evaluation, Fidelity, Objective, Problem, Status  # noqa: E402
from searchers._adapt import clipped  # noqa: E402
from searchers.conformance import one_thread  # noqa: E402

CONTINUOUS = Space(
    {"rate": Float(1e-5, 1e-1, log=True), "share": Float(-2.0, 3.0)},
    references={"published": {"rate": 1e-3, "share": 0.5}},
)
MIXED = Space(
    {
        "rate": Float(1e-4, 1e-1, log=True),
        "layers": Int(1, 5),
        "units": Int(4, 512, log=True),
        "optimizer": Choice(("sgd", "adam", "rmsprop")),
        "nesterov": Choice((True, False)),
    },
    references={
        "published": {"rate": 1e-3, "layers": 1, "units": 12, "optimizer": "adam", "nesterov": False}
    },
)
CONDITIONAL = Space(
    {
        "optimizer": Choice(("sgd", "momentum", "rmsprop")),
        "momentum": Float(0.5, 0.99),
        "rho": Float(0.8, 0.999),
        "rate": Float(1e-4, 1e-1, log=True),
    },
    conditions={
        "momentum": Condition("optimizer", ("momentum",)),
        "rho": Condition("optimizer", ("rmsprop",)),
    },
)
CATEGORICAL = Space({"a": Choice(("x", "y", "z", "w")), "b": Choice((3, 1, 2)), "c": Choice((True, False))})
SPACES = {"continuous": CONTINUOUS, "mixed": MIXED}
SEEDS = (0, 1, 2**32 - 1)


def suggested(trial, space, *, conditions=True):
    """Return a configuration that an Optuna trial suggests, define-by-run; all parameters without ``conditions``."""
    config = {}
    for name, domain in space.parameters.items():
        if conditions and not space.is_active(name, config):
            continue
        if isinstance(domain, Float):
            config[name] = trial.suggest_float(name, domain.low, domain.high, log=domain.log)
        elif isinstance(domain, Int):
            config[name] = trial.suggest_int(name, domain.low, domain.high, log=domain.log)
        else:
            config[name] = trial.suggest_categorical(name, domain.values)
    return config


def objective(config):
    """A deterministic loss of any of the spaces' configurations."""
    return (
        (math.log10(config.get("rate", 1e-3)) + 2.5) ** 2
        + (config.get("share", 0.0) - 1.0) ** 2
        + (config.get("layers", 2) - 2) ** 2 / 4
        + (math.log(config.get("units", 50)) - 4) ** 2
        + {"adam": 0.0, "momentum": 0.2}.get(config.get("optimizer"), 0.7)
        + (config.get("momentum", 0.9) - 0.8) ** 2
        + (0.1 if config.get("nesterov") else 0.0)
        + {"x": 0.0, "y": 0.3, "z": 0.1, "w": 0.2}[config.get("a", "x")]
        + config.get("b", 0) * 0.07
        + (0.05 if config.get("c") else 0.0)
    )


def problem(space):
    return Problem(space, Fidelity(1, 1), Objective("error", "min", failure=1e9))


def start(name, space, seed, evaluations, *, workers=1, **settings):
    budget = Budget("evaluations", evaluations)
    return registry.searcher(name)(problem(space), seed=seed, budget=budget, workers=workers, **settings)


def tell(searcher, proposal, status=Status.OK):
    curve = Curve({"error": (float(objective(proposal.config)),)})
    searcher.tell(proposal, Evaluation(status, curve if status is Status.OK else Curve(), 1))


def ours(name, space, seed, evaluations, *, fate=lambda config: Status.OK, **settings):
    """Return what our adapter proposes, where evaluations end as ``fate`` says."""
    searcher = start(name, space, seed, evaluations, **settings)
    configs = []
    with one_thread():
        for _ in range(evaluations):
            proposal = searcher.ask()
            if proposal is None:
                break
            configs.append(dict(proposal.config))
            tell(searcher, proposal, fate(proposal.config))
    return configs


def fate(config):
    """How a configuration's evaluation ends: three in seven fail, each in its own way."""
    return {0: Status.DIVERGED, 1: Status.TIMEOUT, 2: Status.CRASHED}.get(
        int(objective(config) * 1e4) % 7, Status.OK
    )


def failing(config):
    """The objective as a library's user would write it: NaN where training diverged, and else an exception."""
    status = fate(config)
    if status in {Status.TIMEOUT, Status.CRASHED}:
        raise RuntimeError(status)
    return math.nan if status is Status.DIVERGED else objective(config)


def ours_in_parallel(name, space, seed, evaluations, workers, **settings):
    """Return what our adapter proposes to a study of workers that take equally long; told latest first."""
    searcher = start(name, space, seed, evaluations, workers=workers, **settings)
    configs = []
    with one_thread():
        while len(configs) < evaluations:
            waiting = []
            while len(waiting) < min(workers, evaluations - len(configs)) and (asked := searcher.ask()):
                waiting.append(asked)
            if not waiting:
                break
            configs += [dict(proposal.config) for proposal in waiting]
            for proposal in reversed(waiting):
                tell(searcher, proposal)
    return configs


def plain(space, values):
    """Return a library's values as Python's, in the space's order; numpy's own types don't count as different."""
    out = {}
    for name, domain in space.parameters.items():
        if name in values:
            value = values[name]
            value = value.item() if hasattr(value, "item") else value
            out[name] = int(value) if isinstance(domain, Int) and float(value).is_integer() else value
    return out


def within(space, config):
    """Return a configuration whose real values are moved to their bounds, which a library misses by rounding."""
    return {
        name: clipped(domain, config[name]) if isinstance(domain, Float) else config[name]
        for name, domain in space.parameters.items()
        if name in config
    }
