"""How to build a network: plain data that can be pickled, and Keras models made from it."""

import json
import warnings
from functools import partial
from importlib import import_module

import numpy as np

from skae._engines.keras.forks import check_process
from skae._engines.keras.halves import output_shape
from skae._engines.keras.loading import (
    is_keras_model,
    load_keras,
    seeded_python_random,
    summary,
)
from skae._engines.keras.settings import Settings
from skae._engines.keras.states import (
    HOW_TO_KEEP_STATE,
    all_layers,
    computes_alike,
    layer_states,
    restore_states,
)

# They read a TensorFlow SavedModel from a path, and a pickle of PyTorch. Keras' safe mode refuses
# the one since 3.13.2, the other since 3.11.3.
_FOREIGN_LAYERS = {"TFSMLayer", "TorchModuleWrapper"}


class BuiltInBlueprint:
    """Builds a network of one of skae's own architectures.

    Parameters
    ----------
    architecture : str
        The name of its module in `skae._engines.keras.architectures`.
    layout : Layout
        How rows are laid out.
    sizes : Sizes
        Its layers.
    own_params : dict
        What the architecture takes besides the sizes.
    seed : int
        Of the initial weights.

    Attributes
    ----------
    settings : Settings
        Under which it is built and traced, whatever those of the process.
    """

    def __init__(self, architecture, layout, sizes, own_params, seed):
        self.settings = Settings.of_built_in()
        self.architecture = architecture
        self.layout = layout
        self.sizes = sizes
        self.own_params = own_params
        self.seed = seed

    def build(self, fast_ops=True):
        """Build the network with the initial weights of its seed.

        Models for users have no `fast_ops`: Keras must be able to load them.
        """
        module = import_module(f"skae._engines.keras.architectures.{self.architecture}")
        with self.settings.applied():
            return module.build(
                self.layout, self.sizes, seed=self.seed, fast_ops=fast_ops, **self.own_params
            )

    def is_of(self, architecture):
        """Tell whether it builds this `architecture`; its sizes may differ."""
        return isinstance(architecture, str) and architecture == self.architecture

    def graph_key(self):
        """Return what shapes the network's graph, or None where the user's functions do."""
        sizes = self.sizes.key()
        if sizes is None:
            return None
        own_params = sorted(self.own_params.items())
        return (self.architecture, self.layout, self.settings, *sizes, *own_params)


class ConfigBlueprint:
    """Builds a network from its Keras configuration.

    Parameters
    ----------
    config : str
        As `config_of` returns it.
    states : dict, default={}
        What its layers know besides their weights, as `layer_states` returns it.
    """

    def __init__(self, config, states=None):
        self.settings = Settings.current()
        self.config = config
        self.states = states or {}

    @classmethod
    def of_template(cls, template, seed):
        """Return the blueprint of a model with the structure of `template` and weights of its own.

        What layers have adapted to stays: statistics of data are not what training learns.

        Raises
        ------
        ValueError
            If Keras cannot build such a model from the template's configuration, or it would
            compute something else.
        """
        check_process()
        try:
            config = config_of(template, np.random.default_rng(seed))
            blueprint = cls(config, layer_states(template))
            model = blueprint.build()
        except Exception as error:
            raise ValueError(
                f"architecture={template.name!r} is a keras.Model that Keras cannot clone "
                f"({summary(error)}). Give a function that "
                "returns the model instead: architecture=lambda input_shape: ..."
            ) from error
        if not _is_faithful(template, model):
            raise ValueError(
                f"architecture={template.name!r} is a keras.Model that cannot be cloned: one made "
                "from its configuration computes something else with the same weights. "
                f"{HOW_TO_KEEP_STATE}"
            )
        return blueprint

    def is_of(self, architecture):
        """Tell whether it builds networks with the structure of this template."""
        if not is_keras_model(architecture):
            return False
        configs = (json.loads(self.config), json.loads(config_of(architecture)))
        # Each network has seeds of its own.
        before, now = (_reseeded(config, np.random.default_rng(0)) for config in configs)
        return before == now

    def graph_key(self):
        """Return None: the graphs of a user's network are not shared."""
        return

    def build(self, fast_ops=True):
        """Build the network with the initial weights of its seeds.

        Keras does this in its safe mode, which runs no code of the configuration.

        Raises
        ------
        ValueError
            If the configuration, which may come from a file, is not that of a network, or has a
            layer that is not made of Keras' operations.
        """
        if foreign := sorted(_FOREIGN_LAYERS & set(_class_names(json.loads(self.config)))):
            raise ValueError(
                f"The network has a {' and a '.join(foreign)}, which may run any code when it is "
                "rebuilt: use layers of Keras, or a class of your own, registered with "
                "keras.saving.register_keras_serializable."
            )
        with self.settings.applied():
            model = load_keras().models.model_from_json(self.config)
            if not is_keras_model(model):
                raise ValueError(
                    "Expected the configuration of a keras.Model, got that of "
                    f"{type(model).__name__}."
                )
            restore_states(model, self.states)
            return model


class FunctionBlueprint:
    """Builds a network by calling the user's function.

    Parameters
    ----------
    function : callable
        Called as `function(input_shape, **params)`.
    input_shape : tuple of int
        The shape of a row.
    params : dict
        Its other arguments.
    seed : int
        Of what in the network has no seed of its own.

    Attributes
    ----------
    states : dict or None
        What the layers knew besides their weights when the network was first built.
    """

    def __init__(self, function, input_shape, params, seed):
        self.settings = Settings.current()
        self.function = function
        self.input_shape = input_shape
        self.params = params
        self.seed = seed
        self.states = None

    def is_of(self, architecture):
        """Tell whether it calls this function."""
        return not is_keras_model(architecture) and architecture == self.function

    def graph_key(self):
        """Return None: the graphs of a user's network are not shared."""
        return

    def build(self, fast_ops=True):
        """Call the function; layers without a seed get theirs from ours."""
        with self.settings.applied(), seeded_python_random(self.seed):
            model = self._called()
            _output_shape(model, self.input_shape)  # builds a model that is not built yet
            if self.states is not None:
                restore_states(model, self.states)
                return model
            # Only a second call can tell, and before training it is not too late.
            self._check_is_new(model, self._called())
            self.states = layer_states(model)
        return model

    def _check_is_new(self, model, other):
        """Refuse two models with common weights: one fit would go on where another ended."""
        common = {id(variable) for variable in model.variables}
        common &= {id(variable) for variable in other.variables}
        # No training changes adapted statistics and frozen weights.
        for layer in all_layers(model):
            if hasattr(layer, "adapt") or not layer.trainable:
                common -= {id(variable) for variable in layer.weights}
        if common:
            raise ValueError(
                f"architecture must return a new network each time, but {self.function!r} returned "
                f"{model.name!r} twice, or a network with some of the same layers: training would "
                "go on from one fit to the next. Make all layers within the function, or give the "
                "keras.Model itself, architecture=model, which is cloned with fresh weights."
            )

    def _called(self):
        model = self._result()
        if not isinstance(model, load_keras().Model):
            raise TypeError(
                "architecture must return a keras.Model; "
                f"{self.function!r} returned {type(model).__name__}."
            )
        return model

    def _result(self):
        try:
            return self.function(self.input_shape, **self.params)
        except Exception as error:
            error.add_note(
                "skae called it as architecture(input_shape, **architecture_params), with "
                f"input_shape={self.input_shape} and architecture_params={self.params}."
            )
            raise


def build_network(blueprint, layout, fast_ops=True):
    """Build a network, and check that its output has the shape of its input."""
    check_process()
    model = blueprint.build(fast_ops)
    check_reconstructs(model, (*layout.member_axes, *layout.input_shape))
    return model


def check_reconstructs(model, input_shape):
    """Make sure that a network takes rows of `input_shape` and returns rows of that shape.

    Raises
    ------
    ValueError
        If it does not.
    """
    check_process()
    actual = _output_shape(model, input_shape)
    if actual != input_shape:
        raise ValueError(
            f"The network {model.name!r} must return rows of the shape it takes: "
            f"expected output shape {input_shape}, got {actual}."
        )


def _is_faithful(template, model):
    """Tell whether a clone computes what its template does, as far as that can be known."""
    shape = getattr(template, "input_shape", None)
    if not isinstance(shape, tuple) or not all(isinstance(length, int) for length in shape[1:]):
        return True
    model.set_weights(template.get_weights())
    return computes_alike(partial(template, training=False), model, shape[1:])


def _output_shape(model, input_shape):
    try:
        return output_shape(model, input_shape)
    except Exception as error:
        raise ValueError(
            f"The network {model.name!r} does not take rows of shape {input_shape}: {error}"
        ) from error


def config_of(model, generator=None):
    """Return Keras' configuration of a model as JSON, with new seeds from `generator`."""
    with warnings.catch_warnings():
        # About the compile settings, which are dropped below.
        warnings.filterwarnings("ignore", message="The object being serialized includes a `lambda`")
        config = json.loads(model.to_json())
    config.pop("compile_config", None)
    config = _named_by_keras(config)
    return json.dumps(config if generator is None else _reseeded(config, generator))


def _class_names(config):
    """Yield the name of each class in a configuration."""
    if isinstance(config, dict):
        if isinstance(config.get("class_name"), str):
            yield config["class_name"]
        config = list(config.values())
    if isinstance(config, list):
        for item in config:
            yield from _class_names(item)


def _named_by_keras(config):
    """Drop the names that others, such as scikeras, register Keras' own classes under."""
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
