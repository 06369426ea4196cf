"""The plan of the house holds: an import goes only to a room that knows less."""

import ast
from pathlib import Path

import pytest

import skae

PACKAGE = Path(skae.__file__).parent

# From the rooms that know nothing of the others to those that know most. A module may import from
# its own room and from those that stand before it. The longest prefix decides.
ROOMS = [
    ("skae._sklearn_compat", "skae._warnings", "skae._products", "skae._show_versions"),
    ("skae._trusted_types",),
    ("skae._labels", "skae._errors", "skae.layers"),
    ("skae.thresholds",),
    ("skae._engines.options",),
    ("skae._engines.numpy",),
    ("skae._engines.keras",),
    ("skae._network",),
    ("skae._detectors",),
    ("skae._meta",),
    ("skae.preprocessing", "skae.datasets", "skae.metrics"),
    ("skae.inspection",),
    ("skae.displays",),
    ("skae.model_selection",),
]
HEAVY = ("keras", "tensorflow")


def module_name(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def room(module):
    fits = [
        (len(prefix), number)
        for number, prefixes in enumerate(ROOMS)
        for prefix in prefixes
        if module == prefix or module.startswith(prefix + ".")
    ]
    return max(fits)[1] if fits else None


def imports(module, everywhere=True):
    """Yield the modules that a module imports, each with the names that it takes from there.

    What only type checkers see is left out; without `everywhere`, what functions import as well.
    """

    def nodes(parent):
        for node in ast.iter_child_nodes(parent):
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                continue
            if not everywhere and isinstance(node, (ast.FunctionDef, ast.Lambda)):
                continue
            yield node
            yield from nodes(node)

    for node in nodes(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names]
            submodules = [name for name in names if f"{node.module}.{name}" in MODULES]
            yield from ((f"{node.module}.{name}", ()) for name in submodules)
            if others := [name for name in names if name not in submodules]:
                yield node.module, others


@pytest.mark.parametrize("module", [name for name in MODULES if name != "skae"])
def test_no_import_goes_up(module):
    assert room(module) is not None or module == "skae._engines", "give the module a room"
    for imported, _ in imports(module):
        if imported.split(".")[0] == "skae" and imported != "skae":
            assert room(imported) <= room(module), f"{module} must not know {imported}"


def test_no_circle():
    known, open_ = set(), []

    def visit(module):
        assert module not in open_, " -> ".join([*open_, module])
        if module in known or module not in MODULES:
            return
        open_.append(module)
        for imported, _ in imports(module):
            # A package's face imports from its rooms, which may name the package.
            if imported != "skae" and not module.startswith(imported + "."):
                visit(imported)
        known.add(open_.pop())

    for module in MODULES:
        visit(module)


@pytest.mark.parametrize("module", MODULES)
def test_only_the_engine_room_imports_tensorflow(module):
    is_engine = module.startswith("skae._engines.keras")
    for imported, _ in imports(module):
        if imported.split(".")[0] in HEAVY:
            # Layers are subclasses, so they need Keras when they are made.
            assert is_engine or (module, imported) == ("skae.layers", "keras")


@pytest.mark.parametrize("module", [name for name in MODULES if name != "skae.layers"])
def test_nothing_heavy_is_imported_with_a_module(module):
    heavy = (*HEAVY, "matplotlib", "pandas", "scikeras", "skae.layers")
    assert not {name for name, _ in imports(module, everywhere=False)} & set(heavy)


@pytest.mark.parametrize("module", [n for n in MODULES if n != "skae._sklearn_compat"])
def test_no_private_name_crosses_a_file(module):
    for imported, names in imports(module):
        if imported != "skae._sklearn_compat":
            assert not [name for name in names if name.startswith("_") and name != "__version__"]


@pytest.mark.parametrize("module", [n for n in MODULES if n != "skae._sklearn_compat"])
def test_private_names_of_scikit_learn_stand_in_one_file(module):
    for imported, names in imports(module):
        if imported.split(".")[0] == "sklearn":
            assert not any(part.startswith("_") for part in [*imported.split("."), *names])


def test_the_face_lists_each_public_name_once():
    listed = dir(skae)
    assert listed == sorted({*skae.__all__, "__version__"})
    assert all(not name.startswith("_") for name in skae.__all__)
