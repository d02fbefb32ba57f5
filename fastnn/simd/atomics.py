"""FLOOR 1: what ranks of a gang use to meet: atomic words, waiting politely, flush-to-zero.

A plain load in a waiting loop is hoisted out of it by LLVM; only these loads may be waited on.
"""

from __future__ import annotations

import sys

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastnn.simd import target

I32, I64 = ir.IntType(32), ir.IntType(64)


def _word(context, builder, array_type, array, index):
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [index])


@intrinsic
def atomic_load(typingctx, words, index):
    """words[index], with acquire order; words is a flat int64 array."""

    def codegen(context, builder, signature, args):
        return builder.load_atomic(_word(context, builder, words, *args), "acquire", 8)

    return types.int64(words, types.int64), codegen


@intrinsic
def atomic_store(typingctx, words, index, value):
    """words[index] = value, with release order."""

    def codegen(context, builder, signature, args):
        builder.store_atomic(args[2], _word(context, builder, words, *args[:2]), "release", 8)
        return context.get_dummy_value()

    return types.void(words, types.int64, types.int64), codegen


@intrinsic
def atomic_add(typingctx, words, index, value):
    """words[index] += value, indivisibly; returns the value before."""

    def codegen(context, builder, signature, args):
        return builder.atomic_rmw("add", _word(context, builder, words, *args[:2]), args[2], "seq_cst")

    return types.int64(words, types.int64, types.int64), codegen


@intrinsic
def pause(typingctx):
    """Tell the core that this is a waiting loop."""

    def codegen(context, builder, signature, args):
        module = builder.module
        if target.IS_X86:
            fn = cgutils.get_or_insert_function(module, ir.FunctionType(ir.VoidType(), []), "llvm.x86.sse2.pause")
            builder.call(fn, [])
        elif target.IS_AARCH64:
            fn = cgutils.get_or_insert_function(module, ir.FunctionType(ir.VoidType(), [I32]), "llvm.aarch64.hint")
            builder.call(fn, [I32(1)])
        return context.get_dummy_value()

    return types.void(), codegen


def _call_c(builder, name, arguments):
    fnty = ir.FunctionType(I32, [a.type for a in arguments])
    builder.call(cgutils.get_or_insert_function(builder.module, fnty, name), arguments)


@intrinsic
def give_up_core(typingctx):
    """Let another thread of this machine run, if one is waiting (about 0.4 us)."""

    def codegen(context, builder, signature, args):
        _call_c(builder, "SwitchToThread" if sys.platform == "win32" else "sched_yield", [])
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def sleep_a_little(typingctx):
    """Sleep for about 50 microseconds (on Windows: 1 millisecond)."""

    def codegen(context, builder, signature, args):
        if sys.platform == "win32":
            _call_c(builder, "Sleep", [I32(1)])
        else:
            _call_c(builder, "usleep", [I32(50)])
        return context.get_dummy_value()

    return types.void(), codegen


_FLUSH_TO_ZERO = 0x8040  # MXCSR bits 15 (results) and 6 (inputs)


@intrinsic
def set_flush_to_zero(typingctx, on):
    """Flush denormal numbers to zero on this thread (x86; elsewhere nothing); returns the former state to restore.

    `on` = -1 switches it on; any other value is a former state.
    """

    def codegen(context, builder, signature, args):
        if not target.IS_X86:
            return I64(0)
        memory = cgutils.alloca_once(builder, I32)
        pointer = builder.bitcast(memory, ir.IntType(8).as_pointer())
        fnty = ir.FunctionType(ir.VoidType(), [pointer.type])
        builder.call(cgutils.get_or_insert_function(builder.module, fnty, "llvm.x86.sse.stmxcsr"), [pointer])
        before = builder.load(memory)
        wanted = builder.select(
            builder.icmp_signed("==", args[0], I64(-1)),
            builder.or_(before, I32(_FLUSH_TO_ZERO)),
            builder.trunc(args[0], I32),
        )
        builder.store(wanted, memory)
        builder.call(cgutils.get_or_insert_function(builder.module, fnty, "llvm.x86.sse.ldmxcsr"), [pointer])
        return builder.zext(before, I64)

    return types.int64(types.int64), codegen
