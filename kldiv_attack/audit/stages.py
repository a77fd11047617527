"""The stages of an audit."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from kldiv_attack._progress import progress
from kldiv_attack._shares import wilson
from kldiv_attack.audit.answers import Answers
from kldiv_attack.audit.asking import ask_about
from kldiv_attack.audit.attacks import NO_GRADIENT, Arena, accepted
from kldiv_attack.audit.comparing import (
    Attacked,
    Scored,
    attack_changes,
    differences_of,
)
from kldiv_attack.audit.content import Leak, Source, VictimFacts
from kldiv_attack.audit.curves import leakage_curves
from kldiv_attack.audit.defences import Defence
from kldiv_attack.audit.features import Space, make_space
from kldiv_attack.audit.held_out import held_out_control
from kldiv_attack.audit.inputs import Inputs, versions
from kldiv_attack.audit.membership import (
    calibration_error,
    losses,
    membership,
    usual_losses,
)
from kldiv_attack.audit.nearest import nearest_rows
from kldiv_attack.audit.one_law import floors, pvalues, with_columns
from kldiv_attack.audit.result import AuditReport
from kldiv_attack.audit.scoring import (
    ClassScore,
    digests,
    score,
    table_of,
    verdict,
)
from kldiv_attack.audit.specs import Model

_MOST_MEMBERS = 5000

Scores = tuple[list[ClassScore], list[float | None], list[str]]


class Work:
    """The stages of an audit, each of which adds to what the report will hold."""

    def __init__(
        self, inputs: Inputs, folder: Path, seed: int, n_jobs: int | None, verbose: int
    ):
        self.inputs, self.folder = inputs, folder
        self.seed, self.n_jobs, self.verbose = seed, n_jobs, verbose
        self.names = list(inputs.train.class_names)
        self.facts: list[VictimFacts] = []
        self.scored: list[Scored] = []
        self.found: dict[str, Any] = {
            name: []
            for name in ("leaks", "differences", "held_out", "membership", "curves",
                         "attacks", "attack_changes", "pictures", "extras", "remarks")
        }  # fmt: skip
        self.found["remarks"] += [
            f"{sample.name} has columns that the training rows lack, which were left "
            f"out: {', '.join(sample.ignored)}."
            for sample in inputs.others
            if sample.ignored
        ]
        if inputs.train.labels is None:
            raise ValueError("train: rows without labels.")
        self.labels = inputs.train.labels

    def ask(self) -> None:
        """Answers of every victim to every sample."""
        self.answers: dict[tuple[str, int], Answers] = {}
        self.on_train: dict[str, Answers] = {}
        self.on_held_out: dict[str, Answers] = {}
        inputs, place = self.inputs, self.folder / "answers"
        for v, model in enumerate(inputs.models):
            samples = {f"{v}-aux-{a}": one for a, one in enumerate(inputs.aux)}
            if model.table is None:
                samples[f"{v}-train"] = inputs.train
                if inputs.held_out is not None:
                    samples[f"{v}-held-out"] = inputs.held_out
            found = ask_about(model, samples, place, verbose=self.verbose)
            for a in range(len(inputs.aux)):
                self.answers[model.name, a] = found[f"{v}-aux-{a}"]
            if model.table is None:
                self.on_train[model.name] = found[f"{v}-train"]
                if inputs.held_out is not None:
                    self.on_held_out[model.name] = found[f"{v}-held-out"]
            self.facts.append(self._facts(model))

    def _facts(self, model: Model) -> VictimFacts:
        first = self.answers[model.name, 0]
        accuracy, calibration, asked = {}, None, 0
        told = {"train": (self.on_train, self.labels)}
        if self.inputs.held_out is not None and self.inputs.held_out.labels is not None:
            told["held-out"] = (self.on_held_out, self.inputs.held_out.labels)
        for role, (found, labels) in told.items():
            if model.name in found:
                share = found[model.name].accuracy(labels)
                accuracy[role] = [share, *wilson(share, len(labels))]
                calibration = calibration_error(found[model.name], labels)
                asked += len(labels)
        if model.table is None:
            asked += sum(len(sample) for sample in self.inputs.aux)
        chance = 1 / len(self.names)
        poor = chance + min(chance, (1 - chance) / 4)  # two classes: below 0.625
        if accuracy and accuracy["train"][0] < poor:
            self.found["remarks"].append(
                f"{model.name} puts only {100 * accuracy['train'][0]:.0f} % of the "
                "training rows into their class: check the units of the rows and the "
                "order of its classes before anything else is read."
            )
        return VictimFacts(
            name=model.name,
            spec=model.spec,
            kind=model.kind,
            caution=model.caution,
            answers="labels" if first.probabilities is None else "probabilities",
            queries=asked,
            accuracy=accuracy,
            calibration=calibration,
        )

    def score(self) -> None:
        """Indicator per class of every victim, defence and auxiliary sample."""
        space = make_space(self.inputs.train, self.inputs.others, self.seed)
        self.space = space
        self.shared = [self._leak(a, space) for a in range(len(self.inputs.aux))]
        self._check_held_out(space)
        rng = np.random.default_rng(self.seed)
        jobs: list[tuple[Model, int, Defence | None, Answers]] = []
        for model in self.inputs.models:
            for a in range(len(self.inputs.aux)):
                for defence in (None, *self.inputs.defences):
                    answers = self.answers[model.name, a]
                    if defence is not None:
                        answers = defence(answers, rng)
                    jobs.append((model, a, defence, answers))
        # Equal labels are scored once: many defences change none.
        marks = [(a, answers.labels.tobytes()) for _, a, _, answers in jobs]
        total = (1 + len(set(marks))) * len(np.unique(self.labels))
        known: dict[tuple[int, bytes], Scores] = {}
        with progress(
            total=total, desc="score", unit="class", disable=not self.verbose
        ) as bar:
            floor = floors(
                space.train, self.labels, self.names,
                n_jobs=self.n_jobs, bar=bar,
            )  # fmt: skip
            for (model, a, defence, answers), mark in zip(jobs, marks, strict=True):
                if mark not in known:
                    known[mark] = self._scores(a, answers, floor, bar)
                scores = known[mark]
                self.scored.append(
                    self._scored(model, a, defence, answers, scores, floor)
                )
        self.found["differences"] = differences_of(
            self.scored, self._accuracy_under, self.names
        )

    def _scores(
        self, a: int, answers: Answers, floor: list[float | None], bar: Any
    ) -> Scores:
        """Scores, p-values and marks of the rows of an auxiliary sample."""
        rows = self.space.train, self.labels, self.space.others[a], answers
        return (
            score(*rows, self.names, floor=floor, n_jobs=self.n_jobs, bar=bar),
            pvalues(*rows, len(self.names), self.seed),
            digests(*rows, len(self.names)),
        )

    def _scored(
        self,
        model: Model,
        a: int,
        defence: Defence | None,
        answers: Answers,
        scores: Scores,
        floor: list[float | None],
    ) -> Scored:
        found, chances, marks = scores
        table = table_of(
            found,
            self.names,
            victim=model.name,
            defence="" if defence is None else defence.name,
            aux=self.inputs.aux[a].name,
        )
        table = with_columns(table, floor=floor, pvalue=chances)
        words = [verdict(table, c, n) for c, n in enumerate(self.shared[a])]
        table = replace(table, verdicts=words, digests=marks)
        return Scored(table, found, answers, defence, a)

    def _check_held_out(self, space: Space) -> None:
        """Held-out rows that were trained on make both controls void."""
        if self.inputs.held_out is None:
            return
        shared = int(np.isin(space.ids[-1], space.ids[0]).sum())
        if shared:
            self.found["remarks"].append(
                f"{shared} of {len(self.inputs.held_out)} held-out rows are training "
                "rows, word for word: the held-out control and the membership baseline "
                "understate what they measure. Remove these rows."
            )

    def _leak(self, a: int, space: Space) -> list[int]:
        """Training rows per class that are in an auxiliary sample."""
        train, aux = space.ids[0], space.ids[1 + a]
        shared = np.isin(train, aux)
        counts = np.bincount(self.labels[shared], minlength=len(self.names))
        times = np.bincount(train)[train]
        repeated = float((times > 1).mean())
        chance = bool(shared.any() and 2 * repeated >= shared.mean())
        first = {int(key): i for i, key in reversed(list(enumerate(aux)))}
        pairs = [[int(i), first[int(train[i])]] for i in np.flatnonzero(shared)[:20]]
        leak = Leak(self.inputs.aux[a].name, counts.tolist(), pairs, chance)
        self.found["leaks"].append(leak)
        return [0] * len(self.names) if chance else [int(n) for n in counts]

    def _accuracy_under(
        self, name: str, defence: Defence | None
    ) -> tuple[float | None, str, float]:
        """Accuracy, rows it is measured on, and share of refused rows."""
        sample, found, role = self.inputs.train, self.on_train, "training rows"
        if self.inputs.held_out is not None:
            sample, found, role = (
                self.inputs.held_out,
                self.on_held_out,
                "held-out rows",
            )
        if name not in found or sample.labels is None:
            return None, "", 0.0
        answers = found[name]
        if defence is not None:
            answers = defence(answers, np.random.default_rng(self.seed))
        return (
            answers.accuracy(sample.labels),
            role,
            float((~answers.answered).mean()),
        )

    def control(self) -> None:
        """Held-out control, membership baseline and curves."""
        for model in self.inputs.models:
            for a, sample in enumerate(self.inputs.aux):
                answers = self.answers[model.name, a]
                if self.inputs.held_out is not None:
                    self._held_out(model, a, sample.name, answers)
                told = self.on_train.get(model.name)
                if model is self.inputs.models[0] and answers.answered.any():
                    self.found["curves"] += leakage_curves(
                        self.space.train,
                        self.labels,
                        None if told is None else told.labels,
                        self.space.others[a],
                        answers,
                        len(self.names),
                        victim=model.name,
                        aux_name=sample.name,
                        random_state=self.seed,
                    )
            if model.name in self.on_held_out:
                self._membership(model)

    def _held_out(self, model: Model, a: int, aux: str, answers: Answers) -> None:
        outside = self.inputs.held_out
        if outside is None or outside.labels is None:
            return
        self.found["held_out"].append(
            held_out_control(
                self.space.train,
                self.labels,
                self.space.others[-1],
                outside.labels,
                self.space.others[a],
                answers,
                self.names,
                victim=model.name,
                aux_name=aux,
                random_state=self.seed,
            )
        )

    def _membership(self, model: Model) -> None:
        outside = self.inputs.held_out
        if outside is None or outside.labels is None or len(outside) < 4:
            return
        n = len(self.names)
        rng = np.random.default_rng(self.seed)
        rows = np.sort(rng.permutation(len(self.labels))[:_MOST_MEMBERS])
        answers = self.on_train[model.name].take(rows)
        inside = losses(answers, self.labels[rows], n)
        other = losses(self.on_held_out[model.name], outside.labels, n)
        values = {"loss threshold": (inside, other)}
        known = self.answers[model.name, 0]
        if known.answered.any():
            public = self.space.others[0]
            usual = [
                usual_losses(x, y, public, known, n)
                for x, y in (
                    (self.space.train[rows], self.labels[rows]),
                    (self.space.others[-1], outside.labels),
                )
            ]
            values["loss minus usual loss"] = (inside - usual[0], other - usual[1])
        for attack, pair in values.items():
            self.found["membership"].append(
                membership(
                    *pair, victim=model.name, attack=attack, random_state=self.seed
                )
            )

    def attack(
        self,
        name: str,
        parameters: Mapping[str, Any],
        budget: int | None,
        device: str,
    ) -> None:
        """The attack on every victim and defence, and one that needs no gradient."""
        from kldiv_attack.attackers import ATTACKERS

        arena = Arena(self.inputs.train, self.seed, device, self.verbose, self.folder)
        models = {
            model.name: model.reading(self.answers[model.name, 0])
            for model in self.inputs.models
        }
        attacked: list[Attacked] = []
        for one in self.scored:
            attacks = {name: parameters}
            if ATTACKERS[name].access == "gradients":
                if one.defence is not None:
                    attacks = {}  # a wrapper of answers has no gradient to follow
                if self.inputs.defences:
                    attacks = {
                        **attacks,
                        NO_GRADIENT: accepted(NO_GRADIENT, parameters),
                    }
            for chosen, options in attacks.items():
                outcome, picture, hits = arena.run(
                    chosen,
                    options,
                    models[one.table.victim],
                    one.defence,
                    self.inputs.aux[one.aux],
                    one.answers,
                    budget,
                )
                self.found["attacks"].append(outcome)
                attacked.append((outcome, hits))
                self.found["pictures"].append(picture)
        self.found["attack_changes"] = attack_changes(attacked, self.names)

    def show_nearest(self) -> None:
        """The nearest auxiliary row of training rows, beside each other."""
        for one in self.scored:
            if one.defence is None and one.table.victim == self.inputs.models[0].name:
                found = nearest_rows(
                    self.inputs.train,
                    self.inputs.aux[one.aux],
                    self.space.train,
                    self.space.others[one.aux],
                    one,
                )
                kind = "pictures" if self.inputs.train.is_images else "extras"
                self.found[kind].append(found)

    def report(
        self, settings: dict[str, str], sources: list[Source], seconds: float
    ) -> AuditReport:
        """Everything that was found."""
        settings = {**settings, "features": self.space.description}
        return AuditReport(
            created=datetime.datetime.now(tz=datetime.UTC).isoformat(
                timespec="seconds"
            ),
            seconds=round(seconds, 1),
            versions=versions(),
            settings=settings,
            classes=self.names,
            sources=sources,
            victims=self.facts,
            tables=[one.table for one in self.scored],
            **self.found,
        )
