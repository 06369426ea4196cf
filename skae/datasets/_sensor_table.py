"""An artificial table of sensors: dates, categories, numbers and gaps."""

from numbers import Integral, Real
from typing import TYPE_CHECKING

import numpy as np

from skae._sklearn_compat import Interval, check_random_state, validate_params

if TYPE_CHECKING:
    from pandas import DataFrame

# Mean temperature outdoors in °C, mean air pressure in hPa and mains voltage of each site.
_SITES = {
    "Oslo": (6.0, 1005.0, 231.0),
    "Turin": (13.0, 985.0, 227.0),
    "Madrid": (15.0, 940.0, 234.0),
    "Athens": (18.0, 1010.0, 224.0),
}
# Usual load in %, temperature inside in °C and vibration in mm/s of each product.
_PRODUCTS = {"ice cream": (75.0, -24.0, 2.6), "fish": (60.0, -18.0, 1.9), "milk": (35.0, 4.0, 1.2)}
_MINUTES_OF_A_YEAR = 365 * 24 * 60


@validate_params(
    {
        "n_samples": [Interval(Integral, 1, None, closed="left")],
        "anomaly_share": [Interval(Real, 0, 1, closed="both")],
        "missing_share": [Interval(Real, 0, 1, closed="left")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def make_sensor_table(
    n_samples: int = 20_000,
    *,
    anomaly_share: float = 0.02,
    missing_share: float = 0.03,
    random_state: int | np.random.RandomState | None = None,
) -> tuple["DataFrame", np.ndarray, np.ndarray]:
    """Make an artificial table of cold stores, in some rows of which a relation is broken.

    Cold stores at four sites hold one of three products. Load, power, flow, pressure, vibration and
    the temperature inside follow from the product, the weather and each other; air pressure,
    voltage and the temperature outdoors from site, season and hour. In an abnormal row, one column
    has the value of another row. Few of these values are unusual by themselves: it is the relation
    to other columns that is wrong.

    Parameters
    ----------
    n_samples : int, default=20000
        Number of rows.

    anomaly_share : float, default=0.02
        Share of abnormal rows, within [0, 1]; their number is
        ``round(n_samples * anomaly_share)``.

    missing_share : float, default=0.03
        Share of the cells that are missing at random, in all columns but "time", in normal and
        abnormal rows alike. The broken cell of an abnormal row is never missing.

    random_state : int, RandomState instance or None, default=None
        Pass an int for the same table each time.

    Returns
    -------
    X : pandas.DataFrame of shape (n_samples, 12)
        A timestamp, two categories and nine measurements per row.

    y : ndarray of shape (n_samples,), int64
        +1 for a normal row, -1 for an abnormal one.

    broken : ndarray of shape (n_samples,), dtype=object
        The name of the column that is wrong in an abnormal row, "" in a normal one.

    Raises
    ------
    InvalidParameterError
        If a parameter has the wrong type or is out of range; it is a ValueError.

    See Also
    --------
    make_heartbeats : Rows that are signals.

    Examples
    --------
    >>> from skae.datasets import make_sensor_table
    >>> X, y, broken = make_sensor_table(1000, random_state=0)
    >>> X.shape
    (1000, 12)
    >>> int((y == -1).sum())
    20
    """
    random = check_random_state(random_state)
    X = _normal_rows(n_samples, random)
    y = np.ones(n_samples, dtype=np.int64)
    broken = np.full(n_samples, "", dtype=object)
    rows = random.permutation(n_samples)[: round(n_samples * anomaly_share)]
    y[rows] = -1
    broken[rows] = random.choice(X.columns[1:], len(rows))
    for name in X.columns[1:]:
        of_column = np.flatnonzero(broken == name)
        X.iloc[of_column, X.columns.get_loc(name)] = _values_of_others(X[name], of_column, random)
    is_missing = random.random_sample(X.shape) < missing_share
    is_missing[:, 0] = False
    is_missing &= broken[:, None] != np.asarray(X.columns)
    return X.mask(is_missing), y, broken


def _normal_rows(n_samples, random):
    import pandas as pd

    site = random.choice(list(_SITES), n_samples)
    product = random.choice(list(_PRODUCTS), n_samples, p=[0.25, 0.35, 0.4])
    minutes = np.sort(random.randint(_MINUTES_OF_A_YEAR, size=n_samples))
    climate, air, voltage = np.array([_SITES[name] for name in site]).T
    usual_load, inside, shaking = np.array([_PRODUCTS[name] for name in product]).T
    season = -np.cos(2 * np.pi * minutes / _MINUTES_OF_A_YEAR)
    daytime = -np.cos(2 * np.pi * (minutes / 60 % 24 - 2) / 24)

    def noise(scale):
        return random.normal(0, scale, n_samples)

    outdoor = climate + 9 * season + 4 * daytime + noise(1.5)
    load = usual_load + 0.8 * (outdoor - 13) + noise(4)
    flow = 0.15 * load + noise(0.3)
    return pd.DataFrame(
        {
            "time": pd.Timestamp("2025-01-01") + pd.to_timedelta(minutes, unit="min"),
            "site": site,
            "product": product,
            "outdoor_C": outdoor.round(1),
            "inside_C": (inside + 0.02 * load + noise(0.4)).round(1),
            "load_pct": load.round(1),
            "power_kW": (4 + 0.3 * load + 0.15 * outdoor + noise(0.6)).round(2),
            "flow_m3h": flow.round(2),
            "pressure_bar": (2 + 0.05 * flow**2 + noise(0.15)).round(2),
            "vibration_mms": (shaking * (0.6 + 0.006 * load) + noise(0.06)).round(2),
            "voltage_V": (voltage + noise(0.8)).round(1),
            "air_hPa": (air + noise(4)).round(0),
        }
    )


def _values_of_others(column, rows, random):
    """Return for each row the value of another row that is unlike its own."""
    values = column.to_numpy()
    others = values[random.randint(len(values), size=(len(rows), 50))]
    own = values[rows][:, None]
    is_number = values.dtype.kind == "f"
    is_unlike = np.abs(others - own) > values.std() if is_number else others != own
    return others[np.arange(len(rows)), is_unlike.argmax(axis=1)]
