"""Displays: plots of a detector that return their numbers from `frame()`."""

from skae.displays.comparison import DetectorComparisonDisplay
from skae.displays.detection_curve import DetectionCurveDisplay
from skae.displays.drift import DriftDisplay
from skae.displays.error_distribution import ErrorDistributionDisplay
from skae.displays.explanation import ExplanationDisplay
from skae.displays.latent_space import LatentSpaceDisplay
from skae.displays.p_values import PValueDisplay
from skae.displays.reconstruction import ReconstructionDisplay
from skae.displays.series import SeriesDisplay
from skae.displays.training_history import TrainingHistoryDisplay

__all__ = [
    "DetectionCurveDisplay",
    "DetectorComparisonDisplay",
    "DriftDisplay",
    "ErrorDistributionDisplay",
    "ExplanationDisplay",
    "LatentSpaceDisplay",
    "PValueDisplay",
    "ReconstructionDisplay",
    "SeriesDisplay",
    "TrainingHistoryDisplay",
]
