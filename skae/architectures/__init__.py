"""Functions that build autoencoders from sizes, by the names of the architectures."""

from inspect import signature

from skae.architectures.conv1d import build_conv1d
from skae.architectures.dense import build_dense, build_dense_members
from skae.architectures.vae import build_vae

BUILDERS = {
    "conv1d": build_conv1d,
    "dense": build_dense,
    "dense_members": build_dense_members,
    "vae": build_vae,
}
# What a user chooses among.
ARCHITECTURES = ["conv1d", "dense", "vae"]


def own_params(architecture):
    """Return the parameters that an architecture has beside the common ones, and their defaults."""
    parameters = signature(BUILDERS[architecture]).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty and p.name != "quick"}
