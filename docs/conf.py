"""How Sphinx builds the documentation: `make docs`."""

import os
import shutil
import sys
import tomllib
import warnings
from pathlib import Path

# Before anything imports TensorFlow or matplotlib, here or in an example.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "agg")
os.environ.setdefault("COLUMNS", "100")  # how wide pandas prints a table

from sphinx_gallery.scrapers import matplotlib_scraper

import skae

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

project = "skae"
author = "The skae developers"
copyright = author  # the name that Sphinx looks for
release = skae.__version__
version = ".".join(release.split(".")[:2])

urls = tomllib.loads((HERE.parent / "pyproject.toml").read_text())["project"]["urls"]

extensions = [
    "formulas",
    "myst_parser",  # for the Markdown files that pages include
    "numpydoc",
    "outputs",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "reference",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "_gallery", "_templates"]
default_role = "literal"  # `fit` in a docstring is code, as it is in scikit-learn's
suppress_warnings = [
    "config.cache",  # the gallery is configured with objects that Sphinx cannot keep
    "myst.header",  # an included file starts with its second-level headings
]

outputs_exclude = ["auto_examples/", "benchmarks", "changelog", "contributing", "generated/"]
autosummary_generate = True
numpydoc_show_class_members = False  # the template of a class lists them, in groups
autodoc_typehints = "none"

html_theme = "pydata_sphinx_theme"
html_title = f"skae {release}"
html_show_sourcelink = False
html_math_renderer = "formulas"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_js_files = ["wrap_names.js"]
html_search_scorer = str(HERE / "_static" / "scorer.js")
toc_object_entries_show_parents = "hide"
html_theme_options = {
    "github_url": urls["Repository"],
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
}
html_sidebars = {page: [] for page in ("getting_started", "benchmarks", "changelog")}

# Links into the manuals of others need the network, so they are asked for.
if os.environ.get("SKAE_DOCS_INTERSPHINX"):
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "matplotlib": ("https://matplotlib.org/stable/", None),
        "numpy": ("https://numpy.org/doc/stable/", None),
        "pandas": ("https://pandas.pydata.org/docs/", None),
        "python": ("https://docs.python.org/3/", None),
        "sklearn": ("https://scikit-learn.org/stable/", None),
    }


def _copied_examples():
    """Return a folder with the examples and the header that sphinx-gallery wants beside them.

    They write figures into the folder where they run, which is not to be `examples`.
    """
    folder = HERE / "_gallery"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for example in (HERE.parent / "examples").glob("*.py"):
        shutil.copy2(example, folder)
    shutil.copy2(HERE / "gallery_header.txt", folder / "GALLERY_HEADER.rst")
    return str(folder)


def _vectors(block, block_vars, gallery_conf):
    return matplotlib_scraper(block, block_vars, gallery_conf, format="svg", bbox_inches="tight")


sphinx_gallery_conf = {
    "image_scrapers": (_vectors,),
    "write_computation_times": False,
    "examples_dirs": _copied_examples(),
    "gallery_dirs": str(HERE / "auto_examples"),
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("skae",),
    "reference_url": {"skae": None},
    "filename_pattern": r"\.py$",  # every example is run
    "abort_on_example_error": True,
    "within_subsection_order": "FileNameSortKey",
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "remove_config_comments": True,
}

# Keras 3.15 turns its variables into arrays in a way that NumPy 2 deprecates.
warnings.filterwarnings("ignore", message="__array__ implementation doesn't accept a copy keyword")
