"""Autoencoders for anomaly detection, as scikit-learn outlier detectors."""

from importlib import import_module

__version__ = "0.1.0.dev0"

# Loaded when first used, so that `import skae` costs nothing but its own few lines.
_HOMES = {
    "AutoencoderEnsembleOutlierDetector": "skae._detectors.ensemble",
    "AutoencoderOutlierDetector": "skae._detectors.autoencoder",
    "ConformalOutlierDetector": "skae._meta.conformal",
    "FitOnInliers": "skae._meta.fit_on_inliers",
    "ReconstructionOutlierDetector": "skae._detectors.reconstruction",
    "ThresholdedOutlierDetector": "skae._meta.thresholded",
    "WindowedOutlierDetector": "skae._meta.windowed",
    "clear_cache": "skae._engines.keras.cache",
    "show_versions": "skae._show_versions",
}
_MODULES = (
    "datasets",
    "displays",
    "inspection",
    "metrics",
    "model_selection",
    "preprocessing",
    "thresholds",
)

__all__ = [
    "AutoencoderEnsembleOutlierDetector",
    "AutoencoderOutlierDetector",
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
    "show_versions",
    "thresholds",
]


def __getattr__(name):
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in _MODULES:
        return import_module(f"skae.{name}")
    raise AttributeError(f"module 'skae' has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])
