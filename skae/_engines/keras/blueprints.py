"""How to build a network: plain data that can be pickled, and Keras models made from it."""

import json
import warnings
from importlib import import_module

import numpy as np

from skae._engines.keras.halves import output_shape
from skae._engines.keras.loading import is_keras_model, load_keras, seeded_python_random

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
    """

    def __init__(self, architecture, layout, sizes, own_params, seed):
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
        return module.build(
            self.layout, self.sizes, seed=self.seed, fast_ops=fast_ops, **self.own_params
        )

    def graph_key(self):
        """Return what shapes the network's graph, or None where the user's functions do."""
        sizes = self.sizes.key()
        if sizes is None:
            return None
        return (self.architecture, self.layout, *sizes, *sorted(self.own_params.items()))


class ConfigBlueprint:
    """Builds a network from its Keras configuration."""

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
            blueprint = cls(config_of(template, np.random.default_rng(seed)))
            blueprint.build()
        except Exception as error:
            raise ValueError(
                f"architecture={template.name!r} is a keras.Model that Keras cannot clone "
                f"({type(error).__name__}: {str(error).splitlines()[0]}). Give a function that "
                "returns the model instead: architecture=lambda input_shape: ..."
            ) from error
        return blueprint

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
        model = load_keras().models.model_from_json(self.config)
        if not is_keras_model(model):
            raise ValueError(
                f"Expected the configuration of a keras.Model, got that of {type(model).__name__}."
            )
        return model


class FunctionBlueprint:
    """Builds a network by calling the user's function."""

    def __init__(self, function, input_shape, params, seed):
        self.function = function
        self.input_shape = input_shape
        self.params = params
        self.seed = seed

    def graph_key(self):
        """Return None: the graphs of a user's network are not shared."""
        return

    def build(self, fast_ops=True):
        """Call the function; layers without a seed get theirs from ours."""
        keras = load_keras()
        with seeded_python_random(self.seed):
            model = self._called()
            if not isinstance(model, keras.Model):
                raise TypeError(
                    "architecture must return a keras.Model; "
                    f"{self.function!r} returned {type(model).__name__}."
                )
            _output_shape(model, self.input_shape)  # builds a model that is not built yet
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


def build_network(blueprint, layout, fast_ops=True):
    """Build a network, and check that its output has the shape of its input."""
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
    actual = _output_shape(model, input_shape)
    if actual != input_shape:
        raise ValueError(
            f"The network {model.name!r} must return rows of the shape it takes: "
            f"expected output shape {input_shape}, got {actual}."
        )


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
