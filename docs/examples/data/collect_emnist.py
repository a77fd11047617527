"""Keep what the EMNIST example shows of a finished run, small enough to commit.

    python -m kldiv_attack paper --data path/to/emnist --out runs/paper
    python docs/examples/data/collect_emnist.py runs/paper

Writes ``emnist_paper.json`` (divergence, success and coverage per class) and
``emnist_paper.png`` (one row of digits for the private images and for each auxiliary
set, the first image of each class) beside this file.
"""

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import load_file

HERE = Path(__file__).parent
SETS = ("mnist", "balanced", "letters")
FEATURES = "PCA 6, k=1"  # the first entry of the report, Table 3


def main(folder):
    """Collect the figure's numbers and images from `folder`."""
    numbers = {"command": "python -m kldiv_attack paper", "features": FEATURES}
    rows = []
    for name in SETS:
        run = folder / name
        indicator = json.loads((run / "indicator.json").read_text(encoding="utf-8"))
        results = json.loads((run / "results.json").read_text(encoding="utf-8"))
        images = load_file(run / "images.safetensors")
        classes = results["success"]["classes"]
        success = results["success"]["columns"]
        numbers[name] = {
            "kl": [round(x, 4) for x in indicator[FEATURES]["columns"]["kl"]],
            "accuracy": success["accuracy"],
            "coverage": success["coverage"],
        }
        kinds = ("reconstructions",) if rows else ("private", "reconstructions")
        for kind in kinds:
            first = [images[f"{kind}/{label}"][0, 0] for label in classes]
            rows.append(np.concatenate(first, axis=1))
    Image.fromarray(np.concatenate(rows)).save(HERE / "emnist_paper.png", optimize=True)
    text = json.dumps(numbers, indent=1) + "\n"
    (HERE / "emnist_paper.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
