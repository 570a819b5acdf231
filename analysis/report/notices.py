"""What a reader must know before believing a number of a sweep."""

from __future__ import annotations

from analysis.report.partial import left_out_notices
from analysis.statistics.inputs import Inputs
from analysis.statistics.steps import unusable_studies
from analysis.words import SUBSET, short
from harness.machine import kinds, numbers_of
from harness.plan import study_label, tasks_in_words
from harness.plurals import plural


def import_notices(inputs: Inputs) -> list[str]:
    """Return what a reader must know of imported results; nothing where all was run here."""
    about = inputs.tables.imported
    if about is None:
        return []
    seeds = (
        "That runs with the same repetition share their seeds or data splits is said by whoever imported them; methods "
        "are compared in such pairs."
        if about.paired
        else "The seeds of these runs are not known, so that runs of different methods are independent: each is "
        "compared with all runs of the others, never in pairs, which takes more repetitions to show a difference."
    )
    return [
        f"Imported from {about.words}: nothing of this was run by HPO Derby, which can neither repeat it nor vouch for "
        "how budgets, data and failures were treated.",
        seeds,
        *about.notes,
    ]


def notices(inputs: Inputs) -> list[str]:
    """Return what a reader must know before believing a number."""
    tables, items = inputs.tables, []
    subsets = [str(task) for task in sorted(tables.tasks.index[tables.tasks["subset"].astype(bool)])]
    if subsets:
        labels = [str(task) for task in tables.tasks.index]
        items.append(f"{SUBSET} Tasks: {tasks_in_words(subsets, labels)}.")
    replayed: dict[str, list[str]] = {}
    for task, text in sorted(tables.tasks["replayed"].items()):
        if text:
            replayed.setdefault(text, []).append(str(task))
    if replayed:
        every = [str(task) for task in tables.tasks.index]
        each = "; ".join(f"{tasks_in_words(tasks, every)}: {text}" for text, tasks in replayed.items())
        items.append(f"Nothing was trained for these tasks, whose recorded trainings are replayed: {each}.")
    items += [*left_out_notices(tables), *import_notices(inputs)]
    absent = len(unusable_studies(tables))
    if absent:
        items.append(
            f"Incomplete: {absent} of {plural(len(tables.studies), 'planned study')} "
            f"{'is' if absent == 1 else 'are'} not finished and not used; see Completeness, and the captions."
        )
    machines = [
        {name: value for name, value in machine.items() if name != "id"}
        for machine in tables.provenance.get("machines") or []
    ]
    clocks = len(kinds(machines, dict))
    if clocks > 1:
        items.append(
            f"Seconds of this one sweep were measured on {clocks} different machines: compare them with care."
        )
    numbers = len(kinds(machines, numbers_of))
    if numbers > 1:
        items.append(
            f"Trainings come from {numbers} kinds of machine that can give other numbers (device, threads, "
            "arithmetic or versions differ; see Provenance): expect them to repeat exactly on their own kind only."
        )
    if tables.extends is not None:
        items.append(
            f"These are only the studies that extend {tables.extends.name!r}: {tables.extends.studies} more are "
            "published by that name, and are put together with these when they are published."
        )
    ended = short(tables, list(tables.tasks.index), name="; ".join)
    if ended:
        items.append(f"{ended} What they would have found with the rest cannot be known.")
    went_on = tables.studies[tables.studies["followed"] > 0]
    if len(went_on):
        named = [
            f"{study_label(row['searcher'], row['task'], row['repetition'])}, after "
            f"{plural(row['followed'], 'evaluation')}"
            for row in went_on.to_dict("records")
        ]
        items.append(
            f"{len(went_on)} of {plural(len(tables.studies), 'study')} went on from recorded trials: what its searcher "
            "proposed when it was resumed departed from its record, so that a fresh one was told the trials so far "
            f"and proposed the rest ({'; '.join(named)})."
        )
    items += [
        f"Repetitions were added after results of {look.complete} existed ({look.before} → {look.after}, "
        f"{look.when[:10]}{f', {look.folder}' if look.folder else ''}): levels hold for a number of repetitions "
        "that was fixed beforehand; adding some until a test shows something finds too much."
        for look in tables.looks
    ]
    if (tables.tasks["splits"] == "repetition").any():
        items.append(
            "Each repetition drew its own training/validation split, the same for all methods: intervals and tests "
            "over repetitions include the split among what varies."
        )
    items += [f"Merged from several folders: {note}." for note in tables.provenance.get("merged") or []]
    return items
