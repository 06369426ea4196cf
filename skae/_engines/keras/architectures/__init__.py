"""The built-in networks, one architecture per module, each with a function `build`.

The name of a module is the name of the architecture; its record is in
`skae._network.architectures`.
"""
