"""Three defences in training, audited on EMNIST.

    python benchmarks/recipes.py --emnist FOLDER [--each N] [--out FOLDER]

A small network learns N digits a class (default 300) as it is, with random erasing,
with negative label smoothing, and by DP-SGD. One audit compares them: divergence, the
success of the conditional GAN, which follows no gradient of the victim, and accuracy on
held-out digits; the attacker owns letters. Prints the means over classes and every
class with paired intervals, and draws privacy against accuracy (``recipes.png`` and
``recipes_dark.png``). ``--from report.json`` prints and draws what was found before.
Without ``--emnist`` the embedded digits and glyphs stand in, without the attack unless
``--steps`` is given.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import torch
from scipy.special import gammaln, logsumexp
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F
from torchvision.transforms import RandomErasing

from kldiv_attack import AuditReport, LabelledImages, audit, load_dataset

DELTA = 1e-5
Step = Callable[[nn.Module, Tensor, Tensor, torch.optim.Optimizer], None]


def make_network(image_shape: tuple[int, ...], n_classes: int) -> nn.Module:
    """Two convolutions without batch normalisation, which mixes rows of a batch."""
    channels, height, width = image_shape
    size = (height + 3) // 4 * ((width + 3) // 4)
    return nn.Sequential(
        nn.Conv2d(channels, 16, 5, 2, 2),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, 2, 1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * size, 64),
        nn.ReLU(),
        nn.Linear(64, n_classes),
    )


def descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def plain_step(
    network: nn.Module, images: Tensor, labels: Tensor, optimizer: torch.optim.Optimizer
) -> None:
    descend(optimizer, F.cross_entropy(network(images), labels))


def erasing_step(
    network: nn.Module, images: Tensor, labels: Tensor, optimizer: torch.optim.Optimizer
) -> None:
    """Random erasing: the network sees every image with a hole in another place."""
    erase = RandomErasing(p=1.0, scale=(0.1, 0.4), value=0)
    holes = torch.stack([erase(image) for image in images])
    descend(optimizer, F.cross_entropy(network(holes), labels))


def smoothing_step(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    optimizer: torch.optim.Optimizer,
    amount: float = -0.05,
) -> None:
    """Negative label smoothing: a target above one, and below zero elsewhere."""
    log = network(images).log_softmax(1)
    hit = log.gather(1, labels[:, None]).mean()
    descend(optimizer, -(1 - amount) * hit - amount * log.mean())


def private_step(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    optimizer: torch.optim.Optimizer,
    *,
    noise: float,
    expected: float,
    clip: float = 1.0,
) -> None:
    """DP-SGD (Abadi et al. 2016): gradients of single rows are cut off, then noise."""
    weights = {name: p.detach() for name, p in network.named_parameters()}

    def loss(weights: dict[str, Tensor], image: Tensor, label: Tensor) -> Tensor:
        logits = functional_call(network, weights, (image[None],))
        return F.cross_entropy(logits, label[None])

    rows = vmap(grad(loss), in_dims=(None, 0, 0))(weights, images, labels)
    sizes = torch.stack([g.flatten(1).norm(dim=1) for g in rows.values()]).norm(dim=0)
    kept = (clip / sizes.clamp_min(1e-12)).clamp_max(1.0)
    for name, weight in network.named_parameters():
        total = torch.tensordot(kept, rows[name], dims=1)
        weight.grad = (total + noise * clip * torch.randn_like(total)) / expected
    optimizer.step()


def epsilon_of(noise: float, share: float, steps: int) -> float:
    """Epsilon at DELTA of so many noisy steps on random shares of the rows.

    Renyi divergences of whole orders (Mironov, Talwar and Zhang 2019, eq. 3).
    """
    found = []
    for order in range(2, 129):
        k = np.arange(order + 1)
        choose = gammaln(order + 1) - gammaln(k + 1) - gammaln(order - k + 1)
        log_shares = k * np.log(share) + (order - k) * np.log1p(-share)
        moment = logsumexp(choose + log_shares + (k**2 - k) / (2 * noise**2))
        found.append((steps * moment - np.log(DELTA)) / (order - 1))
    return float(min(found))


def train(
    data: LabelledImages, step: Step, epochs: int, batch: int, seed: int, rate: float
) -> nn.Module:
    """A network; every step takes each row with the same chance (Poisson sampling)."""
    torch.manual_seed(seed)
    network = make_network(data.image_shape, data.n_classes)
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=1e-4)
    images, labels = torch.from_numpy(data.images), torch.from_numpy(data.labels)
    for _ in range(epochs * len(data) // batch):
        rows = torch.nonzero(torch.rand(len(data)) < batch / len(data))[:, 0]
        step(network, images[rows], labels[rows], optimizer)
    return network.eval()


def few(data: LabelledImages, each: int, seed: int) -> LabelledImages:
    rng = np.random.default_rng(seed)
    rows = [rng.permutation(np.flatnonzero(data.labels == c))[:each]
            for c in range(data.n_classes)]  # fmt: skip
    return data.subset(np.sort(np.concatenate(rows)))


def victims(data: LabelledImages, epochs: int, seed: int) -> dict[str, nn.Module]:
    """Plain first: the others are compared with it."""
    batch = min(128, len(data) // 8)
    noise, lot = 1.0, min(300, len(data) // 4)
    private = partial(private_step, noise=noise, expected=float(lot))
    steps = 2 * epochs * len(data) // lot
    epsilon = epsilon_of(noise, lot / len(data), steps)
    print(f"DP-SGD: {steps} steps, epsilon {epsilon:.1f} at delta {DELTA:g}")
    recipes = {
        "plain": (plain_step, epochs, batch, 2e-3),
        "random erasing": (erasing_step, 2 * epochs, batch, 2e-3),
        "negative label smoothing": (smoothing_step, epochs, batch, 1e-3),
        "DP-SGD": (private, 2 * epochs, lot, 2e-3),
    }
    found = {}
    for name, (step, passes, size, rate) in recipes.items():
        began = time.process_time()
        found[name] = train(data, step, passes, size, seed, rate)
        print(f"{name}: {time.process_time() - began:.0f} s", flush=True)
    return found


def show(report: AuditReport) -> None:
    """Means over classes, then every class, with paired intervals."""

    def change(value: Any, low: Any, high: Any) -> str:
        return "-" if value is None else f"{value:+.3f} ({low:+.3f} to {high:+.3f})"

    plain = report.tables[0]
    values = [plain.value("kl", c) for c in range(len(plain.classes))]
    known = [v for v in values if v is not None]
    first = report.differences[0]
    assert first.accuracy_before is not None
    print(
        f"plain: divergence {np.mean(known):.3f}, accuracy {first.accuracy_before:.4f}"
    )
    if report.attacks:
        hits = report.attacks[0].tables["attack"].columns["accuracy"]
        print(f"plain: attack {np.mean([v for v in hits if v is not None]):.3f}")
    for i, d in enumerate(report.differences):
        attack = report.attack_changes[i] if report.attack_changes else None
        cost = (d.accuracy or 0.0) - (d.accuracy_before or 0.0)
        print(f"\n{d.name}: labels changed {d.changed:.3f}, accuracy {cost:+.4f}")
        for c, name in enumerate(d.classes):
            line = f"  {name:<6} {change(d.difference[c], d.low[c], d.high[c]):<28}"
            if attack is not None and name in attack.classes:
                j = attack.classes.index(name)
                ends = attack.difference[j], attack.low[j], attack.high[j]
                line += change(*ends)
            print(line)


def draw(report: AuditReport, stem: Path) -> None:
    """Privacy against accuracy, one point for each recipe; light and dark."""
    import matplotlib as mpl

    kinds = ("text.color", "axes.labelcolor", "axes.edgecolor")
    for suffix, ink in (("", "black"), ("_dark", "white")):
        colors = dict.fromkeys((*kinds, "xtick.color", "ytick.color"), ink)
        with mpl.rc_context({**colors, "legend.labelcolor": ink}):
            path = stem.with_name(f"{stem.name}{suffix}.png")
            trade_off(report).savefig(path, dpi=150, transparent=True)


def trade_off(report: AuditReport) -> Any:
    """Change of divergence, and of attack success, against accuracy."""
    from matplotlib.figure import Figure

    panels = [("change of the divergence (nats)", report.differences)]
    if report.attack_changes:
        panels.append(("change of attack success", report.attack_changes))
    figure = Figure(figsize=(7.5, 3.4), layout="constrained")
    row = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for ax, (title, changes) in zip(row, panels, strict=True):
        ax.axvline(0, color="0.5", linewidth=1)
        ax.plot(0, report.differences[0].accuracy_before, "s", color="0.5",
                label=report.tables[0].name)  # fmt: skip
        inks = zip("o^D", ("#d9622b", "#4f8fc0", "#3a9e6f"), strict=True)
        for found, d, ink in zip(changes, report.differences, inks, strict=True):
            mean, low, high = found.difference[-1], found.low[-1], found.high[-1]
            ends = [[mean - low], [high - mean]]
            ax.errorbar(mean, d.accuracy, xerr=ends, fmt=ink[0], color=ink[1],
                        label=d.victim)  # fmt: skip
        ax.set_xlabel(title)
        ax.spines[["top", "right"]].set_visible(False)
    row[0].set_ylabel("accuracy on held-out digits")
    names = row[0].get_legend_handles_labels()
    figure.legend(*names, loc="outside upper center", ncols=4, frameon=False)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--emnist", type=Path, metavar="FOLDER")
    parser.add_argument("--each", type=int, default=300, help="training rows a class")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--steps", type=int, help="of the attack")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="folder of the report")
    parser.add_argument(
        "--resume", action="store_true", help="go on with the audit that --out keeps"
    )
    parser.add_argument("--from", dest="stored", type=Path, metavar="report.json")
    options = parser.parse_args()
    folder = options.out or Path(mkdtemp())
    stored = options.stored
    report = AuditReport.from_json(stored) if stored else measure(options, folder)
    show(report)
    draw(report, folder / "recipes")
    print(f"{time.process_time():.0f} s of the processor; {folder}")


def measure(options: argparse.Namespace, folder: Path) -> AuditReport:
    """Train, and compare the victims in one audit."""
    steps = options.steps
    if options.emnist is None:
        private, held_out = (load_dataset("digits", part=p) for p in ("train", "test"))
        public = load_dataset("glyphs", split="digits")
    else:
        load = partial(load_dataset, "emnist", root=options.emnist)
        private, held_out = (load(split="mnist", part=p) for p in ("train", "test"))
        public = load(split="letters", part="test")
        steps = 1500 if steps is None else steps
    private = few(private, options.each, options.seed)
    found = victims(private, options.epochs, options.seed)
    attack = {"attack": "cgan", "attack_parameters": {"steps": steps}} if steps else {}
    return audit(
        found, private, public, folder, held_out=few(held_out, 300, options.seed),
        random_state=options.seed, resume=options.resume,
        restart=not options.resume, **attack,  # type: ignore[arg-type]
    )  # fmt: skip


if __name__ == "__main__":
    main()
