"""Look at built pages in headless Chromium: phone, desktop and wide screen.

    python docs/look.py docs/_build/html [shots index tutorial ...]

Says which pages are wider than the window and what on them loses its right end. Only on
a phone does a reader expect to push a table or a block of code sideways. With a folder
and names of pages, draws these at every width, light and dark. Needs ``chromium`` on
the path.
"""

import re
import subprocess
import sys
from pathlib import Path

WIDTHS = {"phone": 360, "desktop": 1280, "wide": 1920}
NARROWEST = 500  # Chromium opens no narrower window; a frame may be
HEIGHT = 2400
BATCH = 30  # pages that Chromium holds at a time
OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")
# Source code of examples may be as long as its author likes; tables may not.
MEASURE = """<pre id="out"></pre><script>
window.onload = () => {
  const out = document.getElementById("out");
  for (const frame of document.querySelectorAll("iframe")) {
    const page = frame.contentDocument;
    const cut = [...page.querySelectorAll(".bd-article :is(p, dt, h1, h2, table, pre)")]
      .filter((box) => box.clientWidth && box.scrollWidth > box.clientWidth + 1)
      .filter((box) => frame.width >= 600
        || getComputedStyle(box).overflowX === "visible");
    const words = cut.map((box) => box.textContent.trim().slice(0, 30).split("\\n")[0]);
    const width = page.documentElement.scrollWidth;
    out.textContent += `${frame.getAttribute("src")} ${width} `
      + JSON.stringify(words).replaceAll("<", " ") + "\\n";
  }
};
</script>"""


def chromium(page, *options):
    """What Chromium prints about a page."""
    command = ["chromium", *OPTIONS, "--allow-file-access-from-files", *options]
    done = subprocess.run(
        [*command, page.resolve().as_uri()], capture_output=True, text=True, check=True
    )
    return done.stdout


def framed(site, names, width, then=""):
    """A page that shows others in frames of a width, opened by `then`."""
    frames = "".join(
        f'<iframe src="{name}" width={width} height={HEIGHT} style="border:0"></iframe>'
        for name in names
    )
    page = site / "_look.html"
    page.write_text(f'<body style="margin:0">{frames}{then}', encoding="utf-8")
    return page


def faults(site, kind):
    """Lines about pages that do not fit, at one width."""
    width = WIDTHS[kind]
    names = [
        path.relative_to(site).as_posix()
        for path in sorted(site.rglob("*.html"))
        if "_static" not in path.parts and path.name != "_look.html"
    ]
    measured = {}
    for start in range(0, len(names), BATCH):
        page = framed(site, names[start : start + BATCH], width, MEASURE)
        printed = chromium(page, "--dump-dom", f"--window-size={width},{HEIGHT}")
        for name, *rest in re.findall(
            r"(?:^|>)([\w./-]+\.html) (\d+) (\[.*\])$", printed, re.M
        ):
            measured[name] = rest
    missing = set(names) - set(measured)
    if missing:
        raise SystemExit(f"Chromium did not measure {sorted(missing)}")
    for name, (needed, cut) in measured.items():
        if int(needed) > width:
            yield f"{name} is {needed} pixels wide on a {kind} of {width}"
        if cut != "[]":
            yield f"{name} is cut off on a {kind} of {width}: {cut}"
    print(f"{kind}: {len(measured)} pages measured")


def draw(site, folder, name):
    """Every picture of one page."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind, width in WIDTHS.items():
        for theme in ("light", "dark"):
            target = folder.resolve() / f"{name.replace('/', '_')}_{kind}_{theme}.png"
            dark = ("--blink-settings=preferredColorScheme=0",) * (theme == "dark")
            page = site / f"{name}.html"
            if width < NARROWEST:
                page = framed(site, [page.relative_to(site).as_posix()], width)
            window = max(width, NARROWEST)
            chromium(
                page,
                f"--window-size={window},{HEIGHT}",
                f"--screenshot={target}",
                *dark,
            )


def main():
    """Measure every page; draw those named."""
    site = Path(sys.argv[1])
    try:
        found = [line for kind in WIDTHS for line in faults(site, kind)]
        for name in sys.argv[3:]:
            draw(site, Path(sys.argv[2]), name)
    finally:
        (site / "_look.html").unlink(missing_ok=True)
    print("\n".join(found))
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
