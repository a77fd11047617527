"""The report in a real browser: figures, sorting, narrow screens, dark mode."""

import html
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from kldiv_attack import audit, load_dataset
from tests.attack.audit.conftest import cloud

BROWSER = next(
    filter(
        None,
        map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome")),
    ),
    None,
)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium was found")

# What the page says about itself, written where --dump-dom shows it.
PROBE = """
const all = (q, root = document) => [...root.querySelectorAll(q)];
const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
const light = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) =>
  v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const behind = (node) => {
  for (let n = node; n; n = n.parentElement) {
    const c = rgb(getComputedStyle(n).backgroundColor);
    if (c.length < 4 || c[3] > 0) return c;
  }
  return [255, 255, 255];
};
const contrast = (node) => {
  const svg = node.closest("svg");
  const ink = rgb(svg ? getComputedStyle(node).fill : getComputedStyle(node).color);
  const [a, b] = [light(ink), light(behind(svg ? svg.parentElement : node))];
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
};
const table = document.querySelector("table.sortable");
const heads = all("thead th", table);
const column = heads.findIndex((h) => h.textContent.includes("divergence"));
const values = () => [...table.tBodies[0].rows].map(
  (r) => r.cells[column].dataset.order);
const sorted = [];
for (const times of [1, 2]) {
  heads[column].querySelector("button").click();
  sorted.push({ values: values(), how: heads[column].getAttribute("aria-sort") });
}
const texts = all(
  "p, li, td, th, caption, figcaption, summary, svg text, h1, h2, button");
const found = {
  figures: all("figure svg").map((s) => s.getBoundingClientRect())
    .map((r) => [r.width, r.height]),
  names: all("svg[role=img]").map((s) => s.getAttribute("aria-label")),
  alts: all("img").map((i) => [i.alt, i.naturalWidth]),
  sorted, width: innerWidth, wide: document.documentElement.scrollWidth,
  contrast: Math.min(...texts.filter((t) => t.textContent.trim()).map(contrast)),
  paper: getComputedStyle(document.body).backgroundColor,
  script: typeof window.injected, external: all("[src], [href]").map((n) =>
    n.getAttribute("src") ?? n.getAttribute("href"))
    .filter((u) => !/^(data:|#)/.test(u)),
};
const folded = () => all("details > :not(summary)").map((n) => n.checkVisibility());
found.folded = folded();
for (const rule of document.styleSheets[0].cssRules)
  if (rule.media?.mediaText === "print") rule.media.mediaText = "all";
found.printed = folded();
const out = document.createElement("pre");
out.id = "found"; out.textContent = JSON.stringify(found);
parent.document.body.append(out);
"""


def look(page, tmp_path, *, width=1000, dark=False):
    """What a browser sees of a page, in a frame of a width."""
    page = page.replace("</body>", f"<script>{PROBE}</script></body>")
    wrapper = tmp_path / "wrapper.html"
    wrapper.write_text(
        '<!doctype html><meta charset="utf-8"><body>'
        f'<iframe style="width:{width}px;height:900px;border:0" '
        f'srcdoc="{html.escape(page)}"></iframe></body>',
        encoding="utf-8",
    )
    done = subprocess.run(
        [
            BROWSER, "--headless", "--no-sandbox", "--disable-gpu",
            f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1200,1000",
            f"--blink-settings=preferredColorScheme={0 if dark else 1}",
            "--virtual-time-budget=5000", "--dump-dom", wrapper.as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    match = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert match, done.stderr[-2000:]
    return json.loads(html.unescape(match[1]))


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A report on classes whose names would break a page."""
    names = np.array(["<script>injected=1</script>", "b", "ö" * 60])
    train, outside = (
        (rows, names[labels])
        for rows, labels in (
            cloud(np.random.default_rng(0), 300),
            cloud(np.random.default_rng(77), 240),
        )
    )
    aux = np.concatenate([cloud(np.random.default_rng(5), 300)[0], train[0][:3]])
    places = np.argsort(names)

    def victim(rows):
        score = np.exp(2 * rows)
        score = score / score.sum(1, keepdims=True)
        return score[:, places]

    return audit(
        {"a victim": victim},
        train,
        aux,
        tmp_path_factory.mktemp("page") / "out",
        held_out=outside,
        defences=["label_only", "noise:1"],
        fail_below=0.1,
    ).to_html()


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [360, 1000])
def test_the_report_in_a_browser(page, tmp_path, width, dark):
    seen = look(page, tmp_path, width=width, dark=dark)
    assert len(seen["figures"]) == 4
    assert all(w > 250 and h > 60 for w, h in seen["figures"])
    assert all(seen["names"])
    assert seen["width"] == width
    assert seen["wide"] <= width  # tables scroll in their own boxes
    assert seen["contrast"] >= 4.5
    assert (seen["paper"] != "rgb(255, 255, 255)") == dark
    assert seen["script"] == "undefined"
    assert seen["external"] == []
    assert seen["folded"]
    assert not any(seen["folded"])
    assert all(seen["printed"])  # paper has nothing to click on
    up, down = seen["sorted"]
    values = [float(value) for value in up["values"]]
    assert values == sorted(values)
    assert (up["how"], down["how"]) == ("ascending", "descending")
    assert [float(value) for value in down["values"]] == values[::-1]


@pytest.mark.usefixtures("plain_scores")
def test_pictures_have_texts(tmp_path):
    train = load_dataset("digits", part="train")
    report = audit(
        lambda images: images.reshape(len(images), -1).argmax(1) % 10,
        train,
        load_dataset("digits", part="test"),
        tmp_path / "o",
        show_private=True,
    )
    ((alt, width),) = look(report.to_html(), tmp_path)["alts"]
    assert "private image" in alt
    assert width > 200
