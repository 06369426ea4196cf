"""Meta-estimators: detectors made of other detectors."""
