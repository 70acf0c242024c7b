"""Names with options, as the command line writes them."""

from __future__ import annotations

from typing import Literal

import pytest

from purification_bench.defenses.errors import UserError
from purification_bench.defenses.registry import DEFENSES
from purification_bench.defenses.spec import make_spec, parse_number, split_list


def test_a_list_is_split_outside_brackets():
    assert split_list("cae[latent_dim=32,noise=0.1], none") == ["cae[latent_dim=32,noise=0.1]", "none"]


def test_brackets_may_be_nested():
    assert split_list("cae[against=pgd[steps=2,alpha=1]],none") == ["cae[against=pgd[steps=2,alpha=1]]", "none"]
    assert DEFENSES.spec("cae[eps=0.15,against=pgd[steps=20]]").options["against"] == "pgd[steps=20]"


@pytest.mark.parametrize(("text", "value"), [("0.3", 0.3), ("8/255", 8 / 255), ("1", 1.0), ("1e-2", 0.01)])
def test_numbers_may_be_fractions(text, value):
    assert parse_number(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["x", "1/0", "1/x", "", "0.3.1"])
def test_what_is_no_number_is_refused(text):
    with pytest.raises(UserError, match="not a number"):
        parse_number(text)


def test_defaults_are_filled_in_and_left_out_of_the_label():
    spec = DEFENSES.spec("cae[latent_dim=32, noise=1]")
    assert spec.options == {"against": "fgsm", "eps": 0.6, "latent_dim": 32, "noise": 1.0}
    assert spec.label == "cae[latent_dim=32]"


def test_options_that_a_row_must_show_are_in_the_label_whatever_their_value():
    spec = DEFENSES.spec("defensegan")
    assert spec.label == f"defensegan[restarts={spec.options['restarts']},steps={spec.options['steps']}]"


@pytest.mark.parametrize("text", ["cae[against=pgd,eps=3/20,noise=0]", "defensegan", "puvae[noise=0]"])
def test_a_label_reads_back_as_the_same_spec(text):
    spec = DEFENSES.spec(text)
    assert DEFENSES.spec(spec.label) == spec


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ca", "unknown defense 'ca'; did you mean 'cae'"),
        ("cae[latent=3]", "did you mean 'latent_dim'"),
        ("cae[latent_dim=many]", "takes int, not 'many'"),
        ("cae[latent_dim=0.5]", "takes int, not 0.5"),
        ("cae[latent_dim]", "write option=value"),
        ("cae[eps=1,eps=2]", "given twice"),
        ("cae[noise=nan]", "must be a finite JSON scalar"),
        ("cae[latent_dim=3", "cannot read"),
    ],
)
def test_mistakes_are_named(text, message):
    with pytest.raises(UserError) as caught:
        DEFENSES.spec(text)
    assert message in str(caught.value)


def test_a_value_that_the_constructor_refuses_is_a_user_error():
    with pytest.raises(UserError, match="noise must not be negative"):
        DEFENSES.create("cae[noise=-1]")


def test_a_choice_of_words_is_checked():
    class Chooses:
        def __init__(self, *, mode: Literal["a", "b"] = "a") -> None: ...

    assert make_spec("defense", "chooses", Chooses, {"mode": "b"}).label == "chooses[mode=b]"
    with pytest.raises(UserError, match="must be one of a, b, not 'c'"):
        make_spec("defense", "chooses", Chooses, {"mode": "c"})
