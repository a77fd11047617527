"""Look at built pages in headless Chromium, as wide as a phone and as a desktop.

    python docs/look.py docs/_build/html [shots index tutorial ...]

Says which pages are wider than a phone (390 pixels), so that a reader would have to
push them sideways. With a folder and names of pages, draws these at both widths.
Needs ``chromium`` on the path.
"""

import re
import subprocess
import sys
from pathlib import Path

PHONE, DESKTOP, HEIGHT = 390, 1280, 2400
BATCH = 30  # pages that Chromium holds at a time
OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")
MEASURE = """<pre id="out"></pre><script>
window.onload = () => {
  const out = document.getElementById("out");
  for (const frame of document.querySelectorAll("iframe")) {
    const width = frame.contentDocument.documentElement.scrollWidth;
    out.textContent += `${frame.getAttribute("src")} ${width}\\n`;
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


def framed(site, names, then=""):
    """A page that shows others as wide as a phone, opened by `then`."""
    frames = "".join(
        f'<iframe src="{name}" width={PHONE} height={HEIGHT} style="border:0"></iframe>'
        for name in names
    )
    page = site / "_look.html"
    page.write_text(f'<body style="margin:0">{frames}{then}', encoding="utf-8")
    return page


def too_wide(site):
    """Pages that do not fit a phone, and how wide they are."""
    names = [
        path.relative_to(site).as_posix()
        for path in sorted(site.rglob("*.html"))
        if "_static" not in path.parts and path.name != "_look.html"
    ]
    widths = {}
    for start in range(0, len(names), BATCH):
        page = framed(site, names[start : start + BATCH], MEASURE)
        printed = chromium(page, "--dump-dom")
        widths.update(re.findall(r"(?:^|>)([\w./-]+\.html) (\d+)$", printed, re.M))
    missing = set(names) - set(widths)
    if missing:
        raise SystemExit(f"Chromium did not measure {sorted(missing)}")
    print(f"{len(widths)} pages measured")
    return {name: width for name, width in widths.items() if int(width) > PHONE}


def draw(site, folder, name):
    """Both pictures of one page."""
    folder.mkdir(parents=True, exist_ok=True)
    flat = name.replace("/", "_")
    least = PHONE + 110  # Chromium opens no narrower window
    phone = framed(site, [f"{name}.html"])
    for kind, page, width in (
        ("desktop", site / f"{name}.html", DESKTOP),
        ("phone", phone, least),
    ):
        target = folder.resolve() / f"{flat}_{kind}.png"
        chromium(page, f"--window-size={width},{HEIGHT}", f"--screenshot={target}")


def main():
    site = Path(sys.argv[1])
    try:
        found = too_wide(site)
        for name in sys.argv[3:]:
            draw(site, Path(sys.argv[2]), name)
    finally:
        (site / "_look.html").unlink(missing_ok=True)
    for name, width in found.items():
        print(f"{name} is {width} pixels wide on a phone of {PHONE}")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
