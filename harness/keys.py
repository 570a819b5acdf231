"""Identities and seeds: stable digests of names, never of the order of execution."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from harness.arithmetic import Arithmetic
from harness.space import Config
from harness.trial import Budget

NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}"
"""What sweeps, tasks, searchers and studies may be called, so that no name leaves the results folder."""

NAME_IN_WORDS = "1 to 80 letters, digits, '.', '_' and '-', beginning with a letter or digit"
"""The same, for messages."""

GROUP = r"[a-z][a-z0-9-]{0,39}"
"""What groups of tasks may be called."""

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode


def as_name(text: str) -> str:
    """Return a text with a dash in the place of what no name may hold; its length and beginning stay as they are."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text)


def canonical_json(value: object) -> str:
    """Return the one JSON text of a value made of JSON types: sorted keys, no spaces, no NaN."""
    return _encode(value)


def text_digest(text: str) -> str:
    """Return the digest of a text, of 16 digits."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def digest(value: object) -> str:
    """Return the first 16 hex digits of the SHA-256 of a value's canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:16]


def derive_seed(root: int, *names: object) -> int:
    """Derive a 32-bit seed from a root seed and a path of names (any JSON values).

    Equal paths give equal seeds on every machine and in every order of execution; different paths
    give independent ones: numpy's `SeedSequence` mixes the root with a SHA-256 of the path.
    """
    path = hashlib.sha256(canonical_json(names).encode()).digest()
    words = np.frombuffer(path, dtype="<u4").tolist()
    return int(np.random.SeedSequence([root, *words]).generate_state(1, dtype=np.uint32)[0])


@dataclass(frozen=True, slots=True)
class TaskKey:
    """Identity of a task: name, version, every option with its value, defaults included, data, and origin.

    ``options`` decide the numbers of a training. ``scoring`` only decides which of them is the
    objective, so that studies of different objectives share evaluations and training seeds. ``data`` is
    the digest of what is trained on (see `Task.data_identity`), ``package`` the plug-in that the task comes
    from, with its version, or the file with its digest; empty for ours.
    ``split`` is the seed by which training and validation examples
    are drawn apart, where not the task's own split is used; see `Task.split`. None of these changes another
    seed: on other data a study meets the same initial weights and orders. ``seeds_of`` is the task whose seeds it
    has, where these are not its own; see `Task.seeds_of`.
    """

    name: str
    version: int
    options: Mapping[str, Any] = field(default_factory=dict)
    scoring: Mapping[str, Any] = field(default_factory=dict)
    data: str = ""
    package: str = ""
    split: int | None = None
    seeds_of: Mapping[str, Any] | None = None
    id: str = field(init=False, compare=False)
    """Digest of what evaluations depend on."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", digest(self.training))

    @property
    def training(self) -> dict[str, Any]:
        """What evaluations depend on, as JSON."""
        own = {**self._own, "data": self.data, "package": self.package}
        further = {"split": self.split, "seeds_of": None if self.seeds_of is None else dict(self.seeds_of)}
        return {**own, **{name: value for name, value in further.items() if value is not None}}

    @property
    def unsplit(self) -> TaskKey:
        """The key of the task with its own split: what its data are kept under, however they are then split."""
        return self if self.split is None else replace(self, split=None)

    @property
    def seeded(self) -> dict[str, Any]:
        """What the seeds of trainings depend on, as JSON."""
        own = self._own if self.seeds_of is None else self.seeds_of
        return {name: own[name] for name in self._own}

    @property
    def searched(self) -> dict[str, Any]:
        """What the seeds of searches depend on, as JSON: the objective, too."""
        scoring = self.scoring if self.seeds_of is None else self.seeds_of["scoring"]
        return {**self.seeded, "scoring": dict(scoring)}

    @property
    def _own(self) -> dict[str, Any]:
        return {"name": self.name, "version": self.version, "options": dict(self.options)}

    def as_json(self) -> dict[str, Any]:
        """Return the key as JSON types."""
        return {**self.training, "scoring": dict(self.scoring)}


@dataclass(frozen=True, slots=True)
class StudyKey:
    """Identity of a study: one searcher on one task, once.

    Library versions are recorded beside it, not in it: after an upgrade it is still the same study, and replaying
    it tells whether it still does the same. A file of a user's own is edited from run to run: its name and
    digest, ``searcher_file``, are in it, so that no earlier content's study is taken for the present one's. So is
    ``searcher_version``, which an adapter raises where it proposes otherwise (see `Searcher.version`). Neither
    changes a seed.
    """

    task: TaskKey
    searcher: str
    settings: Mapping[str, Any]
    budget: Budget
    workers: int
    repetition: int
    root_seed: int
    deadline: float | None = None
    arithmetic: Arithmetic = Arithmetic.PORTABLE
    threads: int = 1
    searcher_file: str = ""
    searcher_version: int = 1

    id: str = field(init=False, compare=False)
    """Digest that names the study's journal."""
    search_seed: int = field(init=False, compare=False)
    """Seed of the searcher: from task, searcher and repetition."""
    training_seed: int = field(init=False, compare=False)
    """Seed of every training: from task and repetition only, common to all searchers."""

    def __post_init__(self) -> None:
        root, task, repetition = self.root_seed, self.task, self.repetition
        search = derive_seed(root, "search", task.searched, self.searcher, repetition)
        object.__setattr__(self, "id", digest(self.as_json()))
        object.__setattr__(self, "search_seed", search)
        object.__setattr__(self, "training_seed", derive_seed(root, "training", task.seeded, repetition))

    def evaluation(self, config: Config) -> EvaluationKey:
        """Return the key of this study's evaluation of a configuration."""
        return EvaluationKey(self.task, config, self.training_seed, self.arithmetic, self.threads)

    def reevaluation(self, config: Config, number: int) -> EvaluationKey:
        """Return the key of this study's winner, evaluated with the fresh training seed of that number.

        The seed derives from root seed, task and repetition, as the search's own does, and from the number: methods
        that end in the same configuration share the evaluation.
        """
        seed = derive_seed(self.root_seed, "reevaluation", self.task.seeded, self.repetition, number)
        return EvaluationKey(self.task, config, seed, self.arithmetic, self.threads)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> StudyKey:
        """Return the key that `as_json` returned as JSON types."""
        fields = {**value, "task": TaskKey(**value["task"]), "budget": Budget(**value["budget"])}
        return cls(**{**fields, "arithmetic": Arithmetic(value["arithmetic"])})

    def as_json(self) -> dict[str, Any]:
        """Return the key as JSON types."""
        file = {"searcher_file": self.searcher_file} if self.searcher_file else {}
        version = {"searcher_version": self.searcher_version} if self.searcher_version != 1 else {}
        return {
            **file,
            **version,
            "task": self.task.as_json(),
            "searcher": self.searcher,
            "settings": dict(self.settings),
            "budget": self.budget.as_json(),
            "workers": self.workers,
            "repetition": self.repetition,
            "root_seed": self.root_seed,
            "deadline": self.deadline,
            "arithmetic": self.arithmetic.value,
            "threads": self.threads,
        }


@dataclass(frozen=True, slots=True)
class EvaluationKey:
    """Identity of an evaluation: a pure function of task, configuration, training seed, arithmetic and threads."""

    task: TaskKey
    config: Config
    seed: int
    arithmetic: Arithmetic = Arithmetic.PORTABLE
    threads: int = 1

    id: str = field(init=False, compare=False)
    """Digest under which the evaluation is recorded."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", digest(self.as_json()))

    def as_json(self) -> dict[str, Any]:
        """Return the key as JSON types."""
        return {
            "task": self.task.training,
            "config": dict(self.config),
            "seed": self.seed,
            "arithmetic": self.arithmetic.value,
            "threads": self.threads,
        }
