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
    ("skae._presentation", "skae._progress"),
    ("skae._trusted_types",),
    ("skae._labels", "skae._errors", "skae.layers"),
    ("skae._event_metrics",),
    ("skae.thresholds",),
    ("skae._streaming_thresholds",),
    ("skae._engines.options",),
    ("skae._engines.numpy",),
    ("skae._engines.keras",),
    ("skae._network",),
    ("skae._detectors",),
    ("skae._meta",),
    ("skae.preprocessing", "skae.datasets", "skae.metrics"),
    ("skae._drift",),
    ("skae.inspection",),
    ("skae._frame_scorer",),
    ("skae.streaming",),
    ("skae.displays",),
    ("skae.model_selection",),
    ("skae.report",),
    ("skae._table_files",),
    ("skae._command_line", "skae.__main__"),
    ("skae.onnx",),
]
HEAVY = ("keras", "tensorflow")
IMPORT_FUNCTIONS = ("import_module", "__import__")
# They import modules whose names no reader of the code can know.
IMPORT_BY_VARIABLE = ("skae", "skae._engines.keras.loading")


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


def nodes(parent, everywhere=True):
    """Yield the nodes below one, but not what only type checkers see.

    Without `everywhere`, what functions do is left out as well.
    """
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
        if not everywhere and isinstance(node, functions):
            continue
        yield node
        yield from nodes(node, everywhere)


def imports_of(source, everywhere=True):
    """Yield the modules that code imports, each with the names that it takes from there.

    The name is None where a variable holds it.
    """
    for node in nodes(ast.parse(source), everywhere):
        if isinstance(node, ast.Import):
            yield from ((alias.name, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "Name the module in full."
            names = [alias.name for alias in node.names]
            submodules = [name for name in names if f"{node.module}.{name}" in MODULES]
            yield from ((f"{node.module}.{name}", ()) for name in submodules)
            if others := [name for name in names if name not in submodules]:
                yield node.module, others
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(IMPORT_FUNCTIONS):
            yield beginning(node.args[0]), ()


def beginning(name):
    """Return the name of a module in a call, or the package that an f-string begins with."""
    if isinstance(name, ast.JoinedStr):
        name = name.values[0]
        if isinstance(name, ast.Constant):
            return name.value.rpartition(".")[0] or None
    return name.value if isinstance(name, ast.Constant) else None


def imports(module, everywhere=True):
    """Yield what a module imports, as `imports_of` does, where the name can be known."""
    found = imports_of(MODULES[module].read_text(), everywhere)
    return ((name, names) for name, names in found if name is not None)


def private_attributes_of(source, packages=("skae", "sklearn")):
    """Yield what code reads of private names of what it has imported, by a dot."""
    tree = ast.parse(source)
    bound = set()
    for node in nodes(tree):
        if isinstance(node, ast.Import):
            names = [(alias.name, alias.asname or alias.name.split(".")[0]) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [(node.module, alias.asname or alias.name) for alias in node.names]
        else:
            continue
        bound |= {name for module, name in names if module.split(".")[0] in packages}
    for node in nodes(tree):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
            name, is_special = ast.unparse(node), node.attr.startswith("__")
            if name.split(".")[0] in bound and not is_special and name not in MODULES:
                yield name


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
def test_no_private_name_is_reached_by_a_dot(module):
    assert not list(private_attributes_of(MODULES[module].read_text()))


@pytest.mark.parametrize("module", MODULES)
def test_names_of_imported_modules_can_be_read(module):
    unknown = [name for name, _ in imports_of(MODULES[module].read_text()) if name is None]
    assert bool(unknown) == (module in IMPORT_BY_VARIABLE)


@pytest.mark.parametrize("module", [n for n in MODULES if n != "skae._sklearn_compat"])
def test_private_names_of_scikit_learn_stand_in_one_file(module):
    for imported, names in imports(module):
        if imported.split(".")[0] == "sklearn":
            assert not any(part.startswith("_") for part in [*imported.split("."), *names])


def test_the_face_lists_each_public_name_once():
    listed = dir(skae)
    assert listed == sorted({*skae.__all__, "__version__"})
    assert all(not name.startswith("_") for name in skae.__all__)


class TestTheReading:
    """What the tests above would overlook, they could not forbid."""

    @pytest.mark.parametrize(
        ("code", "found"),
        [
            ("import keras", [("keras", ())]),
            ("from skae import thresholds", [("skae.thresholds", ())]),
            ("from skae._labels import inlier_mask", [("skae._labels", ["inlier_mask"])]),
            ("def f():\n    import keras", [("keras", ())]),
            ("importlib.import_module('keras.ops')", [("keras.ops", ())]),
            ("import_module(f'skae._meta.{name}')", [("skae._meta", ())]),
            ("__import__('keras')", [("keras", ())]),
            ("import_module(f'{name}.x')", [(None, ())]),
            ("import_module(name)", [(None, ())]),
            ("if TYPE_CHECKING:\n    import keras", []),
        ],
    )
    def test_imports(self, code, found):
        assert list(imports_of(code)) == found

    @pytest.mark.parametrize("kind", ["def f():", "async def f():"])
    def test_a_function_imports_later(self, kind):
        assert not list(imports_of(f"{kind}\n    import keras", everywhere=False))

    @pytest.mark.parametrize(
        ("code", "found"),
        [
            ("from skae import thresholds\nthresholds._f(1)", ["thresholds._f"]),
            ("import skae._labels as labels\nlabels._f", ["labels._f"]),
            ("import skae._labels\nskae._labels._f.x", ["skae._labels._f"]),
            ("from skae._labels import Mask\nMask._of(1)", ["Mask._of"]),
            ("import sklearn.utils\nsklearn.utils._f", ["sklearn.utils._f"]),
            ("from skae import thresholds\nthresholds.__name__", []),
            ("import sys\nsys._getframe()\nself._x", []),
        ],
    )
    def test_private_attributes(self, code, found):
        assert list(private_attributes_of(code)) == found
