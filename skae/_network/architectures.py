"""The named architectures, one record each. The engine's module of that name builds one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite, prod
from numbers import Integral, Real
from typing import Any


@dataclass(frozen=True)
class Architecture:
    """The properties of an architecture that is not built.

    Parameters
    ----------
    name : str
        As in `architecture=`, and the module of `skae._engines.keras.architectures` that builds it.
    auto_sizes : tuple of int
        What `hidden_layer_sizes="auto"` means.
    is_of_signals : bool, default=False
        Whether it sees a row as (n_steps, n_channels), rather than in any shape.
    needs_hidden_layers : bool, default=False
        Whether the code alone, without hidden layers, would not see the whole row.
    own_params : mapping of str to number, default={}
        What `architecture_params` may set, with the defaults.
    own_errors : tuple of str, default=()
        What `error` may be besides the common names.
    auto_error, auto_loss : str, default="mse"
        What `error="auto"` means, and `loss="auto"` for an engine.
    """

    name: str
    auto_sizes: tuple[int, ...]
    is_of_signals: bool = False
    needs_hidden_layers: bool = False
    own_params: Mapping[str, float] = field(default_factory=dict)
    own_errors: tuple[str, ...] = ()
    auto_error: str = "mse"
    auto_loss: str = "mse"

    def params(self, given: Mapping | None) -> dict:
        """Return its own parameters, as given or by default.

        Raises
        ------
        ValueError
            If a name is unknown.
        TypeError
            If a value is not a finite number.
        """
        given = dict(given or {})
        if unknown := sorted(set(given) - set(self.own_params)):
            raise ValueError(
                f"architecture={self.name!r} takes "
                f"{sorted(self.own_params) or 'no'} architecture_params; got {unknown}."
            )
        for name, value in given.items():
            if not isinstance(value, Real) or not isfinite(value):
                raise TypeError(f"architecture_params: {name} must be a number, got {value!r}.")
        # Keras takes no numbers of NumPy, which searches over arrays give.
        plain = {key: getattr(value, "item", lambda v=value: v)() for key, value in given.items()}
        return {**self.own_params, **plain}

    def layer_sizes(self, given: Any) -> tuple[int, ...]:
        """Return `hidden_layer_sizes`, as given or by default.

        Raises
        ------
        ValueError
            If they are not positive integers, or none where it takes some.
        """
        if isinstance(given, str):
            return self.auto_sizes
        sizes = (given,) if isinstance(given, Integral) else tuple(given)
        if not all(isinstance(units, Integral) and int(units) > 0 for units in sizes):
            raise ValueError(f"hidden_layer_sizes must be positive integers, got {sizes}.")
        if self.needs_hidden_layers and not sizes:
            raise ValueError(
                f"architecture={self.name!r} without hidden layers would see the last step only; "
                f"got hidden_layer_sizes={given!r}: give one size or more, such as "
                f"{self.auto_sizes}."
            )
        return tuple(int(units) for units in sizes)

    def check_input_shape(self, shape: tuple[int, ...], n_features: int) -> None:
        """Reject a layout of rows that the architecture cannot handle."""
        if self.is_of_signals and len(shape) != 2:
            raise ValueError(
                f"architecture={self.name!r} sees a row as (n_steps, n_channels), but got "
                f"input_shape={shape!r}: for one channel give ({n_features}, 1)."
            )


ARCHITECTURES = {
    record.name: record
    for record in (
        Architecture("dense", (128, 64), auto_error="combined", auto_loss="auto"),
        Architecture(
            "conv1d", (16, 32), is_of_signals=True, own_params={"kernel_size": 7, "strides": 2}
        ),
        Architecture("lstm", (32,), is_of_signals=True, needs_hidden_layers=True),
        Architecture(
            "vae",
            (128, 64),
            own_params={"beta": 0.01},
            own_errors=("reconstruction_probability",),
            auto_error="combined",
        ),
    )
}
# For the ensemble only: cannot be chosen by name.
DENSE_MEMBERS = Architecture("dense_members", (128, 64), auto_error="combined", auto_loss="auto")


def _checked_lengths(shape):
    if not all(_is_length(length) for length in shape):
        raise ValueError(
            f"input_shape must be the lengths of one row's axes, whole numbers >= 1 such as "
            f"(140, 1); got {tuple(shape)}."
        )
    return tuple(int(length) for length in shape)


def _is_length(length):
    return isinstance(length, Integral) and not isinstance(length, bool) and int(length) >= 1


def input_shape_of(
    architecture: str | Callable, given: Sequence[int] | None, n_features: int
) -> tuple[int, ...]:
    """Return how a network sees a row of `n_features`, as given or by default.

    Raises
    ------
    ValueError
        If the shape does not suit the architecture or the number of features.
    """
    record = ARCHITECTURES.get(architecture) if isinstance(architecture, str) else None
    is_of_signals = record is not None and record.is_of_signals
    shape = (n_features, 1) if is_of_signals else (n_features,)
    if given is not None:
        shape = _checked_lengths(given)
    if record is not None:
        record.check_input_shape(shape, n_features)
    if prod(shape) != n_features:
        raise ValueError(
            f"input_shape={given!r} stands for {prod(shape)} values per row, but X has "
            f"{n_features} features."
        )
    return shape
