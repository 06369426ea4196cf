"""Sphinx extension that shows under each block of Python code what it prints, returns and draws.

The blocks of a page run in order, in one namespace, while the page is read; one that fails ends
the build. Pages whose names begin like one of ``outputs_exclude`` are left alone, as is a block
under ``.. rst-class:: not-run``.
"""

import ast
import contextlib
import io
import logging
import os
import re
import sys
import tempfile
import textwrap
import traceback
import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from docutils import nodes
from sphinx.errors import ExtensionError

# Addresses and temporary folders differ from build to build, and say nothing.
_DPI = 150
_MAX_SVG = 400_000  # bytes
_PASSING = re.compile(rf" at 0x[0-9a-f]+>|{re.escape(tempfile.gettempdir())}")
_OF_TABLE = re.compile(r"\S  +\S")
_WIDTH = 100  # characters
_CHANGES_THE_PROCESS = re.compile(r"^\s*(import|from) scikeras", re.MULTILINE)


def run_blocks(blocks):
    """Return the outputs of each block: pairs of a kind, and a text or what a figure is.

    Parameters
    ----------
    blocks : list of (str, str)
        Where each block is, for messages, and its code.
    """
    names = {}
    logging.disable(logging.WARNING)  # TensorFlow warns of what a page does for once
    try:
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            return [_run_block(place, code, names) for place, code in blocks]
    finally:
        logging.disable(logging.NOTSET)


def _run_block(place, code, names):
    tree = ast.parse(code)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed, value = io.StringIO(), None
    with contextlib.redirect_stdout(printed), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            exec(compile(tree, place, "exec"), names)
            if last is not None:
                value = eval(compile(ast.Expression(last.value), place, "eval"), names)
        except Exception:
            raise ExtensionError(f"{place}: this code fails:\n{traceback.format_exc()}") from None
        figures = _figures()
    text = _wrapped(printed.getvalue().rstrip())
    text = [("text", text)] if text else []
    return text + _shown(value) + [("figure", figure) for figure in figures]


def _wrapped(text):
    """Return text whose long lines are wrapped, but for those of tables, which would be torn."""
    return "\n".join(
        textwrap.fill(line, _WIDTH) if len(line) > _WIDTH and not _OF_TABLE.search(line) else line
        for line in text.split("\n")
    )


def _shown(value):
    from sklearn.base import BaseEstimator

    is_drawn = hasattr(value, "figure_")  # a display, which is shown as its picture
    if value is None or is_drawn or isinstance(value, BaseEstimator):
        return []
    if hasattr(value, "_repr_html_"):
        return [("html", value._repr_html_())]
    return [] if _PASSING.search(repr(value)) else [("text", _wrapped(repr(value)))]


def _figures():
    """Return what is drawn, and forget it."""
    if "matplotlib.pyplot" not in sys.modules:
        return []
    import matplotlib.pyplot as plt

    figures = [plt.figure(number) for number in plt.get_fignums()]
    found = [(_description(figure), *_picture(figure)) for figure in figures]
    plt.close("all")
    return found


def _picture(figure):
    """Return the suffix, the content and the width in inches; PNG where there is much to draw."""
    width = figure.get_tightbbox().width
    for suffix in ("svg", "png"):
        file = io.BytesIO()
        figure.savefig(file, format=suffix, dpi=_DPI, bbox_inches="tight")
        if file.tell() <= _MAX_SVG:
            break
    return suffix, file.getvalue(), width


def _description(figure):
    panels = []
    for axes in figure.axes:
        labels = [text for text in (axes.get_ylabel(), axes.get_xlabel()) if text]
        panels.append(": ".join(filter(None, (axes.get_title(), " over ".join(labels)))))
    return "Plot. " + "; ".join(dict.fromkeys(filter(None, panels)))


def _add_outputs(app, doctree):
    """Run the code of a page, and put the outputs of each block beneath it."""
    docname = app.env.docname
    if docname.startswith(tuple(app.config.outputs_exclude)):
        return
    found = [
        node
        for node in doctree.findall(nodes.literal_block)
        if node.get("language") == "python" and "not-run" not in node["classes"]
    ]
    blocks = [(f"{docname}, line {node.line}", node.astext()) for node in found]
    if any(_CHANGES_THE_PROCESS.search(code) for _, code in blocks):
        with ProcessPoolExecutor(1, get_context("spawn")) as alone:
            outputs = alone.submit(run_blocks, blocks).result()
    else:
        outputs = run_blocks(blocks)
    folder = Path(app.doctreedir) / "outputs"
    folder.mkdir(parents=True, exist_ok=True)
    for number, (node, of_block) in enumerate(zip(found, outputs, strict=True)):
        if of_block:
            prefix = folder / f"{docname.replace('/', '-')}-{number}"
            made = [
                _node(kind, what, f"{prefix}-{order}", app.srcdir)
                for order, (kind, what) in enumerate(of_block)
            ]
            node.parent.insert(
                node.parent.index(node) + 1, nodes.container("", *made, classes=["code-output"])
            )


def _node(kind, what, path, srcdir):
    if kind == "text":
        return nodes.literal_block(what, what, language="none")
    if kind == "html":
        return nodes.raw("", f'<div class="output-html">{what}</div>', format="html")
    description, suffix, content, width = what
    path = f"{path}.{suffix}"
    Path(path).write_bytes(content)
    return nodes.image(
        uri=f"/{os.path.relpath(path, srcdir)}", alt=description, width=f"{96 * width:.0f}px"
    )


def setup(app):
    """Connect the extension to Sphinx."""
    app.add_config_value("outputs_exclude", [], "env")
    app.connect("doctree-read", _add_outputs, priority=400)  # before images are collected
    return {"version": "1", "parallel_read_safe": True}
