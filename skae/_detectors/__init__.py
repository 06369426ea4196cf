"""The detectors: their parameters, and what these mean."""
