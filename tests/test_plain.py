"""A plain class with ``purify`` is a defense like any other, from where it is registered on."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from purification_bench.defenses.base import Defense, decodes, is_trained, relaxes, sees_classifier
from purification_bench.defenses.errors import UserError
from purification_bench.defenses.registry import DefenseRegistry

ONES = torch.ones(1, 1, 2, 2)


class Dim:
    """Dim the image.

    More is told here.
    """

    version = "7"
    shown_options = frozenset({"factor"})

    def __init__(self, *, factor: float = 0.5, noise: float = 0.0) -> None:
        if factor < 0:
            raise ValueError(f"factor must not be negative, not {factor}")
        self.factor = factor
        self.stochastic = noise > 0

    def purify(self, x):
        return self.factor * x


class Network(nn.Module):
    """A module that is no defense, with all that a trained one defines."""

    training_knowledge = "classifier"
    inference_options = frozenset({"steps"})

    def __init__(self, *, steps: int = 3) -> None:
        super().__init__()
        self.steps = steps
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, z):
        return z

    def build(self, shape, num_classes):
        self.shape = shape

    def purify(self, x):
        return x * self.scale

    def relaxation(self, x):
        return x / 4

    def encode(self, x):
        return x.flatten(1)

    def decode(self, z):
        return z.view(-1, *self.shape)

    def fit(self, context):
        self.scale.data.fill_(context)


@pytest.fixture
def registry():
    registry = DefenseRegistry("defense", "purification_bench.defenses")
    assert registry.register("dim")(Dim) is Dim
    assert registry.register("network")(Network) is Network
    return registry


def test_it_is_made_a_subclass_of_defense_that_is_called_as_the_user_calls_it(registry):
    cls = registry.get("dim")
    assert issubclass(cls, Defense)
    assert (cls.__name__, cls.__module__, cls.__doc__) == ("Dim", __name__, Dim.__doc__)
    assert registry.entries()["dim"].summary == "Dim the image."
    assert registry.entries()["dim"].provider == __file__


def test_it_purifies_and_has_the_defaults_of_what_it_does_not_define(registry):
    defense = registry.create("dim[factor=0.25]")
    defense.build((1, 2, 2), 10)
    assert isinstance(defense, Defense)
    assert torch.equal(defense(ONES), ONES / 4)
    assert torch.equal(defense.surrogate(ONES), ONES)
    assert torch.equal(defense.relaxation(ONES), ONES / 4)
    with pytest.raises(NotImplementedError, match="Dim has no latent code"):
        defense.decode(ONES)


def test_its_flags_are_those_of_the_class_or_of_the_object(registry):
    cls = registry.get("dim")
    assert (cls.version, cls.stochastic, cls.differentiable, cls.undefended) == ("7", False, True, False)
    assert registry.create("dim[noise=1]").stochastic
    assert not registry.create("dim").stochastic


def test_its_options_are_those_of_its_constructor(registry):
    assert registry.spec("dim").label == "dim[factor=0.5]"
    assert registry.spec("dim[factor=1]").options == {"factor": 1.0, "noise": 0.0}
    with pytest.raises(UserError, match="unknown option of defense 'dim': 'facto'; did you mean 'factor'"):
        registry.spec("dim[facto=1]")
    with pytest.raises(UserError, match="takes float, not 'much'"):
        registry.spec("dim[factor=much]")
    with pytest.raises(UserError, match=r"defense 'dim\[factor=-1.0\]': factor must not be negative"):
        registry.create("dim[factor=-1]")


@pytest.mark.parametrize(
    ("name", "answers"), [("dim", (False, False, False, False)), ("network", (True, True, True, True))]
)
def test_what_it_can_do_is_what_it_defines(name, answers, registry):
    cls = registry.get(name)
    assert (is_trained(cls), decodes(cls), relaxes(cls), sees_classifier(cls)) == answers


def test_what_a_plain_module_defines_is_forwarded(registry):
    defense = registry.create("network")
    defense.build((1, 2, 2), 10)
    defense.fit(3.0)
    assert torch.equal(defense.purify(ONES), 3 * ONES)
    assert torch.equal(defense(ONES), 3 * ONES), "a forward of its own is no purifier"
    assert torch.equal(defense.decode(defense.encode(ONES)), ONES)
    assert torch.equal(defense.relaxation(ONES), ONES / 4)
    assert [float(value) for value in defense.state_dict().values()] == [3.0]
    assert registry.get("network").inference_options == {"steps"}


def test_its_source_is_the_users_file(registry):
    source = Path(__file__).read_bytes().replace(b"purification_bench.", b"")
    assert registry.source_digest("dim") == hashlib.sha256(source).hexdigest()


def test_registered_again_it_is_the_same_and_another_class_is_refused(registry):
    cls = registry.get("dim")
    registry.register("dim")(Dim)
    assert registry.get("dim") is cls
    with pytest.raises(UserError, match="two defenses are named 'dim'"):
        registry.register("dim")(Network)


def test_a_class_without_purify_is_refused(registry):
    with pytest.raises(UserError, match=r"defense class 'Path' defines no purify\(x\)"):
        registry.register("path")(Path)


def test_weights_that_nothing_would_keep_are_refused(registry):
    class Forgets:
        purify = fit = len

    with pytest.raises(UserError, match=r"Forgets' defines fit: derive it from Defense"):
        registry.register("forgets")(Forgets)


def test_one_is_brought_by_an_entry_point(tmp_path):
    (tmp_path / "plain_defense.py").write_text("class Plain:\n    def purify(self, x):\n        return x\n")
    info = tmp_path / "plain_defense-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plain-defense\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[purification_bench.defenses]\nplain = plain_defense:Plain\n")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); "
        "from purification_bench.defenses import Defense; from purification_bench.defenses.registry import DEFENSES; "
        "print(isinstance(DEFENSES.create('plain'), Defense), DEFENSES.entries()['plain'].provider)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["True", "plain-defense"]
