"""The boundary of this folder: plain data in, plain data or functions of arrays out."""

from dataclasses import dataclass, field
from typing import Any

from skae._engines.keras.blueprints import build_network
from skae._engines.keras.cache import TRAINERS, graph_settings
from skae._engines.keras.forward import ForwardFunctions, KerasForward, forward_functions
from skae._engines.keras.halves import draw_weights
from skae._engines.keras.trainer import Trainer
from skae._engines.keras.training import train


@dataclass
class Trained:
    """The result of training.

    Parameters
    ----------
    weights : list of ndarray
        As `keras.Model.get_weights` returns them.
    history : dict of list of float
        One value per epoch for the loss and each metric.
    code_shape : tuple of int or None
        The shape of one latent code, None for a network that shows no encoder.
    has_decoder : bool
        Whether it shows a decoder.
    functions : ForwardFunctions
        Its forward passes, for the engine that made them.
    """

    weights: list
    history: dict
    code_shape: tuple | None
    has_decoder: bool
    functions: Any = field(repr=False)


def train_network(blueprint, layout, feed, options, *, feed_val, seeds, weights=None):
    """Build a network, train it to reconstruct rows, and return the result.

    Parameters
    ----------
    blueprint : BuiltInBlueprint, ConfigBlueprint or FunctionBlueprint
        How to build it.
    layout : Layout
        How rows are laid out.
    feed, feed_val : Feed
        The rows to train on, and those for the validation curves or None.
    options : TrainingOptions
        How to train.
    seeds : tuple of int
        Of the initial weights, and of the order of the rows and the noise.
    weights : list of ndarray, default=None
        What to start from instead of initial weights.
    """
    graph_keys = (blueprint.graph_key(), options.graph_key())
    seed_of_weights, seed_of_order = seeds

    def make_trainer():
        # A callback may save the model, which Keras alone must be able to load.
        model = build_network(blueprint, layout, fast_ops=not options.callbacks)
        return Trainer(model, options, layout)

    key = None if None in graph_keys else (*graph_keys, graph_settings())
    with TRAINERS.checked_out(key, make_trainer) as trainer:
        model = trainer.model
        if graph_keys[0] is not None:
            draw_weights(model, seed_of_weights)
        if weights is not None:
            model.set_weights(weights)
        history = train(trainer, feed, options, feed_val=feed_val, seed=seed_of_order)
        functions = forward_functions(blueprint, layout, lambda: model)
        return Trained(
            weights=model.get_weights(),
            history=history,
            code_shape=functions.code_shape,
            has_decoder=functions.has_decoder,
            functions=functions,
        )


def forward(blueprint, layout, weights, functions=None):
    """Return the forward passes of a trained network."""
    if functions is None:
        functions = forward_functions(blueprint, layout, blueprint.build)
    return KerasForward(functions, weights)


def public_models(blueprint, layout, weights):
    """Return a model with trained weights, and its halves, for the user to inspect or change."""
    model = build_network(blueprint, layout, fast_ops=False)
    model.set_weights(weights)
    return ForwardFunctions(model, layout)
