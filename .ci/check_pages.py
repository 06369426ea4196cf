"""Is anything cut off on the built pages and in a report? Run by `make pages` after `make docs`.

Each page is opened in Chromium in windows of 1280 and 500 pixels, light and dark. What is found is
listed, and the exit status is 1.
"""

import functools
import http.server
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from playwright.sync_api import sync_playwright

from skae.datasets import make_sensor_table

FLAGS = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync", "--no-sandbox"]
WIDTHS = (1280, 500)
THEMES = ("light", "dark")
# Tables, formulas and outputs may scroll within their own boxes; lines of code may in a narrow
# window only; the page may not, and nothing may be hidden.
# Sidebars are behind buttons in a narrow window; here they are shown.
SIDEBARS = "@media (max-width: 600px) { [class^=bd-sidebar] { visibility: visible !important } }"
CHECK = """wide => {
  const found = [], root = document.documentElement;
  const name = e => `<${e.tagName.toLowerCase()} class="${e.className}"> `
    + e.textContent.trim().slice(0, 60).replace(/\\s+/g, " ");
  const shown = e => e.checkVisibility({visibilityProperty: true}) && e.clientWidth > 1;
  if (root.scrollWidth > innerWidth) found.push(`the page: ${root.scrollWidth} px wide`);
  const boxes = "pre, .pst-scrollable-table-container, .output-html, div.formula, "
    + "[style*='overflow-x']";
  const outputs = ".code-output, .sphx-glr-script-out, .highlight-text";
  for (const e of document.querySelectorAll("body *")) {
    if (!shown(e) || e.closest("svg, math, .visually-hidden, .skip-link")) continue;
    const {overflowX} = getComputedStyle(e);
    const overflows = e.scrollWidth > e.clientWidth + 1;
    const clips = overflowX !== "visible" && !e.matches(boxes);
    if (overflows && clips) found.push("cut off: " + name(e));
    const isCode = e.matches("pre") && !e.closest(outputs);
    if (overflows && wide && isCode) found.push("code scrolls: " + name(e));
    if (!e.matches("h1, h2, h3, h4, h5, nav a, table, pre, img, p, li, dt, td, iframe")) continue;
    const right = e.getBoundingClientRect().right, box = e.parentElement.closest(boxes);
    if (overflows && !clips && !e.matches(boxes)) found.push("runs out: " + name(e));
    if (right > innerWidth + 1 && !box) found.push("beyond the window: " + name(e));
    const parent = e.parentElement.getBoundingClientRect();
    if (right > parent.right + 1 && !box) found.push("wider than its container: " + name(e));
    if (e.matches("img") && !e.naturalWidth) found.push("no image: " + e.src);
  }
  return found;
}"""


def served(folder):
    """Return the address under which a thread serves a folder, as a host of the pages would."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    handler = functools.partial(Quiet, directory=folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


def write_report(path):
    """Write a report with much in it: columns of all kinds, reasons, a training curve."""
    with tempfile.TemporaryDirectory() as folder:
        make_sensor_table(1_000, random_state=0)[0].to_csv(f"{folder}/table.csv", index=False)
        skae = [sys.executable, "-m", "skae"]
        files = [f"{folder}/table.csv", "-o", f"{folder}/model.joblib"]
        subprocess.run([*skae, "fit", *files], check=True, capture_output=True)
        files = [files[0], "-m", files[2], "-o", path]
        subprocess.run([*skae, "report", *files], check=True, capture_output=True)


def problems(page, address):
    """Open a page; return what is cut off in it, by window and theme."""
    found = {}
    page.goto(address, wait_until="load")
    page.add_style_tag(content=SIDEBARS)
    for theme in THEMES:
        page.emulate_media(color_scheme=theme)
        page.evaluate("theme => document.documentElement.dataset.theme = theme", theme)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            for problem in dict.fromkeys(page.evaluate(CHECK, width == max(WIDTHS))):
                found.setdefault(problem, []).append(f"{width} {theme}")
    return found


def main(folder):
    """Check all pages in a folder, and a report; return how many have something cut off."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("`make pages` needs Chromium: install your system's package chromium")
    write_report(folder.parent / "report.html")
    pages = [folder.parent / "report.html", *sorted(folder.rglob("*.html"))]
    n_bad = 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        tab = browser.new_page(reduced_motion="reduce")  # else sidebars are still moving
        address = served(folder.parent)
        for path in pages:
            page = path.relative_to(folder.parent)
            found = problems(tab, f"{address}/{page}")
            n_bad += bool(found)
            for problem, where in found.items():
                print(f"{page} ({', '.join(where)}): {problem}")
        browser.close()
    print(f"{len(pages)} pages, {n_bad} with something cut off")
    return n_bad


if __name__ == "__main__":
    sys.exit(bool(main(Path(sys.argv[1]))))
