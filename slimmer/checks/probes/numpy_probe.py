"""What numpy and scipy compute from a fixed seed. Run by the image's own interpreter, of any version from 3.8 on."""

import hashlib
import json
import os

# One thread, so that two runs round alike.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy  # noqa: E402 - after its environment

generator = numpy.random.RandomState(20240229)
cases = {}
about = {"numpy": numpy.__version__}


def case(name, compute):
    """Compute one result, or remember how it failed."""
    try:
        value = numpy.ascontiguousarray(compute())
        cases[name] = {"sha256": hashlib.sha256(value.tobytes()).hexdigest()}
    except Exception as error:  # noqa: BLE001 - whatever it is, it is compared
        cases[name] = {"error": "%s: %s" % (type(error).__name__, str(error).splitlines()[0] if str(error) else "")}


root = generator.standard_normal((96, 96))
symmetric = root @ root.T / 96 + numpy.eye(96)
for dtype in ("float32", "float64", "complex128"):
    case("matmul " + dtype, lambda: root.astype(dtype) @ symmetric.astype(dtype))
case("linalg.solve", lambda: numpy.linalg.solve(symmetric, root[:, :5]))
case("linalg.svd", lambda: numpy.linalg.svd(root, compute_uv=False))
case("linalg.eigvalsh", lambda: numpy.linalg.eigvalsh(symmetric))
case("linalg.cholesky", lambda: numpy.linalg.cholesky(symmetric))
case("fft", lambda: numpy.fft.rfft(root))
case("random", lambda: numpy.random.default_rng(7).standard_normal(1000))

try:
    import scipy
    import scipy.linalg
    import scipy.sparse.linalg
    import scipy.special
except ImportError as error:
    about["scipy"] = (
        "none" if isinstance(error, ModuleNotFoundError) and error.name == "scipy" else "broken: %s" % error
    )
else:
    about["scipy"] = scipy.__version__
    case("scipy.linalg.lu", lambda: scipy.linalg.lu(root)[2])
    case("scipy.linalg.expm", lambda: scipy.linalg.expm(root / 96))
    case("scipy.special.gamma", lambda: scipy.special.gamma(numpy.linspace(0.5, 9.5, 100)))
    case(
        "scipy.sparse.linalg.spsolve",
        lambda: scipy.sparse.linalg.spsolve(scipy.sparse.csc_matrix(symmetric), root[:, 0]),
    )

print("slimmer-probe: " + json.dumps({"about": about, "cases": cases}), flush=True)
