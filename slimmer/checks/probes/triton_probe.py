"""A Triton kernel compiled for a GPU that need not be there, and launched where it is. For Python 3.8 and later.

Triton reads a kernel's source from its file, so that is written to /tmp and imported from there.
"""

import hashlib
import json
import os
import sys
from pathlib import Path

directory = Path("/tmp/slimmer-triton")  # noqa: S108 - always the same: machine code names its source
directory.mkdir(exist_ok=True)
os.environ["TRITON_CACHE_DIR"] = str(directory / "cache")
os.environ["TRITON_HOME"] = str(directory)
(directory / "slimmer_kernel.py").write_text(
    """
import triton
import triton.language as tl


@triton.jit
def add(left, right, result, count, SIZE: tl.constexpr):
    offsets = tl.program_id(0) * SIZE + tl.arange(0, SIZE)
    mask = offsets < count
    tl.store(result + offsets, tl.load(left + offsets, mask=mask) + tl.load(right + offsets, mask=mask), mask=mask)
"""
)
os.chdir(directory)
sys.path.insert(0, str(directory))

import triton  # noqa: E402 - after its environment

cases = {}


def case(name, compute):
    """Note the digest of what is computed, or how that failed."""
    try:
        cases[name] = {"sha256": hashlib.sha256(compute()).hexdigest()}
    except Exception as error:  # noqa: BLE001 - whatever it is, it is compared
        cases[name] = {"error": "%s: %s" % (type(error).__name__, (str(error).splitlines() or [""])[0])}


def compiled(kind):
    """Give what the compiler made of the kernel for an A100: PTX or machine code."""
    from slimmer_kernel import add
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    signature = {"left": "*fp32", "right": "*fp32", "result": "*fp32", "count": "i32", "SIZE": "constexpr"}
    source = ASTSource(fn=add, signature=signature, constexprs={"SIZE": 256})
    made = triton.compile(source, target=GPUTarget("cuda", 80, 32)).asm[kind]
    return made if isinstance(made, bytes) else made.encode()


def launched():
    """Give the bytes of a sum that the GPU computed."""
    import torch
    from slimmer_kernel import add

    left = torch.arange(1000, dtype=torch.float32, device="cuda")
    result = torch.empty_like(left)
    add[(4,)](left, left, result, 1000, SIZE=256)
    return result.cpu().numpy().tobytes()


def has_gpu():
    """Say whether torch sees a GPU."""
    try:
        import torch

        return torch.cuda.is_available()
    except ImportError:
        return False


case("compiled to PTX", lambda: compiled("ptx"))
# ptxas notes the temporary file that it was given, so only what kind of file it made is the same every time.
case("assembled", lambda: compiled("cubin")[:18])
if has_gpu():
    case("launched", launched)
print("slimmer-probe: " + json.dumps({"about": {"triton": triton.__version__}, "cases": cases}), flush=True)
