"""YAML that people read."""

from __future__ import annotations

import yaml
from hypothesis import given
from hypothesis import strategies as some

from taskbridge.monitoring.yaml import yaml_of

texts = some.text(max_size=40) | some.sampled_from(
    ["yes", "5m", "1e3", "a: b", "a #b", "- a", "a\nb", " a\nb", "a\n", "{{ x }}"]
)
scalars = (
    texts
    | some.integers(-(10**9), 10**9)
    | some.sampled_from([1e-05, 1e20, -2e-9])
    | some.floats(allow_nan=False, allow_infinity=False, width=32)
)
values = some.recursive(
    scalars | some.booleans() | some.none(),
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


@given(value=values)
def test_what_is_written_is_read_back(value: object):
    """By another's reader: the same values of the same types, whatever is in a text."""
    assert value == yaml.safe_load(yaml_of(value))


def test_it_reads_like_a_file_by_hand():
    """Texts without quotes where they need none; a query of several lines stands as it is; lists are indented."""
    value = {"groups": [{"rules": [{"expr": "a > 1\nor b", "for": "5m", "says": "it is: late", "labels": {"x": "z"}}]}]}

    assert """\
groups:
  - rules:
      - expr: |-
          a > 1
          or b
        for: 5m
        says: "it is: late"
        labels:
          x: z
""" == yaml_of(value)
