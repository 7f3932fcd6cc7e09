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
        b'{"rootfs":{"diff_ids":[]},"history":[{"created_by":"\\ud800"}]}',
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
