from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimmer import rawjson
from slimmer.errors import SourceError
from slimmer.image import Config

RAW = (
    b'{ "architecture":"amd64", "unknownTop":{"b":1,"a":[1.0e3, 1E400]},\n "config":{"Env":["A=\\u003cb\\u003e","\\u00e9=\xc3\xa9",'
    b'"PATH=/bin"],"Labels":{"one":"\\u0026"},"StopTimeout":0.50},"history":[{"created_by":"x","unknown":7}],"os":"linux",'
    b'"created":"2024-02-29T12:00:00.123456789Z","rootfs":{"type":"layers","diff_ids":["sha256:1","sha256:2"]} }'
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def test_every_other_byte_stays() -> None:
    """Only rootfs, history and the added labels change; escapes, number forms, spaces and unknown keys are as they were."""
    config = Config.parse(RAW, "app:1").flattened("sha256:new", "slimmer run", {"slimmer.source": "sha256:old"})

    expected = RAW
    expected = expected.replace(b'{"one":"\\u0026"}', b'{"one":"\\u0026","slimmer.source":"sha256:old"}')
    expected = expected.replace(
        b'[{"created_by":"x","unknown":7}]',
        b'[{"created_by":"x","unknown":7,"empty_layer":true},{"created":"2024-02-29T12:00:00.123456789Z",'
        b'"created_by":"slimmer run","comment":"2 layers flattened into one"}]',
    )
    expected = expected.replace(b'["sha256:1","sha256:2"]', b'["sha256:new"]')
    assert config.raw == expected
    assert config.diff_ids == ("sha256:new",)


@pytest.mark.parametrize("config", [{}, {"config": None}, {"config": {"Labels": None}}, {"config": {"Labels": {}}}])
def test_labels_where_there_were_none(config: dict[str, Any]) -> None:
    """Labels are added to whatever there is: no config, null, or an empty object."""
    raw = json.dumps({**config, "rootfs": {"diff_ids": ["sha256:1"]}}).encode()

    slimmed = Config.parse(raw, "app:1").flattened("sha256:new", "slimmer run", {"a": "1", "b": "<2>"})

    assert slimmed.execution["Labels"] == {"a": "1", "b": "<2>"}
    assert len(slimmed.mapping["history"]) == 1


@given(st.dictionaries(st.text(max_size=4), JSON, max_size=5), st.text(max_size=4), JSON, st.sampled_from([None, 1]))
def test_replacing_a_key_is_replacing_it_in_the_decoded_object(
    mapping: dict[str, Any], key: str, value: Any, indent: int | None
) -> None:
    """What is spliced decodes to what a dictionary would hold, whatever the spacing."""
    text = json.dumps(mapping, indent=indent)

    assert json.loads(rawjson.replace(text, (key,), value)) == {**mapping, key: value}


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"{}",
        b'{"rootfs":{}}',
        b'{"rootfs":{"diff_ids":[1]}}',
        b"\xff",
        b'{"rootfs":{"diff_ids":[]},"history":[null]}',
        b'{"rootfs":{"diff_ids":[]},"created":"\\ud800"}',
        b'{"rootfs":{"diff_ids":[]},"created":7}',
        b'{"rootfs":{"diff_ids":[]},"history":{}}',
        b'{"rootfs":{"diff_ids":[]},"x":' + b"[" * 100_000,
        b'{"rootfs":{"diff_ids":[]},"rootfs":{"diff_ids":[]}}',
        b'{"rootfs":{"diff_ids":[]},"RootFS":{"diff_ids":[]}}',
        b'{"rootfs":{"diff_ids":[]},"History":[]}',
        b'{"rootfs":{"diff_ids":[]},"config":{},"Config":{}}',
        b'{"rootfs":{"diff_ids":[]},"config":{"Labels":{},"labels":{}}}',
        b'\xef\xbb\xbf{"rootfs":{"diff_ids":[]}}',
        b'{"rootfs":{"diff_ids":[]},"config":"x"}',
        b'{"rootfs":{"diff_ids":[]},"config":{"Labels":["a"]}}',
    ],
)
def test_no_configuration_is_one_sentence(raw: bytes) -> None:
    """What is no image configuration is refused with the image's name."""
    with pytest.raises(SourceError, match="app:1"):
        Config.parse(raw, "app:1")


def test_platform_names_the_variant() -> None:
    """An arm image says which arm."""
    raw = b'{"os":"linux","architecture":"arm64","variant":"v8","rootfs":{"diff_ids":[]}}'

    assert Config.parse(raw, "app:1").platform == "linux/arm64/v8"


def test_source_date_is_the_images_and_the_historys() -> None:
    """A date that is given replaces the image's own, and slimmer's line bears it; older lines keep theirs."""
    raw = b'{"created":"2024-02-29T12:00:00Z","rootfs":{"diff_ids":["sha256:1"]},"history":[{"created":"2023-01-01T00:00:00Z"}]}'
    config = Config.parse(raw, "app:1")

    dated = config.flattened("sha256:new", "slimmer run", {}, "1970-01-01T00:00:00Z")
    undated = config.flattened("sha256:new", "slimmer run", {})

    assert dated.raw.startswith(b'{"created":"1970-01-01T00:00:00Z",')
    assert [line["created"] for line in dated.mapping["history"]] == ["2023-01-01T00:00:00Z", "1970-01-01T00:00:00Z"]
    assert undated.mapping["created"] == undated.mapping["history"][1]["created"] == "2024-02-29T12:00:00Z"


@pytest.mark.parametrize("created", ["", ',"created":null', ',"created":""'])
def test_an_image_without_a_date_gets_none(created: str) -> None:
    """No clock takes the place of a date that the image does not have; one that is given is added."""
    config = Config.parse(f'{{"rootfs":{{"diff_ids":["sha256:1"]}}{created}}}'.encode(), "app:1")

    assert "created" not in config.flattened("sha256:new", "slimmer run", {}).mapping["history"][0]
    dated = config.flattened("sha256:new", "slimmer run", {}, "1970-01-01T00:00:00Z").mapping
    assert dated["created"] == dated["history"][0]["created"] == "1970-01-01T00:00:00Z"


@pytest.mark.parametrize(
    "kept",
    [
        b'"twice":1,"twice":2,"Twice":3',
        b'"gr\xc3\xb6\xc3\x9fer":"\xf0\x9f\x90\x8b","\\u00e9\\ud83d\\udc0b":"\\/\\u2028\xe2\x80\xa8"',
        b'"half":"\\ud800"',
        b'"n":[1E400,-0,0.10,' + b"9" * 5000 + b",1e-7]",
        b'"deep":' + b'{"a":[' * 100 + b"null" + b"]}" * 100,
        b'"variant":"v8","os.version":"10","os.features":["a"],"architecture":"arm64"',
        b'"config" : { "Env":["A=\\u003c"] , "x":{"y":{"Labels":{"a":1}}},"NetworkDisabled":true,"StartInterval":1e9}',
    ],
    ids=["repeated keys", "not ASCII", "half a pair", "numbers", "nested", "platform", "config"],
)
def test_what_nobody_knows_survives_byte_for_byte(kept: bytes) -> None:
    """Whatever stands beside what slimmer changes is the same bytes afterwards."""
    raw = b'{"rootfs":{"diff_ids":["sha256:1"]},' + kept + b',"last":[ ]}'

    slimmed = Config.parse(raw, "app:1").flattened("sha256:new", "slimmer run", {})

    assert b"," + kept + b',"last":[ ],"history":[' in slimmed.raw


@pytest.mark.parametrize("count", [0, 1, 5])
def test_history_that_does_not_fit_the_layers(count: int) -> None:
    """More lines than layers or fewer: each is kept, byte for byte, as one of an empty layer, and one line has the layer."""
    lines = [b'{"created_by":"\\u0026 %d","n":[1E400, 2.0],"half":"\\ud800"}' % number for number in range(count)]
    raw = b'{"rootfs":{"diff_ids":["sha256:1","sha256:2"]},"history":[%s]}' % b" , ".join(lines)

    slimmed = Config.parse(raw, "app:1").flattened("sha256:new", "slimmer run", {})

    for line in lines:
        assert line[:-1] + b',"empty_layer":true}' in slimmed.raw
    history = slimmed.mapping["history"]
    assert [line.get("empty_layer", False) for line in history] == [True] * count + [False]


@given(st.lists(JSON, max_size=4), st.sampled_from([None, 1]))
def test_elements_are_the_arrays_elements(array: list[Any], indent: int | None) -> None:
    """An array taken apart is what it was decoded to, whatever the spacing."""
    assert [json.loads(element) for element in rawjson.elements(json.dumps(array, indent=indent))] == array
