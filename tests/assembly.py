"""Reading x86 assembly as LLVM prints it (AT&T syntax): functions, loops, and what instructions do."""

from __future__ import annotations

import re

_LABEL = re.compile(r"^([A-Za-z_.$][\w.$]*):")
_IDENTIFIER = re.compile(r"\d+")
WRAPPERS = ("cpython.", "cfunc.")


def functions(assembly: str) -> dict[str, list[str]]:
    """Lines of code and local labels by the function's name (dotted where it is one of ours)."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in assembly.splitlines():
        label = _LABEL.match(line)
        if label and not label[1].startswith(".L"):
            lines = found.setdefault(_dotted(label[1]), [])
        elif label:
            lines.append(label[1] + ":")
        elif (code := line.split("#")[0].strip()) and not code.startswith("."):
            lines.append(" ".join(code.split()))
    return {name: lines for name, lines in found.items() if any(is_instruction(line) for line in lines)}


def _dotted(symbol: str) -> str:
    """fastnn.kernels.epoch.train from _ZN6fastnn7kernels5epoch5trainB2v1..., by the lengths before the words."""
    prefix, mangled, rest = symbol.partition("_ZN")
    if not mangled:
        return symbol
    words = []
    while digits := _IDENTIFIER.match(rest):
        start = digits.end()
        stop = start + int(digits[0])
        words.append(rest[start:stop])
        rest = rest[stop:]
    return prefix + ".".join(words)


def is_instruction(line: str) -> bool:
    return not line.endswith(":")


def inner_loops(lines: list[str]) -> list[list[str]]:
    """The bodies of the innermost loops: from a label to the last jump back to it."""
    places = {line[:-1]: i for i, line in enumerate(lines) if not is_instruction(line)}
    ranges = []
    for i, line in enumerate(lines):
        target = line.split()[-1]
        if is_instruction(line) and line.startswith("j") and places.get(target, i) < i:
            ranges.append((places[target], i))
    inner = [(a, b) for a, b in ranges if not any((c, d) != (a, b) and a <= c and d <= b for c, d in ranges)]
    return [lines[a : b + 1] for a, b in sorted(set(inner))]


def is_fma(line: str) -> bool:
    return re.match(r"vfn?m(add|sub)\d", line) is not None


def uses(line: str, register: str) -> bool:
    """Whether an operand is a register of this kind: xmm, ymm or zmm."""
    return f"%{register}" in line


def stores_vector(line: str) -> bool:
    """Whether a whole vector register is written to memory."""
    return re.match(r"v?mov(ap|up|dq|nt)\w* %[xyz]mm\d+, [^%]*\(", line) is not None


def spills(lines: list[str]) -> list[str]:
    """Stores of vectors to the stack; rbp points there only in functions that set it from rsp."""
    framed = any(re.match(r"movq\s+%rsp, %rbp", line) for line in lines)
    stack = r"\(%r[sb]p\)$" if framed else r"\(%rsp\)$"
    return [line for line in lines if stores_vector(line) and re.search(stack, line)]


def changes_precision(line: str) -> bool:
    return re.match(r"v?cvt(s[sd]2s[sd]|p[sd]2p[sd])", line) is not None


def symbols(lines: list[str]) -> set[str]:
    """Names of what is called or whose address is taken."""
    found = set()
    for line in lines:
        found |= {_dotted(name) for name in re.findall(r"\$([A-Za-z_][\w.]*)", line)}
        if call := re.match(r"(?:call|jmp)q? ([A-Za-z_][\w.]*)", line):
            found.add(_dotted(call[1]))
    return found
