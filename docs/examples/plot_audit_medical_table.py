"""
Known disease or leaked patients?
=================================

Gradient boosting on a table of tumour measurements. That an outsider with similar
patients can say what malignant tumours look like is no leak: medicine knows it. The
held-out control tells the two apart. It compares patients who were trained on with
patients who were not.
"""

# %%
# A third of the patients trains the model, a third is held out, a third is what an
# outsider owns.
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import GradientBoostingClassifier

from kldiv_attack import audit

data = load_breast_cancer(as_frame=True)
names = np.array(data.target_names)[data.target]
order = np.random.default_rng(0).permutation(len(names))
train, held_out, outside = (
    (data.data.iloc[rows], names[rows]) for rows in np.array_split(order, 3)
)
model = GradientBoostingClassifier(n_estimators=50, random_state=0).fit(*train)

with TemporaryDirectory() as folder:
    report = audit({"boosting": model}, train, outside[0], folder, held_out=held_out)
print(report.sentence)

# %%
# Both kinds of tumour are exposed, as they must be: the outsider's patients come from
# the same hospitals. The control shows whether *these* patients are.
control = report.held_out[0]
figure, ax = plt.subplots(figsize=(6, 2.4), layout="constrained")
places = range(len(control.classes))
ax.axvline(0, color="0.6", linewidth=1)
ax.hlines(places, control.low, control.high, color="#33658a")
ax.plot(control.difference, places, "o", color="#33658a")
ax.set_yticks(places, control.classes)
ax.set(xlabel="coverage of patients trained on minus coverage of others")
ax.margins(y=0.3)
plt.show()

# %%
# The membership baseline asks the same of single patients: an area of 0.5 is guessing.
for attack in report.membership:
    print(
        f"{attack.attack}: {attack.auc:.2f} "
        f"({attack.auc_low:.2f} to {attack.auc_high:.2f})"
    )
