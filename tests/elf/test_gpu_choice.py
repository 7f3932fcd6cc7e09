from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimmer.elf.gpu.architectures import DISCRETE, TEGRA, Architecture, gpu_named, runs_on
from slimmer.elf.gpu.choice import Wanted, kept, taken
from slimmer.elf.gpu.fatbin import CUBIN, LTO_IR, PTX, Entry
from slimmer.errors import UsageError

KINDS = {"cubin": CUBIN, "ptx": PTX, "lto": LTO_IR, "odd": 0x40}


def entries(text: str) -> list[Entry]:
    """Give entries from words such as `90a`, machine code, and `ptx90`; each is longer than the one before."""
    found = []
    for index, word in enumerate(text.split()):
        kind = next((name for name in ("ptx", "lto", "odd") if word.startswith(name)), "cubin")
        arch = word.removeprefix(kind)
        architecture = Architecture(int(arch.rstrip("af")), arch.lstrip("0123456789"))
        found.append(Entry(KINDS[kind], architecture, 0x11, 10000 * index, 64, 1000 + 8 * index, 0, 0))
    return found


def words(found: tuple[Entry, ...]) -> str:
    """Give entries as `entries` takes them."""
    names = {number: "" if name == "cubin" else name for name, number in KINDS.items()}
    return " ".join(f"{names[entry.kind]}{entry.architecture}" for entry in found)


@pytest.mark.parametrize(
    ("held", "gpus", "ptx", "stay"),
    [
        pytest.param("70 80 90", "90", True, "90", id="the GPU's own"),
        pytest.param("70 80 86", "89", True, "86", id="the highest minor not above"),
        pytest.param("80 86 89", "86", True, "86", id="nothing that is newer than the GPU"),
        pytest.param("70 80 86 90", "80 90", True, "80 90", id="for each of several GPUs"),
        pytest.param(
            "75 80 100", "90", True, "75", id="never another major: the smallest stays, and nothing runs as before"
        ),
        pytest.param("70 80 ptx80", "90", True, "ptx80", id="PTX where no machine code runs"),
        pytest.param("ptx50 ptx80 ptx100", "90", False, "ptx80", id="the best PTX, not one that is newer"),
        pytest.param("ptx50 80 90 ptx90", "80", True, "80 ptx90", id="the newest PTX stays for newer GPUs"),
        pytest.param("ptx50 80 90 ptx90", "80", False, "80", id="unless it is to be dropped"),
        pytest.param("80 ptx80 ptx90", "90", False, "ptx90", id="dropping PTX drops none that is needed"),
        pytest.param("90 90a 80", "90", True, "90 90a", id="the GPU's own and its specific code"),
        pytest.param("100a 100 80", "103", True, "100", id="specific code of another GPU goes"),
        pytest.param("100f 103a 80", "103", True, "100f 103a", id="without plain code every variant that runs stays"),
        pytest.param("100 100f 103a 80", "103", True, "100 100f 103a", id="plain code stays beside newer variants"),
        pytest.param("80 100f", "90", True, "80", id="a family's code is not for other families"),
        pytest.param("100f 120f 80", "121", True, "120f", id="a family's code is for its newer members"),
        pytest.param("90a ptx80 ptx75", "90", False, "90a ptx80", id="PTX stays beside variants without plain code"),
        pytest.param("90 90a ptx80", "90", False, "90 90a", id="not beside plain code"),
        pytest.param("ptx90a ptx80", "100", False, "ptx80", id="specific PTX is for nothing newer"),
        pytest.param("ptx100f ptx80 50", "103", False, "ptx100f ptx80", id="a family's PTX is for its newer members"),
        pytest.param("ptx100a 80", "80", True, "80", id="specific PTX is nothing for newer GPUs"),
        pytest.param("80 86 87", "89", True, "86", id="Tegra's code is for no discrete GPU"),
        pytest.param("80 86 87", "87", True, "87", id="Tegra's code is for itself"),
        pytest.param("80 86 ptx80", "87", False, "86 ptx80", id="what Tegra takes of others' is not sure"),
        pytest.param("lto90 70 90", "90", True, "lto90 90", id="intermediate code stays"),
        pytest.param("odd70 70 90", "90", True, "odd70 90", id="an unknown kind stays"),
        pytest.param("80 80 90", "80", True, "80 80", id="all of the same architecture stay"),
        pytest.param("", "80", True, "", id="nothing of nothing"),
    ],
)
def test_what_stays(held: str, gpus: str, ptx: object, stay: str) -> None:
    """Each case is what a driver would choose from, by NVIDIA's compatibility guides."""
    wanted = Wanted(frozenset(map(int, gpus.split())), keep_ptx=bool(ptx))

    assert words(kept(entries(held), wanted)) == stay


def test_parts_of_linked_code_are_not_needed_for_a_gpu_that_it_serves() -> None:
    """What a device linker linked already is not linked again; the newest PTX is, on newer GPUs."""
    held = entries("80 90 ptx80 ptx90")

    assert words(kept(held, Wanted(frozenset({90})), linked={90})) == "ptx90"
    assert words(kept(held, Wanted(frozenset({90}), keep_ptx=False), linked={90})) == "80"
    assert words(kept(held, Wanted(frozenset({80, 90}), keep_ptx=False), linked={90})) == "80"


GPUS = st.sampled_from([*DISCRETE, *TEGRA])
HELD = st.lists(
    st.tuples(st.sampled_from(["", "ptx", "lto", "odd"]), GPUS, st.sampled_from(["", "", "a", "f"])),
    min_size=1,
    max_size=9,
).map(lambda parts: " ".join(f"{kind}{number}{variant}" for kind, number, variant in parts))


@given(HELD, st.sets(GPUS, min_size=1, max_size=4), st.booleans())
def test_every_gpu_chooses_as_before(held: str, gpus: set[int], ptx: object) -> None:
    """Whatever a container holds: each GPU finds what it found, a second time changes nothing, none is left empty."""
    before = entries(held)
    wanted = Wanted(frozenset(gpus), keep_ptx=bool(ptx))
    after = kept(before, wanted)

    assert all(taken(after, gpu) == taken(before, gpu) for gpu in gpus)
    assert kept(after, wanted) == after
    assert after
    assert [entry for entry in before if entry in after] == list(after)


def test_names() -> None:
    """A GPU goes by the name of its architecture; code for it alone is code for it."""
    assert gpu_named("sm_90") == gpu_named("sm_90a") == 90
    assert gpu_named("sm_120") == 120


@pytest.mark.parametrize("name", ["90", "sm_9", "sm_", "sm_90x", "compute_90", "SM_90", "sm_9000", "sm_05", "h100", ""])
def test_what_is_no_name_is_said_so(name: str) -> None:
    """One sentence says what a name looks like."""
    with pytest.raises(UsageError, match="sm_90, or native, or torch"):
        gpu_named(name)


def test_machine_code_runs_within_a_major_only() -> None:
    """Over all architectures that are known: a plain cubin runs where NVIDIA's table says."""
    table = {gpu: {arch for arch in DISCRETE if runs_on(Architecture(arch), gpu)} for gpu in DISCRETE}

    assert table[89] == {80, 86, 89}
    assert table[90] == {90}
    assert table[103] == {100, 103}
    assert table[121] == {120, 121}
    assert table[75] == {70, 75}
