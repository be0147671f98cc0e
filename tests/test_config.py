"""The environment switches: defaults, parsing, refusals, and changing them for a while."""

import os

import pytest

from flambeau.core import config


def test_table_covers_every_attribute():
    assert [switch.attribute for switch in config.SWITCHES] == list(config.Config.__slots__)
    assert len({switch.name for switch in config.SWITCHES}) == len(config.SWITCHES)
    assert all(switch.name.startswith("FLAMBEAU_") for switch in config.SWITCHES)


def test_defaults():
    plain = config.read({})
    assert (plain.debug, plain.check, plain.device) == (0, False, "cpu")
    assert plain.threads >= 1
    assert plain.cache is not None
    assert os.path.basename(plain.cache) == "flambeau"


def test_values(tmp_path):
    given = config.read(
        {
            "FLAMBEAU_DEBUG": "3",
            "FLAMBEAU_CHECK": "1",
            "FLAMBEAU_CACHE": str(tmp_path),
            "FLAMBEAU_THREADS": "2",
            "FLAMBEAU_DEVICE": "meta",
        }
    )
    assert (given.debug, given.check, given.threads, given.device) == (3, True, 2, "meta")
    assert given.cache == str(tmp_path)
    assert config.read({"FLAMBEAU_CACHE": "0"}).cache is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("FLAMBEAU_DEBUG", "6"),
        ("FLAMBEAU_DEBUG", "much"),
        ("FLAMBEAU_CHECK", "yes"),
        ("FLAMBEAU_THREADS", "0"),
        ("FLAMBEAU_THREADS", "two"),
        ("FLAMBEAU_CPU", "z80"),
    ],
)
def test_refusals_name_the_variable(name, text):
    with pytest.raises(ValueError, match=f"{name}='{text}': must be"):
        config.read({name: text})


def test_override_ends():
    before = config.config.debug
    with pytest.raises(KeyError), config.override(debug=5, check=True) as current:
        assert current is config.config
        assert (current.debug, current.check) == (5, True)
        raise KeyError
    assert config.config.debug == before
    with pytest.raises(AttributeError), config.override(nonsense=1):
        pass
