"""What torch computes from a fixed seed. Run by the image's own interpreter, whatever its version from 3.8 on."""

import hashlib
import json
import struct

import torch


def result(tensor, exact):
    """Give a digest of a tensor's values, and sums of them for where two runs may round differently."""
    values = tensor.detach().cpu().to(torch.float64).flatten().tolist()
    answer = {"sha256": hashlib.sha256(struct.pack("<%dd" % len(values), *values)).hexdigest()}
    if not exact:
        answer["sums"] = [sum(values) / len(values), sum(v * (i % 101) for i, v in enumerate(values)) / len(values)]
    return answer


def matrix(rows, columns, dtype=torch.float32):
    """Give the next matrix of the seeded sequence."""
    return torch.randn(rows, columns, generator=generator, dtype=torch.float32).to(dtype)


def definite(size):
    """Give a well-conditioned symmetric matrix."""
    root = matrix(size, size)
    return root @ root.T / size + torch.eye(size)


generator = torch.Generator().manual_seed(20240229)
cases = {}


def case(name, compute, exact=True):  # noqa: FBT002 - read where a case is named
    """Compute one result, or remember how it failed: an operation that the original lacks is no fault of slimming."""
    try:
        cases[name] = result(compute(), exact)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is compared
        cases[name] = {"error": "%s: %s" % (type(error).__name__, str(error).splitlines()[0] if str(error) else "")}


torch.set_num_threads(1)
for dtype in (torch.float32, torch.bfloat16):
    for rows, inner, columns in ((1, 1, 1), (64, 64, 64), (257, 129, 65), (512, 512, 512)):
        left, right = matrix(rows, inner, dtype), matrix(inner, columns, dtype)
        case("matmul %s %dx%dx%d" % (str(dtype)[6:], rows, inner, columns), lambda: left @ right)
symmetric = definite(96)
case("linalg.solve", lambda: torch.linalg.solve(symmetric, matrix(96, 7)))
case("linalg.inv", lambda: torch.linalg.inv(symmetric))
case("linalg.cholesky", lambda: torch.linalg.cholesky(symmetric))
case("linalg.eigvalsh", lambda: torch.linalg.eigvalsh(symmetric))
case("linalg.svdvals", lambda: torch.linalg.svdvals(matrix(96, 48)))
case("linalg.qr", lambda: torch.linalg.qr(matrix(96, 48))[1].abs())
case("conv2d", lambda: torch.nn.functional.conv2d(matrix(32, 32)[None, None], matrix(3, 3)[None, None]))
case("fft", lambda: torch.fft.rfft(matrix(4, 256)).abs())
query, key, value = (matrix(32, 16)[None, None] for _ in range(3))
case("attention", lambda: torch.nn.functional.scaled_dot_product_attention(query, key, value))
case("sparse", lambda: torch.sparse.mm(matrix(64, 64).relu().to_sparse(), matrix(64, 8)))
case("rand", lambda: torch.rand(1000, generator=generator))
torch.set_num_threads(2)
case("matmul on two threads", lambda: matrix(1024, 1024) @ matrix(1024, 1024), exact=False)
try:
    import numpy

    case("numpy bridge", lambda: torch.from_numpy(numpy.arange(64, dtype=numpy.float32).reshape(8, 8)) @ matrix(8, 8))
except ImportError:
    pass

if torch.cuda.is_available():
    # What a GPU rounds depends on which kernel the library chooses; the check allows for that.
    image, window = matrix(64, 64)[None, None].cuda(), matrix(3, 3)[None, None].cuda()
    on_gpu = {
        "matmul": lambda: matrix(512, 512).cuda() @ matrix(512, 512).cuda(),
        "conv2d": lambda: torch.nn.functional.conv2d(image, window),
        "attention": lambda: torch.nn.functional.scaled_dot_product_attention(query.cuda(), key.cuda(), value.cuda()),
        "linalg.solve": lambda: torch.linalg.solve(definite(96).cuda(), matrix(96, 7).cuda()),
        "linalg.svdvals": lambda: torch.linalg.svdvals(matrix(96, 48).cuda()),
        "fft": lambda: torch.fft.rfft(matrix(4, 256).cuda()).abs(),
    }
    for name, compute in on_gpu.items():
        case("cuda " + name, compute, exact=False)

about = {"torch": str(torch.__version__), "cuda": str(torch.version.cuda)}
print("slimmer-probe: " + json.dumps({"about": about, "cases": cases}), flush=True)
