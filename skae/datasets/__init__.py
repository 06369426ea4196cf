"""Heartbeats to try a detector on: real ones to fetch, and artificial ones to make."""

from skae.datasets._ecg5000 import fetch_ecg5000
from skae.datasets._heartbeats import make_ecg_strip, make_heartbeats

__all__ = ["fetch_ecg5000", "make_ecg_strip", "make_heartbeats"]
