"""The pieces of the kernels on their own: the three orientations of a product, and each activation with its slope.

They are no public API: where a commit has other pieces, these fail there and nothing else does. The entries are
compiled in `setup` and kept nowhere.
"""

import numpy as np

ACTIVATIONS = ["logistic", "tanh", "relu", "elu", "gelu", "silu"]
ROWS = 64


def make_program(function):
    from fastnn import _jit

    return _jit.program(function)


def aligned(n, dtype):
    from fastnn.engine.parameters import aligned_zeros

    numbers = aligned_zeros(n, dtype)
    numbers[:] = np.random.default_rng(0).standard_normal(n)
    return numbers


class Product:
    """64 samples through one layer: forward; backward, deltas times transposed weights; and the gradient."""

    param_names = ("orientation", "layer", "dtype")
    params = (["forward", "backward", "gradient"], ["784-32", "1024-1024"], ["float32", "float64"])

    def setup(self, orientation, layer, dtype):
        from fastnn.kernels import panels

        I, O = map(int, layer.split("-"))
        self.arguments = (
            ROWS, I, O, aligned(ROWS * (I + 64), dtype), I + 64, aligned(panels.size(I, O, np.dtype(dtype)), dtype),
            aligned(max(ROWS * (I + O), 8 * 256), dtype), O + 64, aligned(ROWS * (O + 64), dtype),
            np.arange(ROWS + I + O),
        )  # fmt: skip
        self.program = getattr(self, f"_{orientation}")()
        self.program(*self.arguments)

    def time_product(self, orientation, layer, dtype):
        self.program(*self.arguments)

    @staticmethod
    def _forward():
        from fastnn.kernels.matmul import forward_panel, panel_of

        @make_program
        def forward(m, I, O, a, a_row, w, spare, z_row, z, every):
            for j in range(0, O, panel_of(w)):
                forward_panel(m, min(panel_of(w), O - j), a, 0, a_row, w, j * (I + 1), z, j, z_row, every, 0, I + 1)

        return forward

    @staticmethod
    def _backward():
        from fastnn.kernels.matmul import backward_layer

        @make_program
        def backward(m, I, O, a, a_row, w, spare, d_row, d, every):
            backward_layer(m, I, O, w, 0, d, 0, m, spare, 0, every)

        return backward

    @staticmethod
    def _gradient():
        from fastnn.kernels.matmul import gradient_tile, panel_of, tile_rows
        from fastnn.simd.memory import unit_of

        @make_program
        def gradient(m, I, O, a, a_row, w, spare, d_row, d, every):
            for j in range(0, O, panel_of(w)):
                width = min(panel_of(w), O - j)
                step = tile_rows(width, unit_of(w))
                for i in range(0, I, step):
                    gradient_tile(min(step, I - i), width, a, i, 1, a_row, d, j, d_row, spare, 0, every, 0, m, False)

        return gradient


class Activation:
    """Value and slope of 64 rows of 256 units, float32."""

    param_names = ("activation",)
    params = (ACTIVATIONS,)

    def setup(self, name):
        from fastnn.ops.activations import activate, multiply_slope
        from fastnn.ops.codes import ACTIVATIONS as CODES
        from fastnn.simd.memory import view

        @make_program
        def both(code, z, a, d, rows, units):
            for r in range(rows):
                row = view(a, r * units, units)
                for i in range(units):
                    row[i] = z[r * units + i]
                activate(code, row)
                multiply_slope(code, view(a, r * units, units), view(d, r * units, units))

        self.program = both
        z = aligned(ROWS * 256, "float32")
        self.arguments = (CODES[name], z, z.copy(), np.ones_like(z), ROWS, 256)
        self.program(*self.arguments)

    def time_value_and_slope(self, name):
        self.arguments[3].fill(1)  # or the product of slopes becomes denormal
        self.program(*self.arguments)
