"""An attack on the audited victim, beside both controls."""

from __future__ import annotations

import base64
import inspect
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kldiv_attack._set_options import without_name
from kldiv_attack.audit.answers import Answers
from kldiv_attack.audit.attack_content import AttackOutcome
from kldiv_attack.audit.attack_folder import AttackFolder
from kldiv_attack.audit.content import Picture
from kldiv_attack.audit.defences import Defence
from kldiv_attack.audit.samples import Sample
from kldiv_attack.audit.scoring import ClassScore, table_of
from kldiv_attack.audit.specs import Model

SHOWN = 8
_MOST_CLASSES = 20
_RECONSTRUCTIONS = 100
NO_GRADIENT = "label_only"

Images = NDArray[np.float32]


def check_attack(
    name: str, parameters: Mapping[str, Any], models: Sequence[Model], train: Sample
) -> Any:
    """Refuse what cannot work before anything is trained.

    Returns
    -------
    type
        Class of the attacker.
    """
    from kldiv_attack.attackers import make_attacker

    attacker = make_attacker(name, **without_name(parameters, "attack_parameters:"))
    if not train.is_images:
        raise ValueError(
            f"attack {name}: attacks reconstruct images, but {train.name} is a table. "
            "Leave --attack out: the indicator needs none."
        )
    side = min(train.rows.shape[2:])
    if side < 8:
        raise ValueError(f"attack {name}: images of at least 8 x 8 pixels, got {side}.")
    attacker.check(train.rows.shape[1:])
    for model in models:
        if model.ask is None:
            raise ValueError(
                f"attack {name}: only answers of {model.name} are known, and an attack "
                "has to ask it."
            )
        if attacker.access == "gradients" and model.network is None:
            raise ValueError(
                f"attack {name} follows gradients, but {model.name} ({model.kind}) has "
                "none that can be reached; choose a black-box attack."
            )
    return type(attacker)


def accepted(name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the parameters that an attacker has."""
    from kldiv_attack.attackers import ATTACKERS

    known = inspect.signature(ATTACKERS[name]).parameters
    return {k: v for k, v in parameters.items() if k in known}


class Arena:
    """What all attacks of an audit share: private images and the judge.

    Parameters
    ----------
    train : Sample
        Private images.
    seed : int
        Of judge and attacks.
    device : str
        Where to compute.
    verbose : int
        1 shows progress bars.
    folder : Path
        Keeps what attacks have done.
    """

    def __init__(
        self, train: Sample, seed: int, device: str, verbose: int, folder: Path
    ):
        from kldiv_attack import train_judge
        from kldiv_attack.datasets import LabelledImages

        if train.labels is None:
            raise ValueError("an attack is judged on labelled images.")
        self.private = LabelledImages(
            train.rows, train.labels, train.class_names, train.name
        )
        self.seed, self.device, self.verbose = seed, device, verbose
        self.folder = folder
        size = min(256, max(16, len(train) // 20))
        self.judge = train_judge(
            self.private,
            batch_size=size,
            device=device,
            random_state=seed + 1,
            verbose=verbose,
        )

    def run(
        self,
        name: str,
        parameters: Mapping[str, Any],
        model: Model,
        defence: Defence | None,
        aux: Sample,
        answers: Answers,
        budget: int | None,
    ) -> tuple[AttackOutcome, Picture, list[NDArray[np.bool_] | None]]:
        """Attack one victim and judge the outcome beside both controls.

        Returns
        -------
        tuple
            The outcome, a picture of reconstructions and controls, and per class
            whether the judge put each reconstruction into it.
        """
        from kldiv_attack.attackers import ATTACKERS

        where = {
            "victim": model.name,
            "defence": "" if defence is None else defence.name,
            "aux": aux.name,
        }
        made, queries = self._made(name, parameters, model, defence, aux, budget, where)
        sets = {"attack": made, **self._controls(aux, answers)}
        tables = {
            key: table_of(
                [ClassScore(self._judged(images))], self.private.class_names, **where
            )
            for key, images in sets.items()
        }
        outcome = AttackOutcome(
            attack=name,
            access=ATTACKERS[name].access,
            queries=queries,
            tables=tables,
            **where,
        )
        picture = _picture(outcome, sets, self.private.class_names)
        return outcome, picture, [self._hits(made[c], c) for c in range(len(made))]

    def _made(
        self,
        name: str,
        parameters: Mapping[str, Any],
        model: Model,
        defence: Defence | None,
        aux: Sample,
        budget: int | None,
        where: Mapping[str, str],
    ) -> tuple[Images, int]:
        """Reconstructions and queries; an attack that was interrupted goes on."""
        from kldiv_attack.attackers import make_attacker

        own = {"attack": name, "parameters": dict(parameters), "budget": budget}
        kept = AttackFolder(self.folder, {**own, "seed": self.seed, **where})
        found = kept.finished()
        if found is not None:
            return found
        attacker = make_attacker(name, **{**self._own(name), **parameters})
        victim = self._victim(model, defence, attacker.access, budget)
        attacker.fit(victim, aux.rows, recorder=kept.recorder())
        labels = np.arange(self.private.n_classes)
        made = attacker.invert(labels, _RECONSTRUCTIONS, random_state=self.seed)
        kept.finish(made, int(attacker.n_queries_))
        return made, int(attacker.n_queries_)

    def _controls(self, aux: Sample, answers: Answers) -> dict[str, Any]:
        from kldiv_attack import CONTROLS

        table = answers.one_hot(self.private.n_classes)
        return {
            name: choose(aux.rows, table, _RECONSTRUCTIONS, random_state=self.seed)
            for name, choose in CONTROLS.items()
        }

    def _hits(self, images: Images, c: int) -> NDArray[np.bool_] | None:
        if np.isnan(images).all():
            return None
        hits: NDArray[np.bool_] = np.asarray(self.judge.predict(images)) == c
        return hits

    def _own(self, name: str) -> dict[str, Any]:
        ours = {
            "random_state": self.seed,
            "device": self.device,
            "verbose": self.verbose,
        }
        return accepted(name, ours)

    def _judged(self, images: Any) -> Any:
        import warnings

        from kldiv_attack.evaluate import evaluate_attack

        with warnings.catch_warnings():  # they are kept as notes
            warnings.filterwarnings("ignore", message=".*score")
            return evaluate_attack(images, self.private, self.judge)

    def _victim(
        self, model: Model, defence: Defence | None, access: str, budget: int | None
    ) -> Any:
        from kldiv_attack.victim import Victim

        names, shape = self.private.class_names, self.private.image_shape
        if access == "gradients" and defence is None:
            network = _logits_of(model.network)
            return Victim(network, names, shape, budget=budget, device=self.device)
        rng = np.random.default_rng(self.seed)

        def ask(images: Any) -> Any:
            answers = model.answer(Sample(images, None, (), "images"))
            if defence is not None:
                answers = defence(answers, rng)
            return answers.one_hot(len(names))

        return Victim.from_callable(
            ask, len(names), class_names=names, image_shape=shape, budget=budget
        )


def _logits_of(network: Any) -> Any:
    """The network with logits as outputs, also where it returns probabilities."""
    import torch

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, images: Any) -> Any:
            found = self.network(images)
            sums = found.detach().sum(1)
            normal = torch.allclose(sums, sums.new_ones(1), atol=1e-3)
            if bool((found >= 0).all()) and normal:
                return found.clamp_min(1e-12).log()
            return found

    return Logits()


def _picture(
    outcome: AttackOutcome, sets: Mapping[str, Any], class_names: Sequence[str]
) -> Picture:
    """Reconstructions of each class beside what both controls give."""
    rows = []
    for c in range(min(len(class_names), _MOST_CLASSES)):
        blocks = [_first(images, c) for images in sets.values()]
        rows.append(blocks)
    title = f"{outcome.attack} on {outcome.name}"
    return Picture(
        title=title,
        alt=(
            f"Images of {len(rows)} classes, one row each: {SHOWN} reconstructions, "
            f"{SHOWN} random auxiliary images that the victim puts into the class, and "
            f"{SHOWN} of which it is surest."
        ),
        caption=(
            f"{title}. Rows: {', '.join(class_names[: len(rows)])}. Left: "
            "reconstructions; middle: random auxiliary images called so; right: those "
            "of which the victim is surest. Neither control needs an attack."
        ),
        png=grid(rows),
    )


def _first(images: Any, c: int) -> list[Images]:
    found = images.get(c) if isinstance(images, Mapping) else images[c]
    if found is None or np.isnan(found).all():
        return []
    return list(found[:SHOWN])


def grid(rows: list[list[list[Images]]], shown: int = SHOWN) -> str:
    """Blocks of images as one PNG in base64.

    Parameters
    ----------
    rows : list of list of list of ndarray
        Rows of blocks of images of shape (channels, height, width).
    shown : int
        Images per block.

    Returns
    -------
    str
        The picture; missing images are grey.
    """
    from PIL import Image

    shape = next((i.shape for r in rows for b in r for i in b), (1, 8, 8))
    channels, height, width = shape
    n_blocks, gap = max(map(len, rows)), 2
    cell_h, cell_w = height + gap, width + gap
    block_w = shown * cell_w + 3 * gap
    canvas = np.full((len(rows) * cell_h, n_blocks * block_w, channels), 0.5)
    for r, blocks in enumerate(rows):
        for b, images in enumerate(blocks):
            for i, image in enumerate(images[:shown]):
                top, left = r * cell_h, b * block_w + i * cell_w
                canvas[top : top + height, left : left + width] = image.transpose(
                    1, 2, 0
                )
    pixels = np.round(255 * np.clip(canvas, 0, 1)).astype(np.uint8)
    picture = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
    times = max(1, 64 // height)
    picture = picture.resize(
        (picture.width * times, picture.height * times), Image.Resampling.NEAREST
    )
    stream = io.BytesIO()
    picture.save(stream, format="PNG", optimize=True)
    return base64.b64encode(stream.getvalue()).decode("ascii")
