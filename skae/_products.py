"""Matrix products whose bits depend on neither the rows beside a row nor the number of threads."""

import numpy as np

# OpenBLAS, which comes with NumPy, computes smaller products in one thread: a vector times a matrix
# of fewer than 9,216 numbers, matrices with fewer than 2**18 multiplications, inner products of at
# most 10,000 numbers. Larger ones it may divide among its threads, which moves the last bits.
_MAX_VECTOR_PRODUCT = 9000
_MAX_MATRIX_PRODUCT = 2**18 - 1


def matmul_by_rows(values, matrix):
    """Multiply each row by a matrix on its own.

    NumPy hands BLAS the last two axes of `values` one after the other, always in the same shape, so
    that no other row can change the order of a sum. Large products are computed in pieces, which
    depend only on the shapes.

    Parameters
    ----------
    values : ndarray of shape (n_rows, ..., n_steps, n_inputs)
        Contiguous.
    matrix : ndarray of shape (..., n_inputs, n_outputs)
        The same for all rows.

    Returns
    -------
    products : ndarray of shape (n_rows, ..., n_steps, n_outputs)
    """
    n_steps, (n_inputs, n_outputs) = values.shape[-2], matrix.shape[-2:]
    if n_inputs > _MAX_VECTOR_PRODUCT:
        half = n_inputs // 2
        first = matmul_by_rows(values[..., :half], matrix[..., :half, :])
        return first + matmul_by_rows(values[..., half:], matrix[..., half:, :])
    steps, columns = _piece(n_steps, n_inputs, n_outputs)
    if (steps, columns) == (n_steps, n_outputs):
        return np.matmul(values, matrix)
    axes = np.broadcast_shapes(values.shape[:-2], matrix.shape[:-2])
    products = np.empty((*axes, n_steps, n_outputs), dtype=np.result_type(values, matrix))
    for step in range(0, n_steps, steps):
        for column in range(0, n_outputs, columns):
            rows, outputs = slice(step, step + steps), slice(column, column + columns)
            place = products[..., rows, outputs]
            np.matmul(values[..., rows, :], matrix[..., outputs], out=place)
    return products


def _piece(n_steps, n_inputs, n_outputs):
    """Return how many steps and outputs to compute at a time."""
    size = n_inputs * n_outputs
    if n_steps > 1 and 2 * size <= _MAX_MATRIX_PRODUCT:
        return min(n_steps, _MAX_MATRIX_PRODUCT // size), n_outputs
    return 1, min(n_outputs, max(1, _MAX_VECTOR_PRODUCT // n_inputs))
