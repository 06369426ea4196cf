"""Write the Python code of each document as a module for the type checker: see `make types`."""

import re
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[1]
BUILT = ("_build", "_gallery", "auto_examples", "generated")


def blocks_of(text):
    """Return the blocks of Python code in a Markdown or reStructuredText document."""
    fenced = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    directives = re.findall(r"\.\. code-block:: python\n\n((?:    .*\n|\n)+)", text)
    return fenced + [textwrap.dedent(block) for block in directives]


folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
for stale in folder.glob("*.py"):
    stale.unlink()
for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.rst"))):
    parts = page.relative_to(ROOT).with_suffix("").parts
    if len(parts) > 1 and parts[1] in BUILT:
        continue
    if blocks := blocks_of(page.read_text()):
        (folder / f"{'_'.join(parts)}.py").write_text("\n".join(blocks))
