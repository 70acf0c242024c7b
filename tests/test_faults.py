"""What goes wrong in a plug-in is told where it went wrong, and takes nothing else along."""

from __future__ import annotations

import json

from conftest import SMALL_RUN

from purification_bench.defenses.faults import told

FAULTY = """
from helper import strength
from purification_bench import Defense, register_defense


@register_defense("faulty")
class Faulty(Defense):
    def purify(self, x):
        return x.view(strength(), 5)


@register_defense("exiting")
class Exiting(Defense):
    def purify(self, x):
        raise SystemExit
"""


def rows(folder):
    cells = (json.loads(path.read_text()) for path in (folder / "results" / "cells").glob("*.json"))
    return [row for row in cells if row["status"] == "error"]


def test_an_error_names_the_line_and_an_exit_is_an_error_like_any_other(bench, small_config, tmp_path):
    """The plug-in imports the file beside it."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "helper.py").write_text("def strength():\n    return 3\n")
    (tmp_path / "own" / "faulty.py").write_text(FAULTY)
    words = ("--plugin", "own/faulty.py", "--defenses", "faulty,exiting", "--attacks", "noise", "--eps", "0.1")
    status, out, _ = bench("run", "--config", small_config, *SMALL_RUN, *words)
    assert status == 1
    assert "(faulty.py, line 9)" in out and "in purify" not in out
    assert "7 cells computed" not in out and "cells computed, 0 kept" in out
    errors = {row["identity"]["defense"]["name"]: row["error"] for row in rows(tmp_path)}
    assert errors["faulty"].startswith("RuntimeError: shape '[3, 5]' is invalid")
    assert "faulty.py, line 9, in purify: return x.view(strength(), 5)" in errors["faulty"]
    assert str(tmp_path) not in errors["faulty"]
    assert errors["exiting"].startswith("SystemExit: (faulty.py, line 15)")
    page = (tmp_path / "results" / "README.md").read_text()
    assert "(faulty.py, line 9)" in page and "in purify" not in page


def test_debug_shows_the_calls_at_once(bench, small_config, tmp_path):
    (tmp_path / "loud.py").write_text(FAULTY.replace("from helper import strength\n", "").replace("strength()", "3"))
    text = (tmp_path / "loud.py").read_text().replace('"faulty"', '"loud"').replace('"exiting"', '"leaving"')
    (tmp_path / "loud.py").write_text(text)
    words = ("--plugin", "loud.py", "--defenses", "loud", "--attacks", "noise", "--eps", "0.1", "--debug")
    _, out, _ = bench("run", "--config", small_config, *SMALL_RUN, *words)
    assert "loud.py, line 8, in purify: return x.view(3, 5)" in out


def test_a_long_message_is_cut_in_the_row_and_kept_below_it():
    first, *_, last = told(ValueError("word " * 100)).splitlines() * 2
    assert len(first) <= 200 and first.endswith("…")
    try:
        raise ValueError("word " * 100)
    except ValueError as error:
        kept = told(error)
    assert kept.splitlines()[0].startswith(first[:150])
    assert kept.splitlines()[-1].count("word") == 100
    assert last == first


def test_a_plugin_that_registers_nothing_is_told_and_a_folder_is_refused(bench, tmp_path):
    (tmp_path / "idle.py").write_text("x = 1\n")
    status, _, err = bench("list", "defenses", "--plugin", "idle.py")
    assert (status, err) == (0, "bench: warning: plug-in 'idle.py' registers nothing\n")
    status, _, err = bench("list", "defenses", "--plugin", ".")
    assert (status, err) == (2, "bench: plug-in '.' is a folder: name the Python file in it that registers something\n")


def test_a_plugin_that_does_not_import_names_its_line(bench, tmp_path):
    (tmp_path / "typo.py").write_text("import torch\n\ntorch.no_such_thing\n")
    status, _, err = bench("list", "defenses", "--plugin", "typo.py")
    assert status == 2 and err.count("\n") == 1
    assert err.endswith("AttributeError: module 'torch' has no attribute 'no_such_thing' (typo.py, line 3)\n")
