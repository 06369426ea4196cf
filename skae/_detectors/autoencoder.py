"""The detector: one autoencoder, fitted and scored as scikit-learn's outlier detectors are."""

from collections.abc import Callable, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_array
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skae._detectors.base import error_constraints
from skae._detectors.incremental import IncrementalDetector
from skae._detectors.resuming import check_same, raise_changed
from skae._detectors.trained import NETWORK_CONSTRAINTS
from skae._engines.keras.blueprints import BuiltInBlueprint, ConfigBlueprint, FunctionBlueprint
from skae._engines.keras.loading import is_keras_model
from skae._engines.options import Layout
from skae._network.architectures import ARCHITECTURES, input_shape_of
from skae._network.scorer import COMBINED, in_batches
from skae._sklearn_compat import StrOptions

if TYPE_CHECKING:
    import keras

# Errors that belong to an architecture, and the architectures that have them.
_OWN_ERRORS = {
    name: [record.name for record in ARCHITECTURES.values() if name in record.own_errors]
    for name in sorted({name for record in ARCHITECTURES.values() for name in record.own_errors})
}


def _has_half(name):
    """Return a check for `available_if`: before fit, a network is assumed to have both halves."""

    def check(detector):
        scorer = getattr(detector, "_scorer", None)
        return scorer is None or scorer.model.has(name)

    return check


class AutoencoderOutlierDetector(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, IncrementalDetector
):
    """Outlier detector that scores a row by how badly an autoencoder reconstructs it.

    A neural network learns to reconstruct the rows given to `fit` through a narrow latent layer.
    Rows unlike them come out distorted: their reconstruction error is large [1]_. Train it on
    normal rows only (novelty detection; :class:`skae.FitOnInliers` picks them by their labels), or
    on rows with a few outliers among them.

    Scale the data first: :class:`~sklearn.preprocessing.MinMaxScaler` or
    :class:`~sklearn.preprocessing.StandardScaler`, in a pipeline.

    Parameters
    ----------
    architecture : {"dense", "conv1d", "lstm", "vae"}, callable or keras.Model, default="dense"
        The network. The named ones are built from the sizes below: "conv1d" of convolutions and
        "lstm" of recurrent layers [5]_, both for signals; "vae" is a dense variational autoencoder
        [3]_, which draws the latent code from a Gaussian in training and scores by its mean. A
        function is called as `architecture(input_shape, **architecture_params)` and returns a new
        `keras.Model`, which may be subclassed; it is called twice, to make sure that each model is
        new, and again when a pickled detector is loaded, so it must be importable. A `keras.Model`
        is a template: it is cloned with fresh weights, but keeps what its layers have adapted to,
        and is never changed; its compile settings are ignored. The parameters from
        `hidden_layer_sizes` to `latent_l1` are for the named ones only.
    architecture_params : dict or None, default=None
        Keyword arguments for the function. For "conv1d" `kernel_size` (default 7), how many
        neighboring steps a filter sees, and `strides` (2), by how much each layer shortens the
        signal. For "vae" `beta` (0.01), the weight of the Kullback-Leibler divergence in the loss,
        in units of the variance of X.
    input_shape : tuple of int or None, default=None
        How the network sees a row, such as `(140, 1)`. X itself is always 2-D. None means
        `(n_features,)`, or, for "conv1d" and "lstm", one channel: `(n_features, 1)`. A row of
        several channels is laid out step by step, as `(n_steps, n_channels)`.
    hidden_layer_sizes : "auto", int or sequence of int, default="auto"
        Units of the encoder's hidden layers; for "conv1d" filters, for "lstm" units of the
        recurrent layers. The decoder has them in reverse order. "auto" is `(128, 64)`, for "conv1d"
        `(16, 32)`, for "lstm" `(32,)`.
    latent_dim : int, default=6
        Size of the latent code: the smaller, the less the network can reconstruct.
    activation : str or callable, default="mish"
        Activation of the hidden layers, by Keras' name.
    latent_activation : str, callable or None, default="linear"
        Activation of the latent layer.
    output_activation : str, callable or None, default="auto"
        Activation of the output. "auto" is "sigmoid" where the training data lies in [0, 1] and
        "linear" elsewhere; `output_activation_` holds the choice.
    dropout : float, default=0.0
        Share of each hidden layer's units dropped in training, in [0, 1).
    batch_norm : bool, default=False
        Whether hidden layers are normalized over the batch.
    l2 : float, default=0.0
        Penalty on the squared weights in the loss.
    latent_l1 : float, default=0.0
        Penalty on the absolute values of the latent code in the loss: a sparse autoencoder.
    noise : float or "auto", default="auto"
        Standard deviation, in the units of X, of the Gaussian noise added to the inputs in training
        but not to the target: a denoising autoencoder [2]_. "auto" is a tenth of the features' mean
        standard deviation, and zero with `dropout` or a network of your own, which bring their own
        regularization.
    loss : str, callable or keras.losses.Loss, default="auto"
        What training minimizes, by Keras' name. "msle" refuses negative values in X. "auto" is
        log(1 + e) for a row whose mean squared error is e times the squared mean deviation of the
        features, so that rows far off pull less; for other architectures than "dense" it is "mse".
    error : {"auto", "combined", "mse", "mae", "msle", "standardized", "mahalanobis"} or callable, \
            default="auto"
        What a row is scored by. "combined" adds how badly the row is reconstructed, how unlike it
        is to the known row with the nearest code [6]_, and how far its code lies from the others
        [7]_; `error_parts` returns them. "auto" is "combined" for the architectures "dense" and
        "vae", and "mse" for others. "standardized" divides each feature's squared residual by its
        typical size; "mahalanobis" also accounts for correlated residuals. Both learn from the
        training rows, and expect scaled data. A callable is called with rows and their
        reconstructions, both read-only, and returns the error of each feature of each row; their
        mean is the error of the row. It sees the rows in batches, so it must judge each row on its
        own. For "vae" there is also "reconstruction_probability" [4]_: the standardized error,
        averaged over ten codes drawn from a row's Gaussian, the same each time.
    metrics : sequence of (str, callable or keras.metrics.Metric) or None, default=None
        What else `history_` records.
    optimizer : str or keras.optimizers.Optimizer, default="adam"
        An instance is a template: it is never changed.
    learning_rate : float or "auto", default="auto"
        "auto" is 0.001 over the first half of the steps, then falls to zero along a cosine; with an
        optimizer instance, it is the instance's own. A float is constant. A callback may assign
        another rate: from then on "auto" leaves the rate to the callbacks.
    epochs : int or "auto", default="auto"
        How many times training sees all rows. "auto" makes about 2,000 gradient steps, in at least
        2 and at most 200 epochs.
    batch_size : int, default=128
        Rows per gradient step.
    trim_fraction : float or "auto", default=0.0
        Share of each batch, in [0, 0.5], left out of its loss: the rows reconstructed worst. For
        training data with outliers in it. "auto" is 0.5, for when you know that there are any.
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
        rows. It and "fpr" use errors of rows not trained on. If `validation_fraction` holds none
        out, these are a twentieth of 1,000 rows or more; of fewer, the errors come from a network
        that is trained on a part of them before the one that is kept (with `callbacks` or
        `warm_start` that part is all it is trained on), and below 20 rows, with a warning, from the
        training rows. The other rules use the errors of the held-out rows, or of the training rows
        if none are held out.
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
    autoencoder_, encoder_, decoder_ : keras.Model
        The trained network and its halves, if it shows them (see Notes), not compiled. Changing or
        training them does not change the detector's scores.
    history_ : dict of list of float
        Loss and metrics of each epoch, as Keras records them.
    error_ : str or callable
        What rows are scored by: `error`, or what "auto" stands for.
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
        The output activation of a named architecture.
    n_features_in_ : int
        Number of features seen during `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if X has column names that are all strings.

    See Also
    --------
    skae.FitOnInliers : Fits a detector, or a pipeline with one, on the rows labeled normal.
    sklearn.ensemble.IsolationForest : Scores a row by how few random splits isolate it.

    Notes
    -----
    Computations run in float32; scores are float64. A network of your own computes in the dtype
    policy that Keras has when `fit` is called, and keeps it; the named ones follow no policy.

    Cells of X may be missing (NaN): the network sees the mean of the column in their place, and the
    loss and the error are means over the cells that are there. Training rows need a value each, and
    so do their columns; later, a row without any has the score minus infinity, with a warning.

    A network shows its halves by attributes `encoder` and `decoder`, by nested models of these
    names, or by a layer named "latent". Without halves there is no `transform` or
    `inverse_transform`.

    The recurrent layers of "lstm" have their own activations; `activation` is that of the dense
    layer behind the code.

    `sample_weight` counts in the loss and in the means and covariances of the combined error, not
    in the threshold. Rows of weight zero are as if not given.

    The combined error keeps the codes of at most 128 training rows, drawn at random, and what the
    decoder makes of them: a fitted detector, and its pickle, contain data derived from single
    training rows. Neither `reconstruction_error` nor the Keras model alone gives its scores.

    References
    ----------
    .. [1] Hawkins, He, Williams, Baxter (2002). Outlier detection using replicator neural
           networks. DaWaK 2002.
    .. [2] Vincent, Larochelle, Bengio, Manzagol (2008). Extracting and composing robust features
           with denoising autoencoders. ICML 2008.
    .. [3] Kingma, Welling (2014). Auto-encoding variational Bayes. ICLR 2014.
    .. [4] An, Cho (2015). Variational autoencoder based anomaly detection using reconstruction
           probability. Special Lecture on IE 2(1).
    .. [5] Malhotra, Ramakrishnan, Anand, Vig, Agarwal, Shroff (2016). LSTM-based encoder-decoder
           for multi-sensor anomaly detection. ICML 2016 Anomaly Detection Workshop.
    .. [6] Gong, Liu, Le, Saha, Mansour, Venkatesh, van den Hengel (2019). Memorizing normality to
           detect anomaly: memory-augmented deep autoencoder. ICCV 2019.
    .. [7] Denouden, Salay, Czarnecki, Abdelzad, Phan, Vernekar (2018). Improving reconstruction
           autoencoder out-of-distribution detection with Mahalanobis distance. arXiv:1812.02765.

    Examples
    --------
    >>> from skae import AutoencoderOutlierDetector
    >>> from skae.datasets import make_heartbeats
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import MinMaxScaler
    >>> X, y = make_heartbeats(500, anomaly_share=0.1, random_state=0)
    >>> detector = make_pipeline(
    ...     MinMaxScaler(), AutoencoderOutlierDetector(epochs=50, random_state=0)
    ... )
    >>> detector.fit(X[y == 1]).predict(X[y == -1][1:4])
    array([-1, -1, -1])
    """

    _parameter_constraints: dict = {
        **NETWORK_CONSTRAINTS,
        "architecture": [StrOptions(set(ARCHITECTURES)), callable],
        "architecture_params": [dict, None],
        "input_shape": [tuple, list, None],
        "error": error_constraints({"auto", *_OWN_ERRORS}),
        "batch_norm": ["boolean"],
    }

    _keras_parameters = ("architecture", "optimizer")

    def __init__(
        self,
        architecture: "str | Callable | keras.Model" = "dense",
        *,
        architecture_params: dict | None = None,
        input_shape: Sequence[int] | None = None,
        hidden_layer_sizes: str | int | Sequence[int] = "auto",
        latent_dim: int = 6,
        activation: str | Callable = "mish",
        latent_activation: str | Callable | None = "linear",
        output_activation: str | Callable | None = "auto",
        dropout: float = 0.0,
        batch_norm: bool = False,
        l2: float = 0.0,
        latent_l1: float = 0.0,
        noise: float | str = "auto",
        loss: str | Callable = "auto",
        error: str | Callable = "auto",
        metrics: Sequence | None = None,
        optimizer: "str | keras.optimizers.Optimizer" = "adam",
        learning_rate: float | str = "auto",
        epochs: int | str = "auto",
        batch_size: int = 128,
        trim_fraction: float | str = 0.0,
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
        self.architecture = architecture
        self.architecture_params = architecture_params
        self.input_shape = input_shape
        self.hidden_layer_sizes = hidden_layer_sizes
        self.latent_dim = latent_dim
        self.activation = activation
        self.latent_activation = latent_activation
        self.output_activation = output_activation
        self.dropout = dropout
        self.batch_norm = batch_norm
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

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Return the latent code of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows to encode.

        Returns
        -------
        codes : ndarray of shape (n_samples, n_codes)
            Of the floating dtype of X.
        """
        dtypes = getattr(X, "dtypes", [getattr(X, "dtype", np.float64)])  # of a frame, or an array
        dtype = np.float32 if all(dtype == np.float32 for dtype in dtypes) else np.float64
        X = self._checked_rows(X)
        codes = self._in_batches(self._network.forward.encode, X)
        return codes.astype(dtype, copy=False)

    @available_if(_has_half("decoder"))
    def inverse_transform(self, X: ArrayLike) -> np.ndarray:
        """Return the rows decoded from latent codes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_codes)
            Latent codes, as `transform` returns them.

        Returns
        -------
        X_original : ndarray of shape (n_samples, n_features)
            Of the floating dtype of the codes.
        """
        check_is_fitted(self)
        codes = check_array(X, dtype=[np.float64, np.float32])
        if codes.shape[1] != self._n_features_out:
            raise ValueError(
                f"Latent codes of this detector have {self._n_features_out} columns, "
                f"got {codes.shape[1]}: give what transform returned."
            )
        return self._in_batches(self._network.forward.decode, codes).astype(codes.dtype, copy=False)

    @available_if(_has_half("encoder"))
    def get_feature_names_out(self, input_features: object = None) -> np.ndarray:
        """Return the names of the columns of the latent codes.

        Parameters
        ----------
        input_features : Ignored
            Not used, present for API consistency by convention.

        Returns
        -------
        names : ndarray of str
            Such as "autoencoderoutlierdetector0".
        """
        return super().get_feature_names_out(input_features)

    @property
    def encoder_(self) -> "keras.Model":
        """The half of the network that turns rows into latent codes."""
        return self._public("encoder")

    @property
    def decoder_(self) -> "keras.Model":
        """The half of the network that turns latent codes into rows."""
        return self._public("decoder")

    def _in_batches(self, function, rows):
        return in_batches(function, rows, self._network.forward.batching)

    @property
    def _n_features_out(self):
        return prod(self._network.code_shape)

    def _record(self):
        return ARCHITECTURES[self.architecture] if isinstance(self.architecture, str) else None

    def _layout(self, n_features):
        return Layout(input_shape_of(self.architecture, self.input_shape, n_features))

    def _chosen_noise(self, extent):
        if self.noise == "auto" and (self.dropout or not isinstance(self.architecture, str)):
            return 0.0
        return super()._chosen_noise(extent)

    def _check_parameters(self):
        super()._check_parameters()
        if self.error == COMBINED and not isinstance(self.architecture, str):
            raise ValueError(
                f"error={COMBINED!r} compares latent codes, and is there for the named "
                f"architectures only; got architecture={self.architecture!r}. Give error='mse'."
            )
        owners = _OWN_ERRORS.get(self.error) if isinstance(self.error, str) else None
        if owners and not (isinstance(self.architecture, str) and self.architecture in owners):
            raise ValueError(
                f"error={self.error!r} needs architecture={' or '.join(map(repr, owners))}, whose "
                f"codes have a distribution; got architecture={self.architecture!r}."
            )

    def _check_resumes(self, layout):
        super()._check_resumes(layout)
        before = self._network.blueprint
        if not before.is_of(self.architecture):
            name = getattr(before, "architecture", "another network of your own")
            raise_changed(name, "architecture", self.architecture)
        if isinstance(self.architecture, str):
            record = ARCHITECTURES[self.architecture]
            self._check_resumes_sizes(record, batch_norm=self.batch_norm)
            params = record.params(self.architecture_params)
            check_same({"architecture_params": before.own_params}, {"architecture_params": params})
        elif not is_keras_model(self.architecture):
            params = dict(self.architecture_params or {})
            check_same({"architecture_params": before.params}, {"architecture_params": params})

    def _blueprint(self, extent, layout, seed):
        if is_keras_model(self.architecture):
            return ConfigBlueprint.of_template(self.architecture, seed)
        if callable(self.architecture):
            params = dict(self.architecture_params or {})
            return FunctionBlueprint(self.architecture, layout.input_shape, params, seed)
        record = ARCHITECTURES[self.architecture]
        self.output_activation_ = self._chosen_output_activation(extent)
        sizes = self._sizes(self.output_activation_, record, batch_norm=self.batch_norm)
        own_params = record.params(self.architecture_params)
        return BuiltInBlueprint(record.name, layout, sizes, own_params, seed)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


# From outside: the wrapper for `set_output` that TransformerMixin puts around `transform` when the
# class is made would hide the condition.
AutoencoderOutlierDetector.transform = available_if(_has_half("encoder"))(
    AutoencoderOutlierDetector.transform
)
