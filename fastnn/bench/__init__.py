"""FLOOR 4: what this machine offers and what training makes of it: the measurements behind `fastnn bench`."""
