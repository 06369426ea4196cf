"""Weights as one vector per dtype: a compiled function has a cost for each of its tensors."""

from math import prod

import numpy as np


def dtypes(weights):
    """Return the dtypes of weights, in the order of their packed vectors."""
    return list(_by_dtype(weights))


def packed(weights):
    """Return a list of arrays: for each dtype all weights, concatenated."""
    return [
        np.concatenate([np.ravel(weight) for weight in group])
        for group in _by_dtype(weights).values()
    ]


def unpacked(variables, vectors):
    """Return pairs of a variable and its value, cut out of the packed vectors."""
    import tensorflow as tf

    pairs = []
    for group, vector in zip(_by_dtype(variables).values(), vectors, strict=True):
        values = tf.split(vector, [prod(variable.shape) for variable in group])
        pairs += [
            (variable, tf.reshape(value, variable.shape))
            for variable, value in zip(group, values, strict=True)
        ]
    return pairs


def _by_dtype(weights):
    groups = {}
    for weight in weights:
        groups.setdefault(str(weight.dtype), []).append(weight)
    return groups
