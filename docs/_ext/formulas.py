"""Sphinx extension that draws formulas when the pages are built: no script, font or network."""

import re

import ziamath
from docutils import nodes

_SIZE = 17  # pixels; the text of a page has 16, but its letters are taller
ziamath.config.svg2 = False  # without names, which would be the same in each picture of a page


def _picture(latex, *, inline):
    """Return a picture in the color of the text, with its source as the title."""
    formula = ziamath.Latex(latex, size=_SIZE, color="currentColor", inline=inline, title=latex)
    below = formula.getyofst() - 1  # of the baseline; ziamath leaves a margin of one pixel
    style = f' style="vertical-align: {below:.1f}px"' if inline else ""
    return formula.svg().replace("<svg ", f'<svg role="img"{style} ', 1)


def _inline(writer, node):
    writer.body.append(_picture(node.astext(), inline=True))
    raise nodes.SkipNode


def _block(writer, node):
    latex = node.astext().strip()
    if re.search(r"\n\s*\n|&|\\\\", latex) and r"\begin" not in latex:
        lines = re.sub(r"\n\s*\n", r" \\\\ ", latex)  # a blank line begins another formula
        latex = rf"\begin{{aligned}}{lines}\end{{aligned}}"
    picture = _picture(" ".join(latex.split()), inline=False)
    writer.body.append(writer.starttag(node, "div", CLASS="formula") + f"{picture}</div>")
    raise nodes.SkipNode


def setup(app):
    """Connect the extension to Sphinx, for `html_math_renderer`."""
    app.add_html_math_renderer("formulas", (_inline, None), (_block, None))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
