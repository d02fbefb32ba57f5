"""Marks for tests of what only some machines have."""

from __future__ import annotations

import pytest

from fastnn.engine import matrix_unit

needs_matrix_unit = pytest.mark.skipif(not matrix_unit.is_allowed(), reason="no matrix unit for bfloat16 here")
