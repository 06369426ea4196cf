"""Displays: pictures of a detector that hand back their numbers by `frame()`."""

from skae.displays.comparison import DetectorComparisonDisplay
from skae.displays.error_distribution import ErrorDistributionDisplay
from skae.displays.reconstruction import ReconstructionDisplay
from skae.displays.training_history import TrainingHistoryDisplay

__all__ = [
    "DetectorComparisonDisplay",
    "ErrorDistributionDisplay",
    "ReconstructionDisplay",
    "TrainingHistoryDisplay",
]
