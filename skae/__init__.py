"""Autoencoders for anomaly detection, as scikit-learn outlier detectors."""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

__all__ = [
    "TRUSTED_TYPES",
    "AutoencoderEnsembleOutlierDetector",
    "AutoencoderOutlierDetector",
    "AveragedOutlierDetector",
    "ConformalOutlierDetector",
    "FitOnInliers",
    "ReconstructionOutlierDetector",
    "ThresholdedOutlierDetector",
    "WindowedOutlierDetector",
    "clear_cache",
    "datasets",
    "displays",
    "inspection",
    "metrics",
    "model_selection",
    "preprocessing",
    "report",
    "show_versions",
    "streaming",
    "thresholds",
]

if TYPE_CHECKING:
    from skae import (
        datasets,
        displays,
        inspection,
        metrics,
        model_selection,
        preprocessing,
        report,
        streaming,
        thresholds,
    )
    from skae._detectors.autoencoder import AutoencoderOutlierDetector
    from skae._detectors.ensemble import AutoencoderEnsembleOutlierDetector
    from skae._detectors.reconstruction import ReconstructionOutlierDetector
    from skae._engines.keras.cache import clear_cache
    from skae._meta.averaged import AveragedOutlierDetector
    from skae._meta.conformal import ConformalOutlierDetector
    from skae._meta.fit_on_inliers import FitOnInliers
    from skae._meta.thresholded import ThresholdedOutlierDetector
    from skae._meta.windowed import WindowedOutlierDetector
    from skae._show_versions import show_versions
    from skae._trusted_types import TRUSTED_TYPES

# The same for Python, loaded when first used, so that `import skae` costs nothing but these lines.
_MODULES = {
    "TRUSTED_TYPES": "skae._trusted_types",
    "AutoencoderEnsembleOutlierDetector": "skae._detectors.ensemble",
    "AutoencoderOutlierDetector": "skae._detectors.autoencoder",
    "AveragedOutlierDetector": "skae._meta.averaged",
    "ConformalOutlierDetector": "skae._meta.conformal",
    "FitOnInliers": "skae._meta.fit_on_inliers",
    "ReconstructionOutlierDetector": "skae._detectors.reconstruction",
    "ThresholdedOutlierDetector": "skae._meta.thresholded",
    "WindowedOutlierDetector": "skae._meta.windowed",
    "clear_cache": "skae._engines.keras.cache",
    "show_versions": "skae._show_versions",
}


def __getattr__(name):
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    if name in __all__:
        return import_module(f"skae.{name}")
    raise AttributeError(f"module 'skae' has no attribute {name!r}")


def __dir__():
    return sorted([*__all__, "__version__"])
