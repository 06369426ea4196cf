"""A trained network as plain data: how to build it, and its weights.

The arrays are the truth. Live models are built from them when first asked for and are never
pickled, so that a pickle's bytes depend on nothing but the network, and loading one needs no
TensorFlow.
"""

import json
import warnings

import numpy as np
from sklearn.base import BaseEstimator

from skae._keras import is_keras_model, load_keras, python_random_borrowed
from skae.architectures import BUILDERS
from skae.architectures.parts import output_shape
from skae.compiled import FORWARDS, graph_settings
from skae.forward import CompiledNetwork, ForwardFunctions


class BuiltInBlueprint:
    """Builds a network of one of skae's own architectures from its sizes."""

    def __init__(self, architecture, input_shape, params, seed):
        self.architecture = architecture
        self.input_shape = input_shape
        self.params = params
        self.seed = seed

    @property
    def n_members(self):
        """How many members the network has, or None for a network that is one."""
        return self.params.get("n_members")

    def build(self, quick=True):
        """Build the network with the initial weights that its seed stands for.

        What users get hold of is not `quick`: Keras must be able to load it.
        """
        build = BUILDERS[self.architecture]
        return build(self.input_shape, **self.params, seed=self.seed, quick=quick)

    def graph_key(self):
        """Return what shapes the network's graph, or None where the user's functions do."""
        if any(callable(value) for value in self.params.values()):
            return None
        return (self.architecture, self.input_shape, *sorted(self.params.items()))


class ConfigBlueprint:
    """Builds a network from the configuration that Keras writes of it."""

    n_members = None

    def __init__(self, config):
        self.config = config

    @classmethod
    def of_template(cls, template, seed):
        """Return the blueprint of a model with the structure of `template` and weights of its own.

        Raises
        ------
        ValueError
            If Keras cannot build such a model from the template's configuration.
        """
        try:
            blueprint = cls(_config(template, np.random.default_rng(seed)))
            blueprint.build()
        except Exception as error:
            raise ValueError(
                f"architecture={template.name!r} is a keras.Model that Keras cannot clone "
                f"({type(error).__name__}: {str(error).splitlines()[0]}). Give a function that "
                "returns the model instead: architecture=lambda input_shape: ..."
            ) from error
        return blueprint

    def graph_key(self):
        """Return None: the graphs of a user's network are its own."""
        return

    def build(self, quick=True):
        """Build the network with the initial weights that its seeds stand for."""
        return load_keras().models.model_from_json(self.config)


class FunctionBlueprint:
    """Builds a network by calling the user's function."""

    n_members = None

    def __init__(self, function, input_shape, params, seed):
        self.function = function
        self.input_shape = input_shape
        self.params = params
        self.seed = seed

    def graph_key(self):
        """Return None: the graphs of a user's network are its own."""
        return

    def build(self, quick=True):
        """Call the function; layers that were given no seed take theirs from ours."""
        keras = load_keras()
        with python_random_borrowed(self.seed):
            model = self._called()
            if not isinstance(model, keras.Model):
                raise TypeError(
                    "architecture must return a keras.Model; "
                    f"{self.function!r} returned {type(model).__name__}."
                )
            _output_shape(model, self.input_shape)  # which builds a model that was not yet
        return model

    def _called(self):
        try:
            return self.function(self.input_shape, **self.params)
        except Exception as error:
            error.add_note(
                "skae called it as architecture(input_shape, **architecture_params), with "
                f"input_shape={self.input_shape} and architecture_params={self.params}."
            )
            raise


class NetworkState:
    """A network's blueprint and weights, and the live models that are built from them.

    Parameters
    ----------
    blueprint : ConfigBlueprint or FunctionBlueprint
        How to build the network.
    input_shape : tuple of int
        The shape of one row as the network takes it.
    weights : list of ndarray
        As `keras.Model.get_weights` returns them.
    code_shape : tuple of int or None
        The shape of one latent code, None for a network that shows no encoder.
    has_decoder : bool
        Whether it shows a decoder.
    """

    def __init__(self, blueprint, input_shape, weights, code_shape, has_decoder):
        self.blueprint = blueprint
        self.input_shape = input_shape
        self.weights = weights
        self.code_shape = code_shape
        self.has_decoder = has_decoder
        self._live = {}

    @classmethod
    def of_trained(cls, blueprint, input_shape, model):
        """Return the state of a model that has just been trained."""
        functions = _forward_functions(blueprint, input_shape, lambda: model)
        weights = model.get_weights()
        state = cls(blueprint, input_shape, weights, functions.code_shape, functions.has_decoder)
        state._live["compiled"] = CompiledNetwork(functions, weights)
        return state

    def has(self, half):
        """Tell whether the network shows an "encoder" or a "decoder"; loads no TensorFlow."""
        return self.code_shape is not None and (half == "encoder" or self.has_decoder)

    @property
    def compiled(self):
        """The network that computes scores. Nobody else gets hold of its weights."""
        if "compiled" not in self._live:
            functions = _forward_functions(self.blueprint, self.input_shape, self.blueprint.build)
            self._live["compiled"] = CompiledNetwork(functions, self.weights)
        return self._live["compiled"]

    @property
    def public(self):
        """A model from the same arrays, and its halves, for the user to look at or change."""
        if "public" not in self._live:
            self._live["public"] = ForwardFunctions(
                self.build(), self.input_shape, self.blueprint.n_members
            )
        return self._live["public"]

    def build(self):
        """Build the model with its trained weights."""
        model = build_network(self.blueprint, self.input_shape, quick=False)
        model.set_weights(self.weights)
        return model

    def __getstate__(self):
        return {**vars(self), "_live": {}}


def _forward_functions(blueprint, input_shape, model):
    """Return the functions of a network, made from a model of it; a built-in one's are shared.

    They never look at the weights of the model, which may go on to be trained.
    """
    key = blueprint.graph_key()

    def make():
        return ForwardFunctions(model(), input_shape, blueprint.n_members)

    return make() if key is None else FORWARDS.shared((key, graph_settings()), make)


def build_network(blueprint, input_shape, quick=True):
    """Build a network, and make sure that what goes in comes out in the same shape."""
    model = blueprint.build(quick)
    members = () if blueprint.n_members is None else (blueprint.n_members,)
    check_reconstructs(model, (*members, *input_shape))
    return model


def check_reconstructs(model, input_shape):
    """Make sure that a network takes rows of `input_shape` and returns rows of that shape.

    Raises
    ------
    ValueError
        If it does not.
    """
    came = _output_shape(model, input_shape)
    if came != input_shape:
        raise ValueError(
            f"The network {model.name!r} must return rows of the shape it takes: "
            f"expected output shape {input_shape}, got {came}."
        )


def _output_shape(model, input_shape):
    try:
        return output_shape(model, input_shape)
    except Exception as error:
        raise ValueError(
            f"The network {model.name!r} does not take rows of shape {input_shape}: {error}"
        ) from error


def _config(model, generator=None):
    """Return Keras' configuration of a model as JSON, with new seeds from `generator`."""
    with warnings.catch_warnings():
        # Of what the model was compiled with, which is left out.
        warnings.filterwarnings("ignore", message="The object being serialized includes a `lambda`")
        config = json.loads(model.to_json())
    config.pop("compile_config", None)
    config = _named_by_keras(config)
    return json.dumps(config if generator is None else _reseeded(config, generator))


def _named_by_keras(config):
    """Leave out the names that others, as scikeras does, register Keras' own classes under."""
    if isinstance(config, list):
        return [_named_by_keras(item) for item in config]
    if not isinstance(config, dict):
        return config
    config = {key: _named_by_keras(item) for key, item in config.items()}
    if "registered_name" in config and str(config.get("module")).split(".")[0] == "keras":
        config["registered_name"] = None
    return config


def _reseeded(config, generator):
    if isinstance(config, list):
        return [_reseeded(item, generator) for item in config]
    if not isinstance(config, dict):
        return config
    return {
        key: int(generator.integers(2**31)) if key == "seed" else _reseeded(item, generator)
        for key, item in config.items()
    }


def clone_sharing_models(estimator, names):
    """Clone an estimator, with its Keras objects among the parameters `names` shared.

    They are templates, or used as they are, and never changed. Copying them would go through Keras'
    files, cannot be done with every class, and draws from Python's own generator.
    """
    shared = {name: getattr(estimator, name) for name in names}
    shared = {name: value for name, value in shared.items() if _is_keras_object(value)}
    twin = object.__new__(type(estimator))
    vars(twin).update(vars(estimator))
    vars(twin).update(dict.fromkeys(shared))
    return BaseEstimator.__sklearn_clone__(twin).set_params(**shared)


def _is_keras_object(value):
    return is_keras_model(value) or hasattr(value, "apply_gradients")


def pack_parameter(value):
    """Return a Keras model or optimizer as plain data, anything else as it is.

    Keras' own pickles carry the time of day: two of one object differ.
    """
    if is_keras_model(value):
        return {"keras_model": _config(value), "weights": value.get_weights()}
    if hasattr(value, "apply_gradients"):
        return {"keras_optimizer": json.dumps(load_keras().optimizers.serialize(value))}
    return value


def unpack_parameter(value):
    """Return what `pack_parameter` was given."""
    if not isinstance(value, dict):
        return value
    if "keras_model" in value:
        with python_random_borrowed(0):
            model = ConfigBlueprint(value["keras_model"]).build()
        model.set_weights(value["weights"])
        return model
    if "keras_optimizer" in value:
        return load_keras().optimizers.deserialize(json.loads(value["keras_optimizer"]))
    return value
