"""
How does a build fail on an exposed class?
==========================================

A gate for continuous integration, here one that fails on purpose: the outsider owns
images of the very kind that the model was trained on.
"""

# %%
# The same as a command, for a workflow (:ref:`audit` has one to copy)::
#
#     kldiv audit --victim mymodel.py:model --train digits:train --aux digits:test \
#         --fail-below 0.5 --waivers waivers.toml --junit gate.xml --out audit
#
# Exit code 0 is a pass, 1 a fail, 2 says that something could not be evaluated.
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt

from kldiv_attack import AuditReport
from kldiv_attack.__main__ import main

MODEL = """
from sklearn.svm import SVC
from kldiv_attack import load_dataset

train = load_dataset("digits", part="train")
model = SVC().fit(train.images.reshape(len(train), -1), train.labels)
"""
WAIVERS = """
[[waiver]]
class = "1"
until = 2100-01-01
reason = "Ones are strokes; everybody can draw them."
"""

with TemporaryDirectory() as name:
    folder = Path(name)
    (folder / "mymodel.py").write_text(MODEL)
    (folder / "waivers.toml").write_text(WAIVERS)
    code = main(
        ["audit", "--victim", f"digits={folder / 'mymodel.py'}:model",
         "--train", "digits:train", "--aux", "digits:test",
         "--fail-below", "0.5", "--waivers", str(folder / "waivers.toml"),
         "--out", str(folder / "audit"), "--quiet"]
    )  # fmt: skip
    report = AuditReport.from_json(folder / "audit" / "report.json")
print("exit code", code, file=sys.stdout)

# %%
# The decision rests on the lower end of each interval, not on the point: a class passes
# only where its divergence is certain to be above the limit.
checks = [c for c in report.gate.checks if c.metric == "kl" and c.bound is not None]
colours = {"pass": "#2a7f3f", "fail": "#a23b2a", "waived": "#b58900"}
figure, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
for place, check in enumerate(checks):
    ax.plot([check.bound, check.value], [place] * 2, color=colours[check.outcome])
    ax.plot(check.bound, place, "|", color=colours[check.outcome], markersize=12)
    ax.plot(check.value, place, "o", color=colours[check.outcome])
ax.axvline(0.5, color="0.4", linestyle="--")
ax.set_yticks(range(len(checks)), [f"{c.label}: {c.outcome}" for c in checks])
ax.set(xlabel="divergence and its lower end (nats); dashed: the limit")
plt.show()
