"""Versions for a bug report."""

import platform
import sys
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = (
    "skae",
    "scikit-learn",
    "keras",
    "tensorflow",
    "numpy",
    "scipy",
    "pandas",
    "joblib",
    "matplotlib",
    "scikeras",
    "skops",
    "onnx",
    "onnxruntime",
    "skl2onnx",
)


def show_versions() -> None:
    """Print the versions of Python, of the system and of the packages that skae works with.

    The packages are looked up, not imported.

    Examples
    --------
    >>> import skae
    >>> skae.show_versions()
    System
        python: ...
    """
    print("System")
    print(f"    python: {sys.version.split()[0]} ({platform.python_implementation()})")
    print(f"    machine: {platform.platform()}")
    print("Packages")
    for package in _PACKAGES:
        print(f"    {package}: {version_of(package)}")


def version_of(package):
    """Return the version of an installed package, without importing it."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
