"""Artificial heartbeats: single ones, and a strip of many."""

from numbers import Integral, Real
from typing import NamedTuple

import numpy as np

from skae._sklearn_compat import Interval, check_random_state, validate_params

_N_TIMES = 140


class _Waves(NamedTuple):
    """The waves of some beats: three arrays of shape (n_beats, n_waves)."""

    angles: np.ndarray
    widths: np.ndarray
    heights: np.ndarray


# The two waves after T are our additions, of height 0 in a normal beat: they lift the ST segment
# and notch the QRS complex.
_P, _Q, _R, _S, _T, _ST, _NOTCH = range(7)

_PUBLISHED_A = np.array([1.2, -5.0, 30.0, -7.5, 0.75, 0.0, 0.0])
_ANGLES = np.pi * np.array([-1 / 3, -1 / 12, 0, 1 / 12, 1 / 2, 1 / 4, 1 / 10])
_WIDTHS = np.array([0.25, 0.1, 0.1, 0.1, 0.4, 0.3, 0.1])
_AREAS = _PUBLISHED_A * _WIDTHS**2
_HEIGHTS = _AREAS / _AREAS[_R]

# A shorter cycle does not shorten its waves in step, so with the heart rate (as a ratio to the
# mean rate) they widen in phase and move away from R, by these powers of it.
_ANGLE_POWERS = np.array([0.25, 0.5, 0.0, 0.5, 0.25, 0.25, 0.5])
_WIDTH_POWER = 0.5

_HEIGHT_SPREADS = np.array([0.2, 0.2, 0.1, 0.2, 0.2, 0.0, 0.0])


@validate_params(
    {
        "n_samples": [Interval(Integral, 1, None, closed="left")],
        "anomaly_share": [Interval(Real, 0, 1, closed="both")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def make_heartbeats(
    n_samples: int = 1000,
    *,
    anomaly_share: float = 0.2,
    random_state: int | np.random.RandomState | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    r"""Make artificial heartbeats, some of them abnormal.

    Normal beats differ in heart rate, in the timing, width and height of their waves, and by
    baseline wander and noise. Abnormal ones are, in equal parts on average, premature
    ventricular beats, premature atrial beats, bundle branch blocks, ST elevations or
    depressions, and T inversions, each from mild to obvious.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of beats.

    anomaly_share : float, default=0.2
        Share of abnormal beats, within [0, 1]; their number is
        ``round(n_samples * anomaly_share)``.

    random_state : int, RandomState instance or None, default=None
        Pass an int for the same beats each time.

    Returns
    -------
    X : ndarray of shape (n_samples, 140), float64
        One beat per row, in millivolts: one cycle in equal steps of phase, the R wave of
        about 1 mV near the middle.

    y : ndarray of shape (n_samples,), int64
        +1 for a normal beat, -1 for an abnormal one. The rows are shuffled.

    Raises
    ------
    InvalidParameterError
        If a parameter has the wrong type or is out of range; it is a ValueError.

    See Also
    --------
    fetch_ecg5000 : Real heartbeats.

    Notes
    -----
    The waves P, Q, R, S and T are those of [1]_, with its angles, `a` and `b`. There the signal
    z follows, along the phase :math:`\theta` that turns with the speed :math:`\omega`,

    .. math:: \dot z = -\sum_i a_i \Delta\theta_i
              \exp(-\Delta\theta_i^2 / (2 b_i^2)) - (z - z_0).

    Without the slow pull to the baseline :math:`z_0`, and with :math:`\dot z = \omega\,
    dz/d\theta`, this integrates to a sum of Gaussians,

    .. math:: z(\theta) = \frac{1}{\omega} \sum_i a_i b_i^2
              \exp(-\Delta\theta_i^2 / (2 b_i^2)),

    here divided by the R wave's :math:`a b^2 / \omega`, so that R is 1 mV high. How beats vary
    and what makes them abnormal is not from the article: the figures were chosen to look realistic
    and to be neither trivial nor impossible to tell apart. They allow no clinical conclusions.

    References
    ----------
    .. [1] P. E. McSharry, G. D. Clifford, L. Tarassenko and L. A. Smith, "A dynamical model for
       generating synthetic electrocardiogram signals", IEEE Transactions on Biomedical
       Engineering 50(3), 289-294, 2003.

    Examples
    --------
    >>> from skae.datasets import make_heartbeats
    >>> X, y = make_heartbeats(n_samples=50, anomaly_share=0.1, random_state=0)
    >>> X.shape
    (50, 140)
    >>> int((y == -1).sum())
    5
    """
    random_state = check_random_state(random_state)
    n_abnormal = round(n_samples * anomaly_share)
    kind = np.full(n_samples, -1)
    kind[:n_abnormal] = random_state.randint(len(_ABNORMALITIES), size=n_abnormal)
    random_state.shuffle(kind)
    X = _voltages(_waves_of_kind(kind, random_state), random_state)
    return X, np.where(kind < 0, 1, -1).astype(np.int64)


@validate_params(
    {
        "duration": [Interval(Real, 0, None, closed="neither")],
        "sampling_rate": [Interval(Real, 20, None, closed="left")],
        "heart_rate": [Interval(Real, 0, 300, closed="neither")],
        "anomaly_share": [Interval(Real, 0, 0.3, closed="both")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def make_ecg_strip(
    duration: float = 600.0,
    *,
    sampling_rate: float = 125.0,
    heart_rate: float = 70.0,
    anomaly_share: float = 0.02,
    random_state: int | np.random.RandomState | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Make a long artificial electrocardiogram with a few abnormal beats in it.

    The beats are those of :func:`make_heartbeats`, from one patient: they differ less from each
    other than the beats of many. The heart rate changes with breathing, the baseline wanders, and
    premature beats come early and are followed by a pause.

    Parameters
    ----------
    duration : float, default=600.0
        Length of the strip, in seconds.

    sampling_rate : float, default=125.0
        Samples per second, at least 20.

    heart_rate : float, default=70.0
        Beats per minute, on average.

    anomaly_share : float, default=0.02
        Share of abnormal beats, within [0, 0.3]. Between two of them there is always a normal one.

    random_state : int, RandomState instance or None, default=None
        Pass an int for the same strip each time.

    Returns
    -------
    X : ndarray of shape (n_steps, 1), float64
        The voltage in millivolts, ``round(duration * sampling_rate)`` samples.

    y : ndarray of shape (n_steps,), int64
        -1 from halfway between the previous R wave and that of an abnormal beat to halfway to the
        next, +1 elsewhere.

    Raises
    ------
    InvalidParameterError
        If a parameter has the wrong type or is out of range; it is a ValueError.

    See Also
    --------
    make_heartbeats : Single beats, and how they are made.
    skae.WindowedOutlierDetector : Finds the abnormal ones.

    Examples
    --------
    >>> from skae.datasets import make_ecg_strip
    >>> X, y = make_ecg_strip(60, random_state=0)
    >>> X.shape
    (7500, 1)
    """
    random_state = check_random_state(random_state)
    n_steps = round(duration * sampling_rate)
    if n_steps == 0:
        raise ValueError(
            f"duration={duration} is less than one sample of sampling_rate={sampling_rate}."
        )
    time = np.arange(n_steps) / sampling_rate
    n_beats = 4 + int(np.ceil(1.2 * duration * heart_rate / 60))
    breathing = np.sin(2 * np.pi * np.arange(n_beats) / 4.3 + random_state.uniform(0, 2 * np.pi))
    rate = np.exp(0.03 * breathing + 0.02 * random_state.standard_normal(n_beats))
    cycles = 60 / heart_rate / rate
    peaks = np.cumsum(cycles) - cycles[:2].sum()
    kind = np.full(n_beats, -1)
    abnormal = _non_adjacent(
        np.flatnonzero((peaks > 0) & (peaks < duration)), anomaly_share, random_state
    )
    kind[abnormal] = random_state.randint(len(_ABNORMALITIES), size=len(abnormal))
    is_premature = np.isin(kind, [_ABNORMALITIES.index(premature) for premature in _PREMATURE])
    peaks = peaks - is_premature * random_state.uniform(0.15, 0.35, n_beats) * cycles
    waves = _waves_of_kind(kind, random_state, rate=rate[:, None], spread=0.4)
    voltage = _wandering_baseline(time, random_state) + 0.02 * random_state.standard_normal(
        len(time)
    )
    _add_beats(voltage, time, peaks, cycles, waves)
    beat = np.searchsorted((peaks[:-1] + peaks[1:]) / 2, time)
    return voltage[:, None], np.where(kind[beat] < 0, 1, -1).astype(np.int64)


def _non_adjacent(candidates, share, random_state):
    """Draw a share of the candidates, no two of them adjacent."""
    n_drawn = round(share * len(candidates))
    drawn = random_state.choice(len(candidates) - n_drawn + 1, n_drawn, replace=False)
    return candidates[np.sort(drawn) + np.arange(n_drawn)]


def _wandering_baseline(time, random_state):
    frequencies = random_state.uniform([0.02, 0.1, 0.2], [0.1, 0.2, 0.4])[:, None]
    starts = random_state.uniform(0, 2 * np.pi, size=(3, 1))
    return 0.04 * np.sin(2 * np.pi * frequencies * time + starts).sum(axis=0)


def _add_beats(voltage, time, peaks, cycles, waves):
    """Add each beat to the samples around its R wave; a cycle is 2 pi of its phase."""
    for peak, cycle, angles, widths, heights in zip(peaks, cycles, *waves, strict=True):
        near = slice(*np.searchsorted(time, [peak - 0.8 * cycle, peak + 0.8 * cycle]))
        phase = 2 * np.pi * (time[near, None] - peak) / cycle
        voltage[near] += (heights * np.exp(-((phase - angles) ** 2) / (2 * widths**2))).sum(axis=1)


def _waves_of_kind(kind, random_state, **variation):
    waves = _normal_waves(len(kind), random_state, **variation)
    for index, abnormality in enumerate(_ABNORMALITIES):
        rows = np.flatnonzero(kind == index)
        changed = abnormality(_Waves(*(part[rows] for part in waves)), random_state)
        for part, changed_part in zip(waves, changed, strict=True):
            part[rows] = changed_part
    return waves


def _normal_waves(n_beats, random_state, rate=None, spread=1.0):
    """Return waves that vary from beat to beat, `spread` times as much as between patients."""
    shape = (n_beats, len(_ANGLES))
    if rate is None:
        rate = np.exp(0.15 * random_state.standard_normal((n_beats, 1)))
    cut = 0.04 * spread * random_state.standard_normal((n_beats, 1))
    noise = (spread * random_state.standard_normal(shape) for _ in range(3))
    angles = _ANGLES * rate**_ANGLE_POWERS + cut + 0.015 * next(noise)
    widths = _WIDTHS * rate**_WIDTH_POWER * np.exp(0.06 * next(noise))
    heights = _HEIGHTS * np.exp(_HEIGHT_SPREADS * next(noise))
    return _Waves(angles, widths, heights)


def _voltages(waves, random_state):
    phase = np.linspace(-np.pi, np.pi, _N_TIMES, endpoint=False)
    X = _baseline_wander(phase, len(waves.angles), random_state)
    X += 0.02 * random_state.standard_normal(X.shape)
    for angle, width, height in zip(*(part.T[:, :, np.newaxis] for part in waves), strict=True):
        X += height * np.exp(-((phase - angle) ** 2) / (2 * width**2))
    return X


def _baseline_wander(phase, n_beats, random_state):
    """Move the baseline, as breathing does, by a sine; a beat spans about a quarter of it."""
    amplitude = 0.04 * random_state.standard_normal((n_beats, 1))
    frequency = random_state.uniform(0.15, 0.4, size=(n_beats, 1))
    start = random_state.uniform(0, 2 * np.pi, size=(n_beats, 1))
    return amplitude * np.sin(frequency * phase + start)


def _scaled(values, factors):
    """Multiply the columns, given by wave, by a number or by one number per beat."""
    values = values.copy()
    for wave, factor in factors.items():
        values[:, wave] *= factor
    return values


def _shifted(values, steps):
    values = values.copy()
    for wave, step in steps.items():
        values[:, wave] += step
    return values


def _premature_ventricular(waves, random_state):
    """Leave out P, widen and raise the QRS, and turn T against it."""
    n_beats = len(waves.angles)
    widening = random_state.uniform(1.8, 3.0, n_beats)
    height = random_state.uniform(1.0, 1.6, n_beats)
    against = -random_state.uniform(0.5, 1.5, n_beats)
    widths = _scaled(waves.widths, {_R: widening, _S: widening})
    heights = _scaled(waves.heights, {_P: 0, _Q: 0, _R: height, _S: 2 * height, _T: against})
    angles = _shifted(waves.angles, {_S: 0.1 * widening})
    return _Waves(angles, widths, heights)


def _premature_atrial(waves, random_state):
    """Start in another place of the atria: P is small or upside down, and displaced."""
    n_beats = len(waves.angles)
    shift = random_state.uniform(-0.3, 0.4, n_beats)
    height = random_state.uniform(-1.2, 0.4, n_beats)
    angles = _shifted(waves.angles, {_P: shift})
    return waves._replace(angles=angles, heights=_scaled(waves.heights, {_P: height}))


def _bundle_branch_block(waves, random_state):
    """Delay one ventricle: a notched, wide QRS, and a T that leans against it."""
    n_beats = len(waves.angles)
    delay = random_state.uniform(0.0, 0.3, n_beats)
    notch = random_state.uniform(0.2, 0.8, n_beats)
    against = random_state.uniform(-0.6, 0.8, n_beats)
    angles = _shifted(waves.angles, {_NOTCH: delay, _S: 0.15 + delay})
    widths = _scaled(waves.widths, {_R: 1 + delay, _NOTCH: 1.3, _S: 1.3})
    heights = _scaled(waves.heights, {_R: 0.9, _T: against})
    heights = _shifted(heights, {_NOTCH: notch})
    return _Waves(angles, widths, heights)


def _st_deviation(waves, random_state):
    """Lift or lower the segment between S and T."""
    n_beats = len(waves.angles)
    sign = random_state.choice([-1, 1], size=n_beats)
    lift = sign * random_state.uniform(0.08, 0.4, n_beats)
    return waves._replace(heights=_shifted(waves.heights, {_ST: lift}))


def _t_inversion(waves, random_state):
    """Flatten T or turn it upside down."""
    height = random_state.uniform(-1.0, 0.4, len(waves.angles))
    return waves._replace(heights=_scaled(waves.heights, {_T: height}))


_ABNORMALITIES = (
    _premature_ventricular,
    _premature_atrial,
    _bundle_branch_block,
    _st_deviation,
    _t_inversion,
)
_PREMATURE = (_premature_ventricular, _premature_atrial)
