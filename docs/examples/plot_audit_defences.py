"""
Which defence helps?
====================

Four wrappers around the answers of a convolutional network in one report: what
they change of the indicator, and what they cost in accuracy.
"""

# %%
# The network knows printed digits; the outsider owns handwritten ones.
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt

from kldiv_attack import audit, load_dataset, train_victim

train = load_dataset("glyphs", split="digits", n_per_class=60)
held_out = load_dataset("glyphs", split="digits", part="test", n_per_class=30)
victim = train_victim(train, epochs=8, batch_size=32)

with TemporaryDirectory() as folder:
    report = audit(
        {"network": victim},
        train,
        load_dataset("digits"),
        folder,
        held_out=held_out,
        defences=["label_only", "rounding:1", "noise:0.3", "rejection:0.9"],
    )

# %%
# Each point is a defence; further up is less exposed, further right more accurate.
figure, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
for change in report.differences:
    mean, low, high = change.difference[-1], change.low[-1], change.high[-1]
    ax.errorbar(
        change.accuracy, mean, [[mean - low], [high - mean]], fmt="o",
        label=change.defence,
    )  # fmt: skip
ax.axhline(0, color="0.6", linewidth=1)
ax.set(xlabel="accuracy", ylabel="change of the divergence (nats)")
ax.legend()
plt.show()

# %%
# A defence that keeps every label leaves the indicator exactly as it was, because an
# outsider who sorts images by label loses nothing. That is no proof of safety or of
# harm: what finer answers are worth is shown by the curves of the report.
for change in report.differences:
    print(f"{change.defence}: {100 * change.changed:.1f} % of the labels changed")
for curve in report.curves:
    if curve.measure == "agreement":
        print(
            f"{curve.granularity}: {curve.enough} queries reach nine tenths of "
            f"{curve.value[-1]:.2f}"
        )
