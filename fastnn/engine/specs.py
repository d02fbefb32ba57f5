"""FLOOR 3: choices written as text, such as "cosine" or "normal(0.01)".

One small grammar for the command line, configuration files and arguments: a name, or a name with literal
arguments. Nothing is evaluated: arguments go through ast.literal_eval.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from fastnn._checks import choice

T = TypeVar("T")


def build(name: str, text: str, makers: Mapping[str, Callable[..., T]]) -> T:
    """Make the object that `text` describes.

    Parameters
    ----------
    name : str
        The argument that `text` was given for; errors begin with it.
    text : str
        ``"word"``, ``"word(0.1)"`` or ``"word(low=-1, high=1)"``. A class's own spelling is accepted for its
        word (``"OneCycle()"`` for ``"one_cycle"``), so that text printed by repr can be read back.
    makers : mapping of str to callable
        What to call for each word.

    Raises
    ------
    ValueError
        If the text is not of this form, the word is unknown or the arguments do not fit; whatever the maker
        itself raises about the arguments' values.

    Examples
    --------
    >>> build("shape", "circle(radius=2)", {"circle": lambda radius=1: f"a circle of {radius}"})
    'a circle of 2'
    """
    word, args, kwargs = _parse(name, text)
    if word not in makers:
        word = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", word).lower()
    make = makers[choice(name, word, makers)]
    signature = inspect.signature(make)
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        parameters = signature.parameters.values()
        wanted = ", ".join(p.name if p.default is p.empty else f"{p.name}={p.default!r}" for p in parameters)
        raise ValueError(f"{name} {text!r} does not fit {word}({wanted}): {error}") from None
    return make(*args, **kwargs)


def _parse(name: str, text: str) -> tuple[str, list[Any], dict[str, Any]]:
    """Split `text` into its word, its positional and its keyword arguments."""
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        if isinstance(tree, ast.Name):
            return tree.id, [], {}
        if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name):
            args = [ast.literal_eval(value) for value in tree.args]
            # A keyword without a name is `**something`, which literal_eval must not see.
            kwargs = {k.arg: ast.literal_eval(k.value) for k in tree.keywords if k.arg is not None}
            if len(kwargs) == len(tree.keywords):
                return tree.func.id, args, kwargs
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        pass
    raise ValueError(f"{name} must look like 'name' or 'name(0.1, 2)', got {text!r}")
