"""Several autoencoders, trained together in one graph, their errors averaged."""

from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from skae._detectors.base import error_constraints
from skae._detectors.calibration import MIN_ROWS, all_rows, left_out_by_members
from skae._detectors.incremental import IncrementalDetector
from skae._detectors.resuming import RESUMING
from skae._detectors.trained import NETWORK_CONSTRAINTS
from skae._engines.keras.blueprints import BuiltInBlueprint
from skae._engines.keras.loading import resolve
from skae._engines.options import Layout, member_sizes
from skae._network.architectures import DENSE_MEMBERS
from skae._network.feeding import fits_at_once
from skae._sklearn_compat import Interval
from skae.thresholds import needs_unseen_rows

if TYPE_CHECKING:
    import keras

# Fewer would each miss too many of the rows.
_MIN_MEMBERS = 3
# Keras' activations that do not act on each value alone.
_OF_WHOLE_CODES = ("glu", "log_softmax", "softmax", "sparsemax")


class AutoencoderEnsembleOutlierDetector(IncrementalDetector):
    """Outlier detector that averages the errors of several autoencoders.

    One network may happen to reconstruct an outlier well; several that differ in the size of their
    code, in their initial weights and in the rows they see seldom do so together [1]_. By default
    one of four is trained without the rows that it reconstructs worst, in case there are outliers
    among them. They are dense and trained in one graph, which takes far less time than one after
    the other. There is no common latent space: each member has its own.

    Parameters
    ----------
    n_estimators : int, default=4
        Number of autoencoders.
    hidden_layer_sizes : "auto", int or sequence of int, default="auto"
        Units of each member's encoder. Its decoder has them in reverse order. "auto" is `(128,
        64)`.
    latent_dim : int or sequence of int, default=(6, 12, 24, 6)
        Size of the latent code: the smaller, the less a network can reconstruct. A sequence is one
        size for each member, used again and again if there are more members.
    activation : str or callable, default="mish"
        Activation of the hidden layers, by Keras' name.
    latent_activation : str, callable or None, default="linear"
        Activation of the latent layer.
    output_activation : str, callable or None, default="auto"
        Activation of the output. "auto" is "sigmoid" where the training data lies in [0, 1] and
        "linear" elsewhere; `output_activation_` holds the choice.
    dropout : float, default=0.0
        Share of each hidden layer's units dropped in training, in [0, 1).
    l2 : float, default=0.0
        Penalty on the squared weights in the loss.
    latent_l1 : float, default=0.0
        Penalty on the absolute values of the latent code in the loss: a sparse autoencoder.
    noise : float or "auto", default="auto"
        Standard deviation, in the units of X, of the Gaussian noise added to the inputs in training
        but not to the target: a denoising autoencoder [2]_. "auto" is a tenth of the features' mean
        standard deviation, and zero with `dropout`.
    loss : str, callable or keras.losses.Loss, default="auto"
        What training minimizes, by Keras' name. "msle" refuses negative values in X. "auto" is
        log(1 + e) for a row whose mean squared error is e times the squared mean deviation of the
        features, so that rows far off pull less.
    error : {"auto", "combined", "mse", "mae", "msle", "standardized", "mahalanobis"} or callable, \
            default="auto"
        What a row is scored by. "combined" adds how badly the row is reconstructed, how unlike it
        is to the known row with the nearest code [3]_, and how far its code lies from the others
        [4]_; `error_parts` returns them. "auto" is "combined". "standardized" divides each
        feature's squared residual by its typical size; "mahalanobis" also accounts for correlated
        residuals. Both learn from the training rows, and expect scaled data. A callable is called
        with rows and their reconstructions, both read-only, and returns the error of each feature
        of each row; their mean is the error of the row. It sees the rows in batches, so it must
        judge each row on its own.
    metrics : sequence of (str, callable or keras.metrics.Metric) or None, default=None
        What else `history_` records.
    optimizer : str or keras.optimizers.Optimizer, default="adam"
        An instance is a template: it is never changed.
    learning_rate : float or "auto", default="auto"
        "auto" is 0.001 over the first half of the steps, then falls to zero along a cosine; with an
        optimizer instance, it is the instance's own. A float is constant. A callback may assign
        another rate: from then on "auto" leaves the rate to the callbacks. The loss is the mean
        over the members: with an optimizer that follows the size of the gradient, such as SGD,
        multiply what suits a single network by `n_estimators`.
    epochs : int or "auto", default="auto"
        How many times training sees all rows. "auto" makes about 2,000 gradient steps, in at least
        2 and at most 200 epochs.
    batch_size : int, default=64
        Rows per gradient step, different ones for each member.
    trim_fraction : float, "auto" or sequence of float, default=(0.0, 0.0, 0.0, 0.5)
        Share of each batch, in [0, 0.5], left out of its loss: the rows reconstructed worst. For
        training data with outliers in it. A sequence is one share for each member, used again and
        again if there are more members. "auto" is 0.5 for each, for when you know that there are
        outliers.
    validation_fraction : float, default=0.0
        Share of the rows, in [0, 1), held out of training for the validation curves, early stopping
        and the threshold.
    early_stopping : bool, default=False
        Whether to stop when the validation loss (or, without validation rows, the training loss) no
        longer improves. The best weights are restored.
    n_iter_no_change : int, default=10
        Epochs without improvement before early stopping.
    tol : float, default=0.0
        The least improvement that counts, in the unit of the loss.
    threshold : str, float or rule, default="auto"
        The rule of :mod:`skae.thresholds` that sets the offset, or its short name: "mean_std",
        "quantile", "median_mad", "iqr", "fpr" or "pot". A float is the threshold of the error
        itself. "auto" is `FalsePositiveRate(0.05, confidence=None)`: of new normal rows like the
        training rows, 5 % are flagged on average, fewer if there are outliers among the training
        rows. It and "fpr" use errors of rows not trained on: each member leaves out some rows, of
        few about a quarter, of many far less; if `validation_fraction` holds rows out, or
        there are fewer than 3 members, as :class:`skae.AutoencoderOutlierDetector` does. The other
        rules use the errors of the held-out rows, or of the training rows if none are held out.
    contamination : float or "auto", default="auto"
        Share of outliers among the rows given to `fit`, in (0, 0.5]: the offset is that quantile of
        all their scores. "auto" leaves the offset to `threshold`.
    callbacks : sequence of keras.callbacks.Callback or None, default=None
        They hear the training as in `keras.Model.fit`, and have no model after it. Clones have
        copies of them: what a search, or :class:`skae.FitOnInliers`, fits is heard by these. One
        with batch hooks makes training nearly as slow as `keras.Model.fit`, because each batch then
        returns to Python.
    warm_start : bool, default=False
        Whether the next `fit` continues from the present weights. The optimizer starts anew, and
        `history_` is appended to. What the network is built from must then stay as it is.
    random_state : int, RandomState instance or None, default=None
        Determines the initial weights, the order of the rows, dropout, noise and held-out rows. An
        int gives the same scores each time. None draws a seed from NumPy's global generator, as in
        scikit-learn, so that two fits differ.
    verbose : int, default=0
        0 is silent, 1 shows one progress line (in a file, only its last state), 2 one line per
        epoch. If a part of few rows sets the threshold, the training for that is shown too.

    Attributes
    ----------
    autoencoder_ : keras.Model
        All members in one model, which takes rows of shape (n_estimators, n_features), one per
        member. Changing or training it does not change the detector's scores.
    member_weights_ : ndarray of shape (n_estimators,)
        Factors that bring the members' errors to a common scale, on which each member has the same
        mean error over the rows that set the offset; of the combined error, in proportion to what
        its parts count: 2.5 for a member that is not trimmed, and 1 for one that is by half.
    estimators_samples_ : list of ndarray of int
        The positions of the rows that each member was trained on, where members leave out rows.
    oob_score_samples_ : ndarray of shape (n_samples,)
        The score of each training row by the members that left it out, NaN if none did; where
        members leave out rows. Rows of weight zero are not among them.
    error_ : str or callable
        What rows are scored by: `error`, or what "auto" stands for.
    history_ : dict of list of float
        Loss and metrics of each epoch, averaged over the members.
    offset_ : float
        `decision_function` is `score_samples` minus this. The threshold of the error is
        `-offset_`.
    calibration_errors_ : ndarray of shape (n_calibration_samples,)
        The errors that set the offset, sorted; of more than 4,096, fewer, evenly spaced. What
        :func:`skae.inspection.drift_report` compares new errors with.
    feature_errors_ : ndarray of shape (n_features_in_,)
        Mean error of each feature over the rows that set the offset (at most 4,096 of them, evenly
        spaced): what :func:`skae.inspection.explain` compares errors with.
    n_iter_ : int
        Number of epochs that the last `fit` ran, and all calls of `partial_fit` since.
    output_activation_ : str or callable
        The output activation of the members.
    n_features_in_ : int
        Number of features seen during `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if X has column names that are all strings.

    See Also
    --------
    skae.AutoencoderOutlierDetector : One autoencoder, of any architecture.

    Notes
    -----
    Cells of X may be missing (NaN): the network sees the mean of the column in their place, and the
    loss and the error are means over the cells that are there. Training rows need a value each, and
    so do their columns; later, a row without any has the score minus infinity, with a warning.

    References
    ----------
    .. [1] Chen, Sathe, Aggarwal, Turaga (2017). Outlier detection with autoencoder ensembles.
           SDM 2017.
    .. [2] Vincent, Larochelle, Bengio, Manzagol (2008). Extracting and composing robust features
           with denoising autoencoders. ICML 2008.
    .. [3] Gong, Liu, Le, Saha, Mansour, Venkatesh, van den Hengel (2019). Memorizing normality to
           detect anomaly: memory-augmented deep autoencoder. ICCV 2019.
    .. [4] Denouden, Salay, Czarnecki, Abdelzad, Phan, Vernekar (2018). Improving reconstruction
           autoencoder out-of-distribution detection with Mahalanobis distance. arXiv:1812.02765.

    Examples
    --------
    >>> from skae import AutoencoderEnsembleOutlierDetector
    >>> from skae.datasets import make_heartbeats
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import MinMaxScaler
    >>> X, y = make_heartbeats(500, anomaly_share=0.1, random_state=0)
    >>> detector = make_pipeline(
    ...     MinMaxScaler(), AutoencoderEnsembleOutlierDetector(3, epochs=20, random_state=0)
    ... )
    >>> detector.fit(X[y == 1]).predict(X[y == -1][1:4])
    array([-1, -1, -1])
    """

    _parameter_constraints: dict = {
        **NETWORK_CONSTRAINTS,
        "n_estimators": [Interval(Integral, 1, None, closed="left")],
        "error": error_constraints({"auto"}),
        "latent_dim": [*NETWORK_CONSTRAINTS["latent_dim"], tuple, list, np.ndarray],
        "trim_fraction": [*NETWORK_CONSTRAINTS["trim_fraction"], tuple, list, np.ndarray],
    }

    def __init__(
        self,
        n_estimators: int = 4,
        *,
        hidden_layer_sizes: str | int | Sequence[int] = "auto",
        latent_dim: int | Sequence[int] = (6, 12, 24, 6),
        activation: str | Callable = "mish",
        latent_activation: str | Callable | None = "linear",
        output_activation: str | Callable | None = "auto",
        dropout: float = 0.0,
        l2: float = 0.0,
        latent_l1: float = 0.0,
        noise: float | str = "auto",
        loss: str | Callable = "auto",
        error: str | Callable = "auto",
        metrics: Sequence | None = None,
        optimizer: "str | keras.optimizers.Optimizer" = "adam",
        learning_rate: float | str = "auto",
        epochs: int | str = "auto",
        batch_size: int = 64,
        trim_fraction: float | str | Sequence[float] = (0.0, 0.0, 0.0, 0.5),
        validation_fraction: float = 0.0,
        early_stopping: bool = False,
        n_iter_no_change: int = 10,
        tol: float = 0.0,
        threshold: Any = "auto",
        contamination: float | str = "auto",
        callbacks: "Sequence[keras.callbacks.Callback] | None" = None,
        warm_start: bool = False,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ):
        self.n_estimators = n_estimators
        self.hidden_layer_sizes = hidden_layer_sizes
        self.latent_dim = latent_dim
        self.activation = activation
        self.latent_activation = latent_activation
        self.output_activation = output_activation
        self.dropout = dropout
        self.l2 = l2
        self.latent_l1 = latent_l1
        self.noise = noise
        self.loss = loss
        self.error = error
        self.metrics = metrics
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.epochs = epochs
        self.batch_size = batch_size
        self.trim_fraction = trim_fraction
        self.validation_fraction = validation_fraction
        self.early_stopping = early_stopping
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.threshold = threshold
        self.contamination = contamination
        self.callbacks = callbacks
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    def member_scores(self, X: ArrayLike) -> np.ndarray:
        """Return the score of each row by each member: minus its error, on the common scale.

        Their mean is `score_samples`; a wide spread means that the members disagree.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows to score.

        Returns
        -------
        scores : ndarray of shape (n_samples, n_estimators), float64
        """
        X = self._checked_rows(X)
        return -self._scorer.member_errors(X)

    @property
    def member_weights_(self) -> np.ndarray:
        """What the errors of each member are multiplied by."""
        if not hasattr(self, "_scorer"):
            raise AttributeError("This detector has no member_weights_ yet: call fit first.")
        return self._scorer.member_weights

    @property
    def estimators_samples_(self) -> list[np.ndarray]:
        """The positions of the rows that each member was trained on."""
        left_out = vars(self).get("_left_out")
        if left_out is None:
            raise AttributeError(
                "This detector has no estimators_samples_: it has them once it is fitted with "
                f"threshold='auto' or 'fpr', on {MIN_ROWS} rows or more, with {_MIN_MEMBERS} "
                "members or more and validation_fraction=0."
            )
        return [np.flatnonzero(~member) for member in left_out.T]

    def _learn_errors(self, network, data, calibration, random):
        errors = super()._learn_errors(network, data, calibration, random)
        self._left_out = calibration.left_out
        if hasattr(self, "oob_score_samples_"):  # of an earlier fit
            del self.oob_score_samples_
        if calibration.left_out is not None:
            self.oob_score_samples_ = np.full(len(data.X), np.nan)
            self.oob_score_samples_[calibration.left_out.any(axis=1)] = -errors
        return errors

    def _record(self):
        return DENSE_MEMBERS

    def _calibration(self, rule, X, random):
        if not (self._leaves_out_rows(rule, len(X)) and fits_at_once(*X.shape)):
            return super()._calibration(rule, X, random)
        left_out = left_out_by_members(rule, len(X), self.n_estimators, random)
        return all_rows(len(X))._replace(left_out=left_out)

    def _leaves_out_rows(self, rule, n_samples):
        """Tell whether members leave out rows, if the rows are few enough to be held at once."""
        is_asked_for = needs_unseen_rows(rule) and not self.validation_fraction
        return is_asked_for and self.n_estimators >= _MIN_MEMBERS and n_samples >= MIN_ROWS

    def _check_parameters(self):
        super()._check_parameters()
        sizes = set(member_sizes(self._latent_dim(), self.n_estimators))
        if len(sizes) > 1 and not _acts_on_each_value(self.latent_activation):
            raise ValueError(
                f"latent_activation={self.latent_activation!r} is not known to act on each value "
                "of a code alone, which codes of different sizes need, as they are computed side "
                f"by side: give a single latent_dim, such as {max(sizes)}, or one of Keras' "
                "activations but "
                f"{', '.join(map(repr, _OF_WHOLE_CODES[:-1]))} and {_OF_WHOLE_CODES[-1]!r}."
            )

    def _latent_dim(self) -> int | tuple[int, ...]:
        given: Any = self.latent_dim
        if isinstance(given, Integral):
            return int(given)
        if not len(given) or not all(isinstance(n, Integral) and int(n) > 0 for n in given):
            raise ValueError(
                f"latent_dim must be a positive integer, or one for each member; got {given!r}."
            )
        return tuple(int(size) for size in given)

    def _trims(self):
        given: Any = self.trim_fraction
        if isinstance(given, (str, Real)):
            return (given,)
        if not len(given) or not all(isinstance(n, Real) and 0 <= float(n) <= 0.5 for n in given):
            raise ValueError(
                "trim_fraction must be 'auto', a number in [0, 0.5], or such a number for each "
                f"member; got {given!r}."
            )
        return tuple(given)

    def _layout(self, n_features):
        return Layout((n_features,), self.n_estimators)

    def _chosen_noise(self, extent):
        return 0.0 if self.noise == "auto" and self.dropout else super()._chosen_noise(extent)

    def _blueprint(self, extent, layout, seed):
        self.output_activation_ = self._chosen_output_activation(extent)
        sizes = self._sizes(self.output_activation_, DENSE_MEMBERS, batch_norm=False)
        return BuiltInBlueprint(DENSE_MEMBERS.name, layout, sizes, {}, seed)

    def _check_resumes(self, layout):
        super()._check_resumes(layout)
        n_members = self._network.layout.n_members
        if n_members != self.n_estimators:
            raise ValueError(
                f"{RESUMING} {n_members} autoencoders, but n_estimators={self.n_estimators}: fit "
                "with warm_start=False to start anew."
            )
        self._check_resumes_sizes(DENSE_MEMBERS, batch_norm=False)


def _acts_on_each_value(activation):
    """Tell whether an activation is one of Keras' that acts on each value alone."""
    function = resolve("activations", activation)
    is_of_keras = getattr(function, "__module__", "").split(".")[0] == "keras"
    return is_of_keras and getattr(function, "__name__", None) not in (None, *_OF_WHOLE_CODES)


def leaves_out_rows(detector, n_samples):
    """Tell whether the members of an ensemble would leave out some of so many rows in training.

    Rows too many to be held at once are not considered. Invalid parameters are refused.
    """
    detector._validate_params()
    return detector._leaves_out_rows(detector._checked_rule(), n_samples)
