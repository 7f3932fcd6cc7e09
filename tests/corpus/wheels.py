"""The wheels of the corpus: which they are, and how they get into a directory."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

ENVIRONMENTS: dict[str, tuple[str, ...]] = {
    # One directory holds one version of numpy; 2.0 to 2.4 are those whose libraries GNU strip 2.40 breaks.
    "numpy-1.26": ("numpy==1.26.4", "scipy==1.11.4", "decord==0.6.0", "opencv-python-headless==4.10.0.84"),
    "numpy-2.0": ("numpy==2.0.2", "scipy==1.14.1"),
    "numpy-2.3": ("numpy==2.3.5", "numba", "pyarrow", "pandas", "scikit-learn", "statsmodels", "scikit-image"),
    "numpy-2.4": ("numpy==2.4.6", "scipy", "matplotlib", "opencv-python-headless", "onnxruntime", "shapely"),
    "learning": ("torch==2.13.0", "tokenizers", "safetensors", "sentencepiece", "xgboost-cpu", "lightgbm", "onnx"),
    "data": (
        "polars", "duckdb", "h5py", "tables", "netCDF4", "numexpr", "bottleneck", "PyWavelets", "faiss-cpu",
        "ctranslate2", "pyproj", "rasterio", "pyogrio", "cvxpy", "ortools", "tiktoken", "spacy", "jax",
    ),
    "service": (
        "grpcio", "grpcio-tools", "protobuf", "psycopg2-binary", "psycopg[binary]", "asyncpg", "lxml", "pydantic",
        "cryptography", "bcrypt", "pynacl", "argon2-cffi", "orjson", "ujson", "msgpack", "aiohttp", "uvloop",
        "httptools", "websockets", "gevent", "greenlet", "sqlalchemy", "pymongo", "hiredis", "pyyaml", "ruamel.yaml",
        "regex", "rapidfuzz", "zstandard", "lz4", "brotli", "python-snappy", "cffi", "pyzmq", "psutil", "rpds-py",
        "confluent-kafka", "pymssql", "oracledb", "google-crc32c", "markupsafe", "cython", "tree-sitter", "debugpy",
        "ddtrace", "coverage", "wrapt", "simplejson", "setproctitle", "watchfiles", "librt", "pyodbc",
    ),
    "media": (
        "pillow", "pillow-heif", "av", "soundfile", "pymupdf", "pikepdf", "pypdfium2", "skia-python", "pyqt5-qt5",
        "pygame", "mypy",
    ),
}  # fmt: skip
"""Names of directories, and what is installed together in each."""


def installed(environment: str, directory: Path) -> Path:
    """Give the directory of an environment's packages below DIRECTORY, downloaded and installed when it is not there."""
    target = directory / "installed" / environment
    if not target.is_dir():
        wheels = directory / "wheels" / environment
        _pip("download", "--only-binary", ":all:", "--dest", str(wheels), *ENVIRONMENTS[environment])
        unfinished = target.with_name(f"{environment}.unfinished")
        _pip("install", "--no-deps", "--target", str(unfinished), *map(str, sorted(wheels.glob("*.whl"))))
        for wheel in wheels.glob("*.whl"):
            wheel.unlink()
        unfinished.rename(target)
    return target


def distributions(packages: Path) -> list[str]:
    """Give the distributions in a directory of packages that hold a shared object, each as `name==version`."""
    found = []
    for record in sorted(packages.glob("*.dist-info/RECORD")):
        if re.search(r"\.so(\.[^/,]*)?,", record.read_text(encoding="utf-8")):
            name, _, version = record.parent.name.removesuffix(".dist-info").rpartition("-")
            found.append(f"{name}=={version}")
    return found


def _pip(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", arguments[0], "--quiet", "--no-cache-dir", *arguments[1:]], check=True)
