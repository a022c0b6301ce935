#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A policy's object as if it were of ABI version 2: other_abi.py OBJECT CHANGED"""
import pathlib
import struct
import sys

whole = bytearray(pathlib.Path(sys.argv[1]).read_bytes())
# The section's content: find it through the section table.
sections, = struct.unpack_from("<Q", whole, 40)
size, count, names = struct.unpack_from("<HHH", whole, 58)
table, = struct.unpack_from("<Q", whole, sections + names * size + 24)
for i in range(count):
    name, = struct.unpack_from("<I", whole, sections + i * size)
    if whole[table + name:].startswith(b"weir.abi\0"):
        at, = struct.unpack_from("<Q", whole, sections + i * size + 24)
        struct.pack_into("<I", whole, at, 2)
pathlib.Path(sys.argv[2]).write_bytes(whole)
