#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The tests of the compiler must notice when it is wrong: jit_mutations.py CC TOP LIBRARY TAP_LIBRARY

Breaks the compiler's source in one place after the other, builds the tests with it, and expects that one of
them fails. A case for each way of breaking it.
"""
import concurrent.futures
import pathlib
import shlex
import subprocess
import sys
import tempfile

# (what stands there, what it becomes); the text must be there exactly once
MUTATIONS = [
    ("R8, RBX, R13, R14, R15, RBP };", "R8, RBX, R14, R13, R15, RBP };"),
    ("x86_jump_ahead(c, CC_NE);\n\n\t/* x / 0", "x86_jump_ahead(c, CC_E);\n\n\t/* x / 0"),
    ("if (!modulo)\n\t\tx86_clear(c, dst);", "if (modulo)\n\t\tx86_clear(c, dst);"),
    ("else if (!wide)\n\t\tx86_move(c, false, dst, dst);\n\tuint32_t done",
     "uint32_t done"),
    ("if (dst != RDX)\n\t\tx86_move(c, true, RDX, R9);", ""),
    ("if (dst != RAX)\n\t\tx86_move(c, true, RAX, R10);", ""),
    ("x86_op(c, wide, 0xf7, 6, R11);", "x86_op(c, wide, 0xf7, 7, R11);"),
    ("op == BPF_RSH ? X86_SHR : X86_SAR", "op == BPF_RSH ? X86_SAR : X86_SHR"),
    ("if (src != RCX || dst == RCX)\n\t\tx86_move(c, true, RCX, R11);", ""),
    ("x86_shift_value(c, false, X86_ROL, dst, 8);", "x86_shift_value(c, false, X86_ROL, dst, 16);"),
    ("if (x->imm == 16)\n\t\tx86_op(c, false, 0x0fb7", "if (x->imm == 32)\n\t\tx86_op(c, false, 0x0fb7"),
    ("else if (x->imm == 32 && !swaps)", "else if (x->imm == 32 && swaps)"),
    ("case BPF_SUB:\n\t\treturn X86_SUB;", "case BPF_SUB:\n\t\treturn X86_ADD;"),
    ("x86_op(c, wide, 0xf7, 3, dst);", "x86_op(c, wide, 0xf7, 2, dst);"),
    ("x86_operate(c, wide, op, R11, operand);", "x86_operate(c, wide, op, R11, src);"),
    ("x86_move(c, wide, src, RAX);\n\tx86_move(c, true, RAX, R10);",
     "x86_move(c, wide, src, RAX);"),
    ("if (!wide) /* when it succeeds, the upper half stays as it was */\n\t\t\tx86_move(c, false, RAX, RAX);", ""),
    ("case BPF_XCHG:\n\t\tx86_atomic(c, wide, false, 0x87", "case BPF_XCHG:\n\t\tx86_atomic(c, wide, false, 0x89"),
    ("[BPF_JGT >> 4] = CC_A,", "[BPF_JGT >> 4] = CC_AE,"),
    ("[BPF_JSLT >> 4] = CC_L,", "[BPF_JSLT >> 4] = CC_B,"),
    ("[BPF_JSGE >> 4] = CC_GE,", "[BPF_JSGE >> 4] = CC_G,"),
    ("bool wide = BPF_CLASS(x->code) == BPF_JMP;", "bool wide = true;"),
    ("if (x->off < 0) {", "if (x->off < -9) {"),
    ("x86_jump_far(c, CC_S, j->give_up);", "x86_jump_far(c, CC_LE, j->give_up);"),
    ("x86_load(&j->code, 8, RBP, R12, offsetof(struct policy_worker, stack_pointer));", ""),
    ("x86_move(&j->code, true, RSP, RBP);", ""),
    ("j->loops |= x->off < 0;", "j->loops |= x->off < -9;"),
    ("X86_ADD, RSP, frame_bytes(j->entry, j->saved)", "X86_ADD, RSP, frame_bytes(false, j->saved)"),
    ("uint32_t outside = x86_jump_ahead(c, CC_AE);", "uint32_t outside = x86_jump_ahead(c, CC_A);"),
    ("if (map->worker_count > 1) {", "if (map->worker_count > 2) {"),
    ("if (p->insns[i].dst_reg == r || p->insns[i].src_reg == r)", "if (p->insns[i].src_reg == r)"),
    ("if (p->starts[i] == 1 && i != function && function != 0)", "if (p->starts[i] == 1 && i != function)"),
    ("(uint32_t)(reg >> 3) << 2", "(uint32_t)(reg >> 3) << 1"),
    ("size == 1 && from >= RSP", "false"),
    ("offset == (int8_t)offset ? 1 : 2", "offset == (uint8_t)offset ? 1 : 2"),
    ("bool byte = v == (int8_t)v;", "bool byte = v == (uint8_t)v;"),
    ("x86_byte(c, size == 1 ? 0xb6 : 0xb7);", "x86_byte(c, size == 1 ? 0xbe : 0xb7);"),
    ("} else if ((uint64_t)v <= UINT32_MAX) {", "} else if (v == (int32_t)v && v < 0) {"),
]

SOURCES = ("jit_x86.c", "jit_x86_data.c", "jit_x86.h", "x86.h")

cc, top, library, tap = shlex.split(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3], sys.argv[4]
engine = top / "ebpf/engine"
tests = top / "tests/unit/engine"
CPU_SECONDS = 5  # the compiler as it is takes less than one; a broken one may go on forever
flags = ["-std=gnu17", "-O0", "-w", "-D_GNU_SOURCE"]


def compile_tests(folder):
    """The tests do not change: compile them once."""
    include = ["-I", str(top), "-I", str(top / "ebpf/include")]
    for name in ("test_random", "test_program"):
        subprocess.run([*cc, *flags, *include, "-c", str(tests / (name + ".c")), "-o", f"{folder}/{name}.o"],
                       check=True)


def survives(folder, number, old, new):
    """True when no test notices; a reason as text when the mutation itself is no good."""
    sources = {name: (engine / name).read_text() for name in SOURCES}
    if old is not None:
        places = [name for name in SOURCES if old in sources[name]]
        if len(places) != 1 or sources[places[0]].count(old) != 1:
            return f"the text is not there once: {places}"
        sources[places[0]] = sources[places[0]].replace(old, new)
    own = pathlib.Path(folder) / str(number)
    (own / "ebpf/engine").mkdir(parents=True)
    for name, text in sources.items():
        (own / "ebpf/engine" / name).write_text(text)
    include = ["-I", str(own), "-I", str(top), "-I", str(top / "ebpf/include")]
    for name in ("jit_x86", "jit_x86_data"):
        built = subprocess.run([*cc, *flags, *include, "-c", str(own / f"ebpf/engine/{name}.c"), "-o", str(own / (name + ".o"))],
                               capture_output=True, text=True)
        if built.returncode:
            return built.stderr
    for name, arguments in (("test_program", []), ("test_random", ["3000"])):
        program = str(own / name)
        libraries = [tap, "-lcunit"] if name == "test_program" else []
        built = subprocess.run([*cc, str(pathlib.Path(folder) / (name + ".o")), str(own / "jit_x86.o"),
                                str(own / "jit_x86_data.o"), *libraries,
                                library, "-lnuma", "-o", program], capture_output=True, text=True)
        if built.returncode:
            return built.stderr
        if subprocess.run(["prlimit", f"--cpu={CPU_SECONDS}", program, *arguments], capture_output=True).returncode:
            return False
    return True


def main():
    print(f"1..{len(MUTATIONS) + 1}", flush=True)
    failed = 0
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(2) as pool:
        compile_tests(folder)
        jobs = [pool.submit(survives, folder, 0, None, None)]
        jobs += [pool.submit(survives, folder, i, *m) for i, m in enumerate(MUTATIONS, 1)]
        for number, job in enumerate(jobs, 1):
            found = job.result()
            if number == 1:
                good, name = found is True, "the compiler as it is passes"
            else:
                old, new = MUTATIONS[number - 2]
                good, name = found is False, "a broken compiler is noticed: " + " ".join((old + " -> " + new).split())
            failed |= not good
            print(f"{'ok' if good else 'not ok'} {number} - {name.replace('#', '')}", flush=True)
            if isinstance(found, str):
                print("# " + found.replace("\n", "\n# "), flush=True)
    return failed


sys.exit(main())
