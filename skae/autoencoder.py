"""The detector: one autoencoder, fitted and scored as scikit-learn's outlier detectors are."""

from math import prod
from numbers import Real

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_array
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skae._keras import is_keras_model
from skae._sklearn_compat import Interval, StrOptions
from skae.architectures import ARCHITECTURES, own_params
from skae.base import error_constraints, in_batches
from skae.fitted_state import BuiltInBlueprint, ConfigBlueprint, FunctionBlueprint
from skae.network_detector import NETWORK_CONSTRAINTS, NetworkDetector, layer_sizes
from skae.residuals import ReconstructionProbability

# What the built-in architectures are built from.
_SIZES = (
    "hidden_layer_sizes",
    "latent_dim",
    "activation",
    "latent_activation",
    "output_activation",
    "dropout",
    "batch_norm",
    "l2",
    "latent_l1",
)

_PROBABILITY = "reconstruction_probability"

# For `hidden_layer_sizes="auto"`: units, and the filters of "conv1d".
_AUTO_UNITS = (128, 64)
_AUTO_FILTERS = (16, 32)


def _has_half(name):
    """Return a check for `available_if`: before fit a network is taken to have both halves."""

    def check(detector):
        network = getattr(detector, "_network", None)
        return network is None or network.has(name)

    return check


class AutoencoderOutlierDetector(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, NetworkDetector
):
    """Outlier detector that scores a row by how badly an autoencoder reconstructs it.

    A neural network learns to reconstruct the rows given to `fit` through a narrow latent layer.
    Rows unlike those come out distorted: their reconstruction error is large [1]_. Train it on
    normal rows only (novelty detection; :class:`skae.FitOnInliers` picks them by their labels), or
    on rows among which a few are anomalies.

    Scale the data first: :class:`~sklearn.preprocessing.MinMaxScaler` or
    :class:`~sklearn.preprocessing.StandardScaler`, in a pipeline.

    Parameters
    ----------
    architecture : {"dense", "conv1d", "vae"}, callable or keras.Model, default="dense"
        The network. The named ones are built from the sizes below: "conv1d" of convolutions, for
        signals; "vae" is a dense variational autoencoder [3]_, which draws the latent code from a
        Gaussian in training and scores by its mean. A function is called as
        `architecture(input_shape, **architecture_params)` and returns a new `keras.Model`, a
        subclassed one too; it is called again when a pickled detector is loaded, so it must be one
        that can be imported. A `keras.Model` is a template: it is cloned with fresh weights and
        never changed; how it was compiled is not looked at. The parameters from
        `hidden_layer_sizes` to `latent_l1` are for the named ones only.
    architecture_params : dict, default=None
        Keyword arguments for the function. For "conv1d" `kernel_size` (default 7), the neighbouring
        steps that a filter sees, and `strides` (2), by how much each layer shortens the signal.
        For "vae" `beta` (0.01), the weight of the Kullback-Leibler divergence in the loss, in units
        of the variance of X.
    input_shape : tuple of int, default=None
        How the network sees a row, such as `(140, 1)`. X itself is always 2-D. None means
        `(n_features,)`, for "conv1d" one channel: `(n_features, 1)`. A row of several channels
        has them step by step.
    hidden_layer_sizes : "auto", int or sequence of int, default="auto"
        Units of the encoder's hidden layers, for "conv1d" filters. The decoder has them the other
        way round. "auto" is `(128, 64)`, for "conv1d" `(16, 32)`.
    latent_dim : int, default=6
        Size of the latent code: the smaller, the less the network can reconstruct.
    activation : str or callable, default="mish"
        Activation of the hidden layers, by Keras' name.
    latent_activation : str or callable, default="linear"
        Activation of the latent layer.
    output_activation : str or callable, default="auto"
        Activation of the output. "auto" is "sigmoid" where the training data lies in [0, 1] and
        "linear" elsewhere; what was taken is in `output_activation_`.
    dropout : float, default=0.0
        Share of each hidden layer's units that is dropped in training, in [0, 1).
    batch_norm : bool, default=False
        Whether hidden layers are normalised over the batch.
    l2 : float, default=0.0
        Penalty of the squared weights in the loss.
    latent_l1 : float, default=0.0
        Penalty of the absolute values of the latent code in the loss: a sparse autoencoder.
    noise : float or "auto", default="auto"
        Standard deviation, in the units of X, of the Gaussian noise that is added to the inputs in
        training, but not to what the network shall return: a denoising autoencoder [2]_. "auto" is
        a tenth of the features' mean standard deviation, and none with `dropout` or a network of
        your own, which bring their own means.
    loss : str, callable or keras.losses.Loss, default="mse"
        What training minimises, by Keras' name. "msle" refuses negative values in X.
    error : {"mse", "mae", "msle", "standardized", "mahalanobis"} or callable, default="mse"
        What a row is scored by. "standardized" divides each feature's squared residual by what is
        usual for it; "mahalanobis" also takes account of residuals that go together. Both learn
        what is usual from the rows that set the offset, and want scaled data. A callable is called
        with X and its reconstruction and returns the error of each feature of each row; their mean
        is the error of the row. For "vae" there is also "reconstruction_probability" [4]_: the
        standardized error, averaged over ten codes drawn from a row's Gaussian, the same each time.
    metrics : sequence of str, callable or keras.metrics.Metric, default=None
        What else `history_` records.
    optimizer : str or keras.optimizers.Optimizer, default="adam"
        An instance is a template: it is never changed.
    learning_rate : float, default="auto"
        "auto" is 0.001 over the first half of the steps, falling to zero as a cosine over the
        second; with an optimizer instance, the instance's own. A float is constant.
    epochs : int, default="auto"
        How often training sees all rows. "auto" makes about 2,000 gradient steps, in at least 2
        and at most 200 epochs.
    batch_size : int, default=128
        Rows of one gradient step.
    trim_fraction : float or "auto", default=0.0
        Share of each batch, in [0, 0.5], that is left out of its loss: the rows reconstructed
        worst. For training data with anomalies in it. "auto" is 0.3, for those who do not know
        whether there are any: it finds much more where there are and a little less where not.
    validation_fraction : float, default=0.0
        Share of the rows, in [0, 1), that is held out of training for the validation curves, early
        stopping and the threshold.
    early_stopping : bool, default=False
        Whether to stop when the validation loss (or, without validation rows, the training loss)
        improves no more. The best weights are restored.
    n_iter_no_change : int, default=10
        Epochs without improvement before early stopping.
    tol : float, default=0.0
        What counts as an improvement, in the unit of the loss.
    threshold : str, float or rule, default="auto"
        The rule of :mod:`skae.thresholds` that sets the offset from the errors of the held-out
        rows, or of the training rows where none are held out, or the short-cut of one: "mean_std"
        (which "auto" is), "quantile", "median_mad", "iqr", "fpr" or "pot". A float is the
        threshold of the error itself.
    contamination : float, default="auto"
        Share of outliers among the rows given to `fit`, in (0, 0.5]: the offset is that quantile of
        all their scores. "auto" leaves the offset to `threshold`.
    callbacks : sequence of keras.callbacks.Callback, default=None
        Copied before each fit. One that listens to batches makes training nearly as slow as
        `keras.Model.fit`, as each batch then comes back to Python.
    warm_start : bool, default=False
        Whether the next `fit` goes on from the present weights. The optimizer starts anew, and
        `history_` is appended to.
    random_state : int, RandomState instance or None, default=None
        Determines the initial weights, the order of the rows, dropout, noise and held-out rows. An
        int gives the same scores each time. None starts from the present state of NumPy's global
        generator, so that `numpy.random.seed` governs it, but does not move that state: two fits
        between which nobody draws from it are alike.
    verbose : int, default=0
        0 is silent, 1 shows one line of progress (in a file, which cannot be written again, only
        the last one), 2 one line an epoch.

    Attributes
    ----------
    autoencoder_, encoder_, decoder_ : keras.Model
        The trained network and its halves, where it shows them (see Notes), not compiled. Changing
        or training them does not change the detector's scores.
    history_ : dict of list of float
        Loss and metrics of each epoch, as Keras records them.
    offset_ : float
        `decision_function` is `score_samples` minus this. The threshold of the error is
        `-offset_`.
    feature_errors_ : ndarray of shape (n_features_in_,)
        Mean error of each feature over the rows that set the offset, or 4,096 or fewer, evenly
        spaced, where they are more: what :func:`skae.inspection.explain` takes for usual.
    n_iter_ : int
        Epochs that the last `fit` ran.
    output_activation_ : str or callable
        Of a named architecture.
    n_features_in_ : int
        Number of features seen during `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, where X has names that are all strings.

    See Also
    --------
    skae.FitOnInliers : Fits a detector, or a pipeline with one, on the rows labelled normal.
    sklearn.ensemble.IsolationForest : Scores a row by how few random splits isolate it.

    Notes
    -----
    Computations run in float32, scores are float64.

    A network shows its halves by attributes `encoder` and `decoder`, by nested models of these
    names, or by a layer named "latent". Only then `transform` and `inverse_transform` exist.

    `sample_weight` counts in the loss, not in the threshold.

    References
    ----------
    .. [1] Hawkins, He, Williams, Baxter (2002). Outlier detection using replicator neural
           networks. DaWaK 2002.
    .. [2] Vincent, Larochelle, Bengio, Manzagol (2008). Extracting and composing robust features
           with denoising autoencoders. ICML 2008.
    .. [3] Kingma, Welling (2014). Auto-encoding variational Bayes. ICLR 2014.
    .. [4] An, Cho (2015). Variational autoencoder based anomaly detection using reconstruction
           probability. Special Lecture on IE 2(1).

    Examples
    --------
    >>> from skae import AutoencoderOutlierDetector
    >>> from skae.datasets import make_heartbeats
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import MinMaxScaler
    >>> X, y = make_heartbeats(500, anomaly_share=0.1, random_state=0)
    >>> detector = make_pipeline(
    ...     MinMaxScaler(), AutoencoderOutlierDetector(latent_dim=4, epochs=20, random_state=0)
    ... )
    >>> detector.fit(X[y == 1]).predict(X[y == -1][:3])
    array([-1, -1, -1])
    """

    _parameter_constraints: dict = {
        **NETWORK_CONSTRAINTS,
        "architecture": [StrOptions(set(ARCHITECTURES)), callable],
        "architecture_params": [dict, None],
        "input_shape": [tuple, list, None],
        "error": error_constraints(_PROBABILITY),
        "hidden_layer_sizes": [StrOptions({"auto"}), *NETWORK_CONSTRAINTS["hidden_layer_sizes"]],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "batch_norm": ["boolean"],
        "latent_l1": [Interval(Real, 0, None, closed="left")],
    }

    _keras_parameters = ("architecture", "optimizer")
    _residual_errors = NetworkDetector._residual_errors | {_PROBABILITY: ReconstructionProbability}

    def __init__(
        self,
        architecture="dense",
        *,
        architecture_params=None,
        input_shape=None,
        hidden_layer_sizes="auto",
        latent_dim=6,
        activation="mish",
        latent_activation="linear",
        output_activation="auto",
        dropout=0.0,
        batch_norm=False,
        l2=0.0,
        latent_l1=0.0,
        noise="auto",
        loss="mse",
        error="mse",
        metrics=None,
        optimizer="adam",
        learning_rate="auto",
        epochs="auto",
        batch_size=128,
        trim_fraction=0.0,
        validation_fraction=0.0,
        early_stopping=False,
        n_iter_no_change=10,
        tol=0.0,
        threshold="auto",
        contamination="auto",
        callbacks=None,
        warm_start=False,
        random_state=None,
        verbose=0,
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

    def transform(self, X):
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
        dtype = np.float64 if getattr(X, "dtype", np.float64) != np.float32 else np.float32
        X = self._checked_rows(X)
        codes = in_batches(self._network.compiled.encode, X)
        return codes.astype(dtype, copy=False)

    @available_if(_has_half("decoder"))
    def inverse_transform(self, X):
        """Return the rows that the decoder makes of latent codes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_codes)
            Latent codes, as `transform` returns them.

        Returns
        -------
        X_original : ndarray of shape (n_samples, n_features), float32
        """
        check_is_fitted(self)
        codes = check_array(X, dtype=np.float32)
        if codes.shape[1] != self._n_features_out:
            raise ValueError(
                f"Latent codes of this detector have {self._n_features_out} columns, "
                f"got {codes.shape[1]}: give what transform returned."
            )
        return in_batches(self._network.compiled.decode, codes)

    @available_if(_has_half("encoder"))
    def get_feature_names_out(self, input_features=None):
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
    def encoder_(self):
        """The half of the network that turns rows into latent codes."""
        return self._public("encoder")

    @property
    def decoder_(self):
        """The half of the network that turns latent codes into rows."""
        return self._public("decoder")

    @property
    def _n_features_out(self):
        return prod(self._network.code_shape)

    def _row_shape(self, n_features):
        is_conv1d = self.architecture == "conv1d"
        shape = (n_features, 1) if is_conv1d else (n_features,)
        if self.input_shape is not None:
            shape = tuple(self.input_shape)
        if is_conv1d and len(shape) != 2:
            raise ValueError(
                "architecture='conv1d' sees a row as (n_steps, n_channels), but got "
                f"input_shape={self.input_shape!r}: for one channel give ({n_features}, 1)."
            )
        if prod(shape) != n_features:
            raise ValueError(
                f"input_shape={self.input_shape!r} stands for {prod(shape)} values a row, but X "
                f"has {n_features} features."
            )
        return shape

    def _chosen_noise(self, X):
        if self.noise == "auto" and (self.dropout or not isinstance(self.architecture, str)):
            return 0.0
        return super()._chosen_noise(X)

    def _check_parameters(self):
        super()._check_parameters()
        if self.error == _PROBABILITY and self.architecture != "vae":
            raise ValueError(
                f"error={_PROBABILITY!r} needs architecture='vae', whose codes have a "
                f"distribution; got architecture={self.architecture!r}."
            )

    def _check_goes_on(self, input_shape):
        super()._check_goes_on(input_shape)
        before = getattr(self._network.blueprint, "architecture", None)
        if isinstance(self.architecture, str) and before != self.architecture:
            raise ValueError(
                f"warm_start=True goes on with {before or 'a network of your own'}, but "
                f"architecture={self.architecture!r}: fit with warm_start=False to start anew."
            )

    def _learn_errors(self, X, reconstruction):
        if self.error == _PROBABILITY:
            reconstruction = self._network.compiled.draws(X)
        super()._learn_errors(X, reconstruction)

    def _batch_errors(self, X, measure):
        if not isinstance(self._fitted_error, ReconstructionProbability):
            return super()._batch_errors(X, measure)
        X = X.astype(np.float32, copy=False)
        return measure(self._fitted_error, X, self._network.compiled.draws(X))

    def _blueprint(self, X, input_shape, seed):
        if is_keras_model(self.architecture):
            return ConfigBlueprint.of_template(self.architecture, seed)
        if callable(self.architecture):
            params = dict(self.architecture_params or {})
            return FunctionBlueprint(self.architecture, input_shape, params, seed)
        self.output_activation_ = self._chosen_output_activation(X)
        params = {name: getattr(self, name) for name in _SIZES} | self._own_params()
        params["hidden_layer_sizes"] = self._layer_sizes()
        params["output_activation"] = self.output_activation_
        return BuiltInBlueprint(self.architecture, input_shape, params, seed)

    def _layer_sizes(self):
        if isinstance(self.hidden_layer_sizes, str):
            return _AUTO_FILTERS if self.architecture == "conv1d" else _AUTO_UNITS
        return layer_sizes(self.hidden_layer_sizes)

    def _own_params(self):
        """Return what a built-in architecture takes beside the sizes."""
        given, known = dict(self.architecture_params or {}), own_params(self.architecture)
        if unknown := sorted(set(given) - set(known)):
            raise ValueError(
                f"architecture={self.architecture!r} takes "
                f"{sorted(known) or 'no'} architecture_params; got {unknown}."
            )
        for name, value in given.items():
            if not isinstance(value, Real) or not np.isfinite(value):
                raise TypeError(f"architecture_params: {name} must be a number, got {value!r}.")
        return known | given

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


# From outside: the wrapper for `set_output` that TransformerMixin puts around `transform` when the
# class is made would hide the condition.
AutoencoderOutlierDetector.transform = available_if(_has_half("encoder"))(
    AutoencoderOutlierDetector.transform
)
