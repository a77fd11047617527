"""
Which digits does a support vector machine give away?
=====================================================

A classifier of handwritten digits was trained on the first half of scikit-learn's
digits. Somebody else owns printed characters, and may ask the classifier what it takes
them for. :func:`kldiv_attack.audit` says which digits that person can imitate.
"""

# %%
# The report is written to a folder; what it holds is also returned.
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
from sklearn.svm import SVC

from kldiv_attack import audit, load_dataset

train = load_dataset("digits", part="train")
model = SVC().fit(train.images.reshape(len(train), -1), train.labels)

with TemporaryDirectory() as folder:
    report = audit(
        {"digits": model}, train, load_dataset("glyphs", split="digits"), folder
    )
print(report.sentence)

# %%
# One line per digit: the divergence of its training images from the printed characters
# that the classifier puts into it, with an interval of 95 %. Further left is more
# exposed.
table = report.tables[0]
scored = [c for c in range(10) if table.value("kl_low", c) is not None]
scored.sort(key=lambda c: table.value("kl", c), reverse=True)
values, low, high = (
    [table.value(name, c) for c in scored] for name in ("kl", "kl_low", "kl_high")
)
figure, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
ax.hlines(range(len(scored)), low, high, color="#33658a")
ax.plot(values, range(len(scored)), "o", color="#33658a")
ax.set_yticks(range(len(scored)), [table.classes[c] for c in scored])
ax.set(xlabel="divergence (nats)", ylabel="digit")
plt.show()

# %%
# What cannot be scored says why:
for digit, reason in table.reasons.items():
    print(f"{digit}: {reason}")
