"""Rows to try a detector on: real heartbeats to fetch, artificial ones and a table to make."""

from skae.datasets._ecg5000 import fetch_ecg5000
from skae.datasets._heartbeats import make_ecg_strip, make_heartbeats
from skae.datasets._sensor_table import make_sensor_table

__all__ = ["fetch_ecg5000", "make_ecg_strip", "make_heartbeats", "make_sensor_table"]
