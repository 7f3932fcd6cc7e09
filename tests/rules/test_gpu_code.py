from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from slimmer.errors import UsageError
from slimmer.image import Config
from slimmer.metadata.gpu_targets import gpus_asked_for, labels, targets
from slimmer.native_gpus import native_architectures
from slimmer.plan import Plan, Scene
from slimmer.propose import propose
from slimmer.rules.gpu_code import rule
from slimmer.rules.strip import rule as strip
from slimmer.settings import GpuPtx, Settings

from fatbins import container, cubins, entry, linked
from handmade import Spec, file, flattened, hard_link

if TYPE_CHECKING:
    from pathlib import Path

ARCHS = ("70", "75", "80", "86", "90", "100", "120")


def plan_for(*entries: Spec, exclude: tuple[str, ...] = (), rules: tuple[Any, ...] = (rule,), **chosen: Any) -> Plan:
    """Give what the rule makes of a root, for sm_90 unless CHOSEN says otherwise."""
    raw = json.dumps({"architecture": "amd64", "rootfs": {"diff_ids": []}}).encode()
    settings = Settings(**{"gpu_arch": ("sm_90",), **chosen})
    plan, _ = propose(Scene(flattened(list(entries)), Config(raw), settings), rules, exclude)
    assert sum(change.saved for change in plan.changes) == plan.source.size() - plan.result.size()
    return plan


@pytest.fixture
def library(tmp_path: Path) -> bytes:
    """Give a library with code for seven architectures and PTX for the newest."""
    held = container(*(entry(2, arch, 8192) for arch in ARCHS), entry(1, "120", 4096))
    return linked(tmp_path, [held, held], "-g3").read_bytes()


def test_removes_code_for_other_gpus(library: bytes) -> None:
    """Six of seven architectures go, the newest PTX stays unless it is to be dropped."""
    plan = plan_for(file("usr/lib/libgpu.so", library))

    (change,) = plan.changes
    assert change.saved >= 2 * 6 * 8192 - 8192
    assert "12 of 16 pieces of GPU code removed" in change.how
    assert "14 of 16" in plan_for(file("libgpu.so", library), gpu_ptx=GpuPtx.DROP).changes[0].how


def test_strip_follows(library: bytes) -> None:
    """Both rules change the library, each from what the other left, and a second run finds nothing for either."""
    plan = plan_for(file("libgpu.so", library), rules=(rule, strip))
    made = plan.result.get("libgpu.so")
    assert made is not None
    assert made.content is not None

    assert [change.rule for change in plan.changes] == ["gpu_code", "strip"]
    again = plan_for(file("libgpu.so", made.content.read_at(0, made.size)), rules=(rule, strip))
    assert again.changes == ()
    assert again.kept == ()


def test_hard_links_stay_links(library: bytes) -> None:
    """Two names of one library are one change, and one inode afterwards."""
    plan = plan_for(file("a.so", library), hard_link("b.so", "a.so"))

    assert [change.path for change in plan.changes] == ["a.so"]
    assert plan.result.get("a.so") is plan.result.get("b.so")


def test_leaves_alone_what_has_no_gpu_code(library: bytes, tmp_path: Path) -> None:
    """Other libraries, and other files, are not even candidates."""
    plain = linked(tmp_path, [], name="libplain.so").read_bytes()
    plan = plan_for(file("libplain.so", plain), file("program", library), file("x.so", b"text"), file("y.so"))

    assert plan.changes == ()
    assert plan.kept == ()


def test_keeps_proprietary_libraries(library: bytes) -> None:
    """NVIDIA's own libraries change only when the person says so."""
    names = file("usr/lib/libcublas.so.12", library), file("usr/lib/libnccl.so.2", library)

    plan = plan_for(*names)
    assert [change.path for change in plan.changes] == ["usr/lib/libnccl.so.2"]
    assert "its licence forbids changing it" in plan.kept[0].reason
    assert len(plan_for(*names, include_proprietary=True).changes) == 2


def test_keeps_what_is_excluded_or_watched(library: bytes) -> None:
    """--exclude and signatures hold for this rule as for all."""
    assert plan_for(file("opt/x.so", library), exclude=("/opt",)).kept[0].reason == "excluded by --exclude /opt"
    assert "x.so.sig" in plan_for(file("x.so", library), file("x.so.sig")).kept[0].reason
    signed = file("x.so", library, pax={"SCHILY.xattr.security.ima": "\x03"})
    assert "security.ima" in plan_for(signed).kept[0].reason


def test_keeps_a_damaged_library(library: bytes) -> None:
    """GPU code that does not tile its section stays, with the reason, and the run goes on."""
    at = library.index((0xBA55ED50).to_bytes(4, "little"))
    damaged = library[:at] + bytes(4) + library[at + 4 :]
    plan = plan_for(file("x.so", damaged), file("y.so", library))

    assert [change.path for change in plan.changes] == ["y.so"]
    assert "no container of GPU code" in plan.kept[0].reason


def test_keeps_code_for_amd_gpus(library: bytes, tmp_path: Path) -> None:
    """ROCm's section is recognised and kept."""
    hip = '.section .hip_fatbin,"a"\n.ascii "__CLANG_OFFLOAD_BUNDLE__"\n.zero 4096'
    rocm = linked(tmp_path, [], more=hip).read_bytes()

    plan = plan_for(file("librocm.so", rocm), file("x.so", library))
    assert "AMD" in plan.kept[0].reason


def test_nobody_asked(library: bytes) -> None:
    """The rule is off, and takes nothing where no GPU was named."""
    assert not rule.on_by_default
    assert plan_for(file("x.so", library), gpu_arch=()).changes == ()


def test_a_gpu_that_nothing_is_for(library: bytes) -> None:
    """A GPU that no library of the image runs on is a mistake that would leave nothing that runs."""
    with pytest.raises(UsageError, match="sm_62: no library of this image has code"):
        plan_for(file("x.so", library), gpu_arch=("sm_90", "sm_62"))


def test_torch_stands_for_what_it_runs_on(tmp_path: Path) -> None:
    """Of every GPU that PyTorch's own code runs on, those newer than the code too, nothing goes."""
    torch = linked(tmp_path, [cubins("70", "80", "90a", "120", size=8192)]).read_bytes()
    rootfs = flattened([file("torch/lib/libtorch_cuda.so", torch)])
    other = linked(
        tmp_path, [cubins("50", "60", "72", "75", "80", "87", "89", "90", "100", "121", size=8192)]
    ).read_bytes()

    assert targets(rootfs, ("torch",)) == {70, 75, 80, 86, 89, 90, 120, 121}
    plan = plan_for(file("torch/lib/libtorch_cuda.so", torch), file("x.so", other), gpu_arch=("torch",))
    assert "5 of 10" in plan.changes[0].how
    assert labels(rootfs, Settings(gpu_arch=("torch", "sm_100"))) == {
        "slimmer.gpu-arch": "sm_70,sm_75,sm_80,sm_86,sm_89,sm_90,sm_100,sm_120,sm_121"
    }


def test_torch_without_torch(library: bytes) -> None:
    """One sentence says that there is none."""
    with pytest.raises(UsageError, match="has no libtorch_cuda"):
        plan_for(file("x.so", library), gpu_arch=("torch",))


def test_native_is_this_machine_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver's own tool names the GPUs; without it, or with an engine elsewhere, one sentence says what to do."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="nvidia-smi does not run here"):
        native_architectures({})
    with pytest.raises(UsageError, match="on another machine"):
        native_architectures({"DOCKER_HOST": "ssh://gpu"})
    tool = tmp_path / "nvidia-smi"
    for answer, code in (("No devices were found", 6), ("", 0)):
        tool.write_text(f"#!/bin/sh\necho '{answer}'\nexit {code}\n")
        tool.chmod(0o755)
        with pytest.raises(UsageError, match="names no GPU"):
            native_architectures({"DOCKER_HOST": "unix:///var/run/docker.sock"})
    tool.write_text("#!/bin/sh\necho 9.0\necho 9.0\necho 12.0\n")
    assert gpus_asked_for(("native", "sm_80", "torch"), {}) == ("sm_120", "sm_90", "sm_80", "torch")
