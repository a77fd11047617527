"""Put the measured table beside the peers into the README.

    python benchmarks/peers/neighbors.py --emnist path/to/emnist
    python benchmarks/peers/readme.py [--check]

Takes some rows of docs/benchmarks/neighbors.json and writes them between the two
comments in README.md; ``--check`` only says whether they are there already.
"""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
MEASURED = ROOT / "docs" / "benchmarks" / "neighbors.json"
BEGIN, END = "<!-- peers: begin -->\n", "<!-- peers: end -->\n"
ROWS = {
    "d2": "2 columns, 60,000 + 60,000 rows",
    "d3": "3 columns, 60,000 + 60,000 rows",
    "d10": "10 columns, 6,000 + 6,000 rows",
    "d100": "100 columns, 6,000 + 6,000 rows",
    "d784": "784 columns, 6,000 + 6,000 rows",
    "emnist6000": "EMNIST, 784 pixels, 6,000 + 6,000 rows",
}
PEERS = {
    "ckdtree": "scipy",
    "ckdtree_fast": "scipy",
    "sk_kdtree": "scikit-learn",
    "sk_brute": "scikit-learn",
    "sklearnex_brute": "scikit-learn-intelex",
}


def number(milliseconds):
    """Three digits, or whole milliseconds."""
    if milliseconds < 1000:
        return f"{milliseconds:.3g}"
    return f"{milliseconds:,.0f}"


def table(measured):
    """The rows as Markdown."""
    lines = [
        "| data | `kldiv`, ms | fastest other package, ms | ratio | scikit-learn, ms |",
        "|:--|--:|:--|--:|--:|",
    ]
    results = {result["row"]: result["seconds"] for result in measured["rows"]}
    for row, words in ROWS.items():
        seconds = {name: 1e3 * value for name, value in results[row].items()}
        ours = seconds.pop("kldiv")
        best = min(seconds, key=seconds.__getitem__)
        sklearn = min(seconds[k] for k in ("sk_kdtree", "sk_brute") if k in seconds)
        lines.append(
            f"| {words} | {number(ours)} "
            f"| {PEERS.get(best, best)}: {number(seconds[best])} "
            f"| {seconds[best] / ours:.1f} | {number(sklearn)} |"
        )
    return "\n".join(lines) + "\n"


def main():
    text = README.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    measured = json.loads(MEASURED.read_text(encoding="utf-8"))
    wanted = before + BEGIN + "\n" + table(measured) + "\n" + END + after
    if "--check" in sys.argv:
        sys.exit(0 if text == wanted else f"{README.name} is not what was measured.")
    README.write_text(wanted, encoding="utf-8")


if __name__ == "__main__":
    main()
