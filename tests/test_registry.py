"""The decorator is the list: what is listed without importing is what importing registers."""

from __future__ import annotations

import subprocess
import sys

import pytest
from conftest import BROKEN

from purification_bench.benchmark.registries import REGISTRIES
from purification_bench.defenses.base import Defense
from purification_bench.defenses.errors import UserError
from purification_bench.defenses.plugins import load_plugin
from purification_bench.defenses.registry import DEFENSES, Registry

EVERY_NAME = [(kind, name) for kind, registry in REGISTRIES.items() for name in registry.names()]


@pytest.mark.parametrize(("kind", "name"), EVERY_NAME)
def test_every_listed_name_can_be_had_and_is_described_alike(kind, name):
    entry = REGISTRIES[kind].entries()[name]
    cls = REGISTRIES[kind].get(name)
    assert entry.summary == cls.__doc__.strip().split("\n")[0]


def test_listing_imports_no_torch():
    code = (
        "import sys; from purification_bench.benchmark.registries import REGISTRIES; "
        "[r.names() for r in REGISTRIES.values()]; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_second_class_of_one_name_raises():
    registry = Registry("defense", "purification_bench.defenses")
    registry.register("mine")(type("First", (Defense,), {}))
    with pytest.raises(UserError, match="two defenses are named 'mine'"):
        registry.register("mine")(type("Second", (Defense,), {}))


def test_a_plugin_cannot_take_the_name_of_a_builtin(tmp_path):
    plugin = tmp_path / "mine.py"
    plugin.write_text(
        "from purification_bench import Defense, register_defense\n@register_defense('cae')\nclass C(Defense): ...\n"
    )
    with pytest.raises(UserError, match="two defenses are named 'cae'"):
        load_plugin(plugin)


def test_a_plugin_that_does_not_import_says_why(tmp_path):
    plugin = tmp_path / "mine.py"
    plugin.write_text("import nothing_of_that_name\n")
    with pytest.raises(UserError, match="does not import: ModuleNotFoundError"):
        load_plugin(plugin)


def test_an_edited_plugin_is_another_source():
    load_plugin(BROKEN)
    assert DEFENSES.source_digest("cae") is None
    assert len(DEFENSES.source_digest("raises")) == 64


def test_a_made_object_remembers_its_spec():
    assert DEFENSES.create("median[size=5]").spec.label == "median[size=5]"


def test_an_installed_distribution_brings_defenses_by_entry_point(tmp_path):
    """A real installed package, as pip leaves it: a module and its metadata."""
    (tmp_path / "invert_defense.py").write_text(
        "from purification_bench import Defense\n\n\nclass Invert(Defense):\n"
        '    """Invert twice."""\n\n    def purify(self, x):\n        return 1 - (1 - x)\n'
    )
    info = tmp_path / "invert_defense-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: invert-defense\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[purification_bench.defenses]\ninvert = invert_defense:Invert\n")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); "
        "from purification_bench.defenses.registry import DEFENSES; "
        "print(DEFENSES.entries()['invert'].provider, DEFENSES.create('invert').spec.label)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["invert-defense", "invert"]
