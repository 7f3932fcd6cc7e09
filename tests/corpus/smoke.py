"""What packages compute, by calling their compiled code: the same code is run in every copy of an environment."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from tests.corpus.smoke_services import DEBIAN, MEDIA, SERVICE

if TYPE_CHECKING:
    from pathlib import Path

_ARRAY = "import numpy as np; a = np.random.default_rng(7).normal(size=(60, 60)); "
_NUMPY = (
    _ARRAY + "print(np.round(np.linalg.svd(a)[1][:3], 6), np.round(np.abs(np.fft.fft(a[0]))[:3], 6), (a @ a).shape)"
)
_SCIPY = _ARRAY + (
    "import scipy.linalg, scipy.sparse.linalg, scipy.special, scipy.optimize, scipy.spatial, scipy.interpolate, "
    "scipy.integrate, scipy.stats, scipy.signal; print(np.round(scipy.linalg.det(a) % 1, 3), "
    "scipy.special.gamma(4.5), scipy.optimize.brentq(lambda x: x**3 - 2, 0, 2), "
    "round(scipy.sparse.linalg.norm(scipy.sparse.csr_matrix(a)), 6), scipy.spatial.ConvexHull(a[:, :2]).volume)"
)
_OPENCV = (
    _ARRAY
    + "import cv2; print(cv2.GaussianBlur(a, (5, 5), 0)[0, :2], len(cv2.imencode('.png', (a * 9).astype('u1'))[1]))"
)

SMOKE: dict[str, dict[str, str]] = {
    "numpy-1.26": {
        "numpy": _NUMPY,
        "scipy": _SCIPY,
        "opencv": _OPENCV,
        "decord": "import decord, decord.bridge; print(decord.__version__, decord.nd.array([1, 2, 3]).asnumpy())",
    },
    "numpy-2.0": {"numpy": _NUMPY, "scipy": _SCIPY},
    "numpy-2.3": {
        "numpy": _NUMPY,
        "scipy": _SCIPY,
        "numba": "import numba\n@numba.njit(parallel=True)\ndef f(n):\n    s = 0\n    for i in numba.prange(n): s += i\n    return s\nprint(f(1000))",
        "numba omp": "import numba; numba.config.THREADING_LAYER = 'omp'\n@numba.njit(parallel=True)\ndef f(n):\n    s = 0\n    for i in numba.prange(n): s += i\n    return s\nprint(f(1000), numba.threading_layer())",
        "llvmlite": "import llvmlite.binding as b; print(b.llvm_version_info, b.get_default_triple())",
        "pyarrow": "import pyarrow as pa, pyarrow.parquet as q, pyarrow.compute as c, io; f = io.BytesIO(); q.write_table(pa.table({'a': [3, 1]}), f, compression='zstd'); print(c.sum(q.read_table(f)['a']))",
        "pyarrow parts": "import pyarrow.dataset, pyarrow.flight, pyarrow.orc, pyarrow.acero, pyarrow.fs; print(pyarrow.cpp_version)",
        "pandas": "import pandas as pd; print(pd.DataFrame({'k': [1, 1, 2], 'v': [1., 2., 3.]}).groupby('k').rolling(1).sum().v.tolist())",
        "scikit-learn": _ARRAY + "from sklearn.ensemble import RandomForestClassifier as R; from sklearn.cluster import KMeans; y = a[:, 0] > 0; print(R(5, random_state=1).fit(a, y).predict(a).sum(), round(KMeans(3, random_state=1, n_init=2).fit(a).inertia_, 3))",
        "statsmodels": _ARRAY + "import statsmodels.tsa.api as t; print(round(t.ARIMA(a[0], order=(1, 0, 0)).fit().aic, 3))",
        "scikit-image": _ARRAY + "from skimage import filters, measure; print(round(filters.sobel(a).sum(), 6), measure.label(a > 0).max())",
    },
    "numpy-2.4": {
        "numpy": _NUMPY,
        "scipy": _SCIPY,
        "opencv": _OPENCV,
        "matplotlib": "import matplotlib; matplotlib.use('agg'); import matplotlib.pyplot as p, io; p.contourf([[1, 2], [3, 4]]); f = io.BytesIO(); p.savefig(f, format='rgba'); print(len(f.getvalue()))",
        "onnxruntime": "import onnxruntime as o; print(o.get_available_providers()[-1], o.SessionOptions().intra_op_num_threads)",
        "shapely": "import shapely; print(shapely.Point(0, 0).buffer(1).area, shapely.geos_version)",
        "contourpy": "import contourpy; print(contourpy.contour_generator(z=[[0, 1], [1, 2]]).lines(0.5))",
        "kiwisolver": "import kiwisolver as k; x = k.Variable('x'); s = k.Solver(); s.addConstraint(x >= 3); s.updateVariables(); print(x.value())",
    },
    "learning": {
        "numpy": _NUMPY,
        "torch": "import torch; torch.manual_seed(1); a = torch.randn(50, 50); print(torch.linalg.svdvals(a)[:3], (a @ a).sum(), torch.nn.Conv2d(1, 2, 3)(a[None]).sum(), torch.fft.fft(a).abs().sum())",
        "torch threads": "import torch; print(torch.arange(10**6, dtype=torch.float64).sum(), torch.jit.script(torch.nn.ReLU())(torch.ones(2)))",
        "tokenizers": "import tokenizers as t; k = t.Tokenizer(t.models.BPE()); k.train_from_iterator(['abab abc'] * 9, t.trainers.BpeTrainer(vocab_size=20)); print(k.encode('abc').tokens)",
        "safetensors": "import numpy, safetensors.numpy as s; print(s.load(s.save({'a': numpy.ones(3)})))",
        "sentencepiece": "import sentencepiece as s, io; m = io.BytesIO(); s.SentencePieceTrainer.train(sentence_iterator=iter(['a b c d e f'] * 99), model_writer=m, vocab_size=10, minloglevel=2); print(s.SentencePieceProcessor(model_proto=m.getvalue()).encode('a b'))",
        "xgboost": _ARRAY + "import xgboost as x; d = x.DMatrix(a, a[:, 0] > 0); print(x.train({'max_depth': 2}, d, 5).predict(d)[:5].round(4))",
        "lightgbm": _ARRAY + "import lightgbm as l; print(l.train({'verbose': -1, 'min_data_in_leaf': 2}, l.Dataset(a, a[:, 0]), 5).predict(a).round(4)[:3])",
        "onnx": "import onnx; from onnx import helper as h; m = h.make_model(h.make_graph([h.make_node('Relu', ['x'], ['y'])], 'g', [h.make_tensor_value_info('x', 1, [1])], [h.make_tensor_value_info('y', 1, [1])])); onnx.checker.check_model(m); print(onnx.shape_inference.infer_shapes(m).ByteSize())",
    },
    "data": {
        "numpy": _NUMPY,
        "polars": "import polars as p; print(p.DataFrame({'a': [1, 1, 2], 'b': [1., 2., 3.]}).lazy().group_by('a').agg(p.col('b').sum()).sort('a').collect().rows())",
        "duckdb": "import duckdb; print(duckdb.sql('select sum(i) from range(1000) t(i)').fetchall())",
        "h5py": "import h5py, numpy; f = h5py.File('x.h5', 'w'); f.create_dataset('d', data=numpy.arange(9), compression='gzip'); print(f['d'][()].sum())",
        "tables": "import tables; f = tables.open_file('t.h5', 'w'); print(f.create_carray('/', 'a', obj=[1, 2], filters=tables.Filters(5, 'blosc'))[:], tables.which_lib_version('hdf5')[1])",
        "netCDF4": "import netCDF4; d = netCDF4.Dataset('x.nc', 'w'); d.createDimension('a', 2); v = d.createVariable('v', 'f8', ('a',), zlib=True); v[:] = [1, 2]; print(v[:].sum())",
        "numexpr": "import numexpr, numpy; x = numpy.arange(10**5); print(numexpr.evaluate('sum(x * 2)'))",
        "bottleneck": "import bottleneck, numpy; print(bottleneck.move_mean(numpy.arange(9.), 3)[-2:])",
        "PyWavelets": "import pywt; print(pywt.dwt([1, 2, 3, 4], 'db2'))",
        "faiss": _ARRAY + "import faiss; x = faiss.IndexFlatL2(60); x.add(a.astype('f4')); print(x.search(a[:2].astype('f4'), 2)[1])",
        "ctranslate2": "import ctranslate2 as c; print(c.StorageView.from_array(__import__('numpy').ones((2, 2), 'f4')).shape, sorted(c.get_supported_compute_types('cpu')))",
        "pyproj": "import pyproj; print(pyproj.Transformer.from_crs(4326, 3857).transform(50, 7))",
        "rasterio": "import rasterio, numpy; d = rasterio.open('x.tif', 'w', 'GTiff', 4, 4, 1, dtype='uint8'); d.write(numpy.ones((1, 4, 4), 'u1')); d.close(); print(rasterio.open('x.tif').read().sum(), rasterio.__gdal_version__)",
        "pyogrio": "import pyogrio; print(pyogrio.__gdal_version_string__, pyogrio.list_drivers()['GPKG'])",
        "cvxpy": "import cvxpy as c; x = c.Variable(2); print(round(c.Problem(c.Minimize(c.sum_squares(x)), [c.sum(x) == 1]).solve(), 5), c.installed_solvers())",
        "ortools": "from ortools.sat.python import cp_model as c; m = c.CpModel(); x = m.new_int_var(0, 9, 'x'); m.maximize(x); s = c.CpSolver(); print(s.solve(m), s.value(x))",
        "tiktoken": "import tiktoken; e = tiktoken.Encoding('x', pat_str='.', mergeable_ranks={bytes([i]): i for i in range(256)}, special_tokens={}); print(e.encode('abc'))",
        "spacy": "import spacy; print([t.lower_ for t in spacy.blank('en')('Slim images, fast.')])",
        "jax": "import jax, jax.numpy as j; print(jax.jit(lambda x: j.linalg.norm(x @ x))(j.eye(8)))",
    },
    "service": SERVICE,
    "media": MEDIA,
    "debian": DEBIAN,
}  # fmt: skip
"""For each environment the names of the tests, and code that prints what must stay the same."""


def smoke(packages: Path, tests: dict[str, str]) -> dict[str, str]:
    """Give for each of TESTS what it printed with PACKAGES on its path, or how it failed."""

    def run(code: str) -> str:
        with tempfile.TemporaryDirectory() as work:
            done = subprocess.run(
                [sys.executable, "-S", "-c", code],
                capture_output=True,
                check=False,
                cwd=work,
                env={
                    "PATH": os.environ["PATH"],
                    "HOME": work,
                    "PYTHONPATH": str(packages),
                    "PYTHONDONTWRITEBYTECODE": "1",
                },
                timeout=600,
            )
        words = done.stdout if done.returncode == 0 else done.stderr[-300:] + b"FAILED %d" % done.returncode
        return words.decode(errors="replace").replace(str(packages), "<root>")

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(tests, pool.map(run, tests.values()), strict=True))
