"""What a process costs before it computes: import, the first fit with and without compiled kernels, and memory."""

import numpy as np

from .common import images, network, trainer

_FIT = """
import fastnn, numpy as np
X = np.eye(4, dtype="float32")
fastnn.Trainer(fastnn.MLP([4, 8, 2]), max_epochs=1, verbose=0).fit(X, [0, 1, 0, 1])
"""
_EMPTY_CACHE = """
import os, tempfile
folder = tempfile.TemporaryDirectory()
os.environ["FASTNN_CACHE_DIR"] = folder.name
"""


class Start:
    timeout = 300
    number = 1

    def timeraw_import(self):
        return "from fastnn import Trainer"

    def timeraw_import_numba_only(self):
        """What the import must be compared with."""
        return "import numba"

    def timeraw_first_fit_from_cache(self):
        return _FIT

    timeraw_first_fit_from_cache.repeat = 5

    def timeraw_first_fit_compiling(self):
        return _FIT, _EMPTY_CACHE

    timeraw_first_fit_compiling.repeat = 1

    def setup(self):
        np.random.default_rng(0)
        trainer(network("784-30-10 logistic"), 2, 1).fit(np.zeros((2, 784), np.float32), [0, 1])


class Memory:
    """Peak resident memory of the whole process, its 47 MB of samples included."""

    def setup(self):
        self.X, self.y = images(60_000)

    def peakmem_train_from_uint8(self):
        trainer(network("784-256-64-10"), 128, None).fit(self.X, self.y)
