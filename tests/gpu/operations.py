"""What PyTorch computes on a device, saved for comparison. Run with the packages of a site first in PYTHONPATH.

Arguments: the device, and the file for the results: a tensor for each operation, and under `libraries` what was loaded.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import torch

DEVICE, RESULTS = sys.argv[1:]
_KERNEL = """
import triton
import triton.language as tl


@triton.jit
def scaled(values, result, factor, count, SIZE: tl.constexpr):
    offsets = tl.program_id(0) * SIZE + tl.arange(0, SIZE)
    mask = offsets < count
    tl.store(result + offsets, tl.load(values + offsets, mask=mask) * factor, mask=mask)
"""

torch.use_deterministic_algorithms(True, warn_only=True)
torch.manual_seed(20240229)
results = {}


def matrix(*shape, dtype=torch.float32):
    """Give numbers made on the CPU, the same on each run."""
    return torch.randn(*shape, generator=generator).to(DEVICE, dtype)


def gradients(layer, values):
    """Give what a layer computes and the gradient of its weight."""
    output = layer.to(DEVICE, values.dtype)(values)
    output.square().mean().backward()
    return torch.cat([output.detach().flatten(), layer.weight.grad.flatten()])


def gathered():
    """Give what one process of one gathers from itself: NCCL on a GPU."""
    import torch.distributed as dist

    with tempfile.TemporaryDirectory() as directory:
        backend = "nccl" if DEVICE == "cuda" else "gloo"
        dist.init_process_group(backend, init_method=f"file://{directory}/rendezvous", rank=0, world_size=1)
        values = matrix(1 << 16)
        dist.all_reduce(values)
        parts = [torch.empty_like(values)]
        dist.all_gather(parts, values)
        dist.destroy_process_group()
    return parts[0]


def scaled_by_triton():
    """Give what a Triton kernel computes, compiled here and now."""
    with tempfile.TemporaryDirectory() as directory:
        os.environ["TRITON_CACHE_DIR"] = directory
        (Path(directory) / "scaling.py").write_text(_KERNEL)
        sys.path.insert(0, directory)
        from scaling import scaled

        values = matrix(10000)
        result = torch.empty_like(values)
        scaled[(40,)](values, result, 3.0, 10000, SIZE=256)
        torch.cuda.synchronize()
    return result


generator = torch.Generator().manual_seed(20240229)
for dtype in (torch.float32, torch.float16, torch.bfloat16, torch.float64):
    for size in (33, 1024):
        results[f"matmul {dtype} {size}"] = matrix(size, size, dtype=dtype) @ matrix(size, size, dtype=dtype)
    name = str(dtype)
    image = matrix(4, 16, 64, 64, dtype=dtype)
    results[f"conv2d {name}"] = gradients(torch.nn.Conv2d(16, 32, 3), image)
    query = matrix(2, 4, 128, 64, dtype=dtype)
    results[f"attention {name}"] = torch.nn.functional.scaled_dot_product_attention(query, query, query, is_causal=True)
results["int8 matmul"] = torch._int_mm(
    matrix(64, 64).mul(20).to(torch.int8), matrix(64, 64).mul(20).to(torch.int8)
).float()
square = matrix(128, 128) @ matrix(128, 128).T / 128 + 3 * torch.eye(128, device=DEVICE)
results["solve"] = torch.linalg.solve(square, matrix(128, 7))
results["cholesky"] = torch.linalg.cholesky(square @ square.T)
results["eigvalsh"] = torch.linalg.eigvalsh(square + square.T)
results["svdvals"] = torch.linalg.svdvals(square)
results["qr"] = torch.linalg.qr(square)[1].abs()
results["batched inverse"] = torch.linalg.inv(square.expand(16, 128, 128))
results["fft"] = torch.view_as_real(torch.fft.fft2(matrix(8, 60, 64)))
results["sparse"] = torch.sparse.mm(matrix(256, 256).relu().to_sparse_csr(), matrix(256, 16))
results["sparse coo"] = torch.sparse.mm(matrix(256, 256).relu().to_sparse(), matrix(256, 16))
results["rand"] = torch.rand(10000, device=DEVICE)
results["normal"] = torch.randn(10000, device=DEVICE)
results["permutation"] = torch.randperm(10000, device=DEVICE)
results["sort"] = matrix(100000).sort().values
results["topk"] = matrix(64, 5000).topk(50).values
results["cumsum"] = matrix(64, 5000).cumsum(1)
results["softmax"] = matrix(64, 5000).softmax(1)
results["layer norm"] = torch.nn.functional.layer_norm(matrix(64, 512), [512])
results["batch norm"] = torch.nn.BatchNorm2d(16).to(DEVICE)(matrix(4, 16, 32, 32)).detach()
results["lstm"] = torch.nn.LSTM(32, 64, 2).to(DEVICE)(matrix(10, 4, 32))[0].detach()
results["embedding"] = torch.nn.functional.embedding(torch.arange(100, device=DEVICE), matrix(100, 64))
results["interpolate"] = torch.nn.functional.interpolate(matrix(2, 3, 32, 32), scale_factor=2, mode="bicubic")
results["all_reduce"] = gathered()
if DEVICE == "cuda":
    results["triton"] = scaled_by_triton()
    torch.cuda.synchronize()
loaded = {
    line.split(maxsplit=5)[5].strip() for line in Path("/proc/self/maps").read_text().splitlines() if ".so" in line
}
torch.save(
    {"results": {name: value.cpu() for name, value in results.items()}, "libraries": sorted(loaded)},
    RESULTS,
)
