"""What cannot be converted, and what to do instead."""

from skae._detectors.base import scorer_of
from skae._engines.keras.loading import is_keras_model
from skae._engines.numpy import can_compute
from skae._network.network import Network
from skae.onnx._errors import can_measure
from skae.preprocessing import ColumnGroupScaler


def check_steps(estimator):
    """Refuse a pipeline, or what is around one, with a scaler that has no nodes.

    Raises
    ------
    TypeError
        If there is a `ColumnGroupScaler` in it.
    """
    if isinstance(estimator, ColumnGroupScaler):
        raise TypeError(
            "ColumnGroupScaler cannot be converted to ONNX: convert the detector behind it, and "
            "encode and scale rows in Python, or serve the pickled pipeline, which needs no "
            "TensorFlow."
        )
    named = (*getattr(estimator, "steps", ()), *getattr(estimator, "transformer_list", ()))
    inner = [step for _, step in named]
    inner += [step for _, step, _ in getattr(estimator, "transformers_", ())]
    inner += getattr(estimator, "estimators_", ())
    inner += [estimator.estimator_] if hasattr(estimator, "estimator_") else []
    for one in inner:
        check_steps(one)


def check_convertible(detector):
    """Refuse a fitted detector whose network, model or error has no nodes.

    Raises
    ------
    TypeError
        If it has a network of the user's, or activations or an error that are functions.
    """
    name, scorer = type(detector).__name__, scorer_of(detector)
    error = getattr(detector, "error_", detector.error)
    if not (error == "combined" or all(can_measure(e.measure) for e in _plain_errors(scorer))):
        raise TypeError(
            f"{name} with error={error!r} cannot be converted to ONNX, which knows no functions of "
            "Python: choose one of the named errors."
        )
    if isinstance(scorer.model, Network):
        _check_network(name, detector, scorer.model.blueprint)
    elif is_keras_model(detector.estimator_):
        raise TypeError(
            f"{name} around the keras.Model {detector.estimator_.name!r} cannot be converted to "
            "ONNX here: only networks that skae builds are. Export that model by Keras, "
            "`model.export(path, format='onnx')`, and compute the error where it is served."
        )


def _plain_errors(scorer):
    return [error for error, _ in scorer.weighted_errors]


def _check_network(name, detector, blueprint):
    if can_compute(blueprint):
        return
    if not hasattr(blueprint, "sizes"):
        raise TypeError(
            f"{name} with architecture={detector.architecture!r} cannot be converted to ONNX here: "
            "only the named architectures are. Export the network by Keras, "
            "`autoencoder_.export(path, format='onnx')`, and compute the error where it is served."
        )
    sizes = blueprint.sizes
    names = ("activation", "latent_activation", "output_activation")
    functions = [f"{n}={getattr(sizes, n)!r}" for n in names if callable(getattr(sizes, n))]
    raise TypeError(
        f"{name} with {', '.join(functions) or 'these activations'} cannot be converted to ONNX, "
        "which knows no functions of Python: choose activations by Keras' names."
    )
