"""The built-in networks, an architecture a module, each with a function `build`.

The name of a module is the name of the architecture; its record stands in
`skae._network.architectures`.
"""
