"""Keras and TensorFlow: the one folder that imports them, and only inside functions."""
