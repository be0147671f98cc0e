"""Conversions between float16 and wider floats for processors that have no instruction for them.

x86 got one with F16C, in 2012; for older ones LLVM calls functions of the compiler's runtime
library, which no process is sure to have. Called by codegen.llvm, which links these instead:

    addresses = load("half-conversions", text, SYMBOLS)

The formats: IEEE 754-2019, section 3.6. Narrowing rounds to the nearest, ties to even: of normal
numbers by adding half of the last place less one, and one more where that place is odd; of small
ones by adding a power of two whose last place is that of the smallest half, so that the addition
rounds.
"""

from __future__ import annotations

WIDEN, NARROW = "__extendhfsf2", "__truncsfhf2"
SYMBOLS = (WIDEN, NARROW)

_WIDEN = f"""
define float @{WIDEN}(half %x) {{
  %half = bitcast half %x to i16
  %bits = zext i16 %half to i32
  %magnitude = and i32 %bits, 32767
  %shifted = shl i32 %magnitude, 13
  %normal = add i32 %shifted, 939524096        ; the exponent's bias: 127 - 15
  %special = add i32 %shifted, 1879048192      ; infinity and NaN: 255 - 31
  %count = uitofp i32 %magnitude to float
  %product = fmul float %count, 0x3E70000000000000   ; subnormal: that many times 2**-24
  %subnormal = bitcast float %product to i32
  %is_special = icmp uge i32 %magnitude, 31744
  %is_subnormal = icmp ult i32 %magnitude, 1024
  %large = select i1 %is_special, i32 %special, i32 %normal
  %result = select i1 %is_subnormal, i32 %subnormal, i32 %large
  %negative = and i32 %bits, 32768
  %sign = shl i32 %negative, 16
  %signed = or i32 %result, %sign
  %float = bitcast i32 %signed to float
  ret float %float
}}
"""


_NARROW = f"""
define half @{NARROW}(float %x) {{
  %bits = bitcast float %x to i32
  %sign_bit = lshr i32 %bits, 16
  %sign = and i32 %sign_bit, 32768
  %magnitude = and i32 %bits, 2147483647
  %last = lshr i32 %magnitude, 13
  %odd = and i32 %last, 1
  %moved = sub i32 %magnitude, {((127 - 15) << 23) - (1 << 12) + 1}
  %rounded = add i32 %moved, %odd
  %normal = lshr i32 %rounded, 13
  %small = bitcast i32 %magnitude to float
  %sum = fadd float %small, 0.5                ; its last place is worth 2**-24
  %sum_bits = bitcast float %sum to i32
  %subnormal = sub i32 %sum_bits, {126 << 23}
  %payload = and i32 %last, 1023
  %nan = or i32 %payload, 32256
  %is_nan = icmp ugt i32 %magnitude, {255 << 23}
  %special = select i1 %is_nan, i32 %nan, i32 31744
  %is_special = icmp uge i32 %magnitude, {(127 + 16) << 23}
  %is_subnormal = icmp ult i32 %magnitude, {(127 - 14) << 23}
  %finite = select i1 %is_subnormal, i32 %subnormal, i32 %normal
  %result = select i1 %is_special, i32 %special, i32 %finite
  %signed = or i32 %result, %sign
  %half = trunc i32 %signed to i16
  %value = bitcast i16 %half to half
  ret half %value
}}
"""


def text() -> str:
    """The functions as LLVM IR."""
    return _WIDEN + _NARROW
