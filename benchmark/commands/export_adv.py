"""``bench export-adv``: the adversarial images of a store, as files that ``bench score`` reads."""

from __future__ import annotations

import argparse

from purification_bench.attacks.submitted import Submission
from purification_bench.benchmark.run import adversarial
from purification_bench.defenses.errors import UserError
from purification_bench.leaderboard.results.store import Store, file_stem


def run(args: argparse.Namespace) -> int:
    """Write one file for each Linf set of ``args.store`` that is there."""
    store = Store(args.store)
    args.folder.mkdir(parents=True, exist_ok=True)
    written: set[str] = set()
    for result in store.results():
        key = (result.adversarial_set or {}).get("key")
        if key is None or key in written or result.threat_model.get("norm") != "linf":
            continue
        made = adversarial.read(store, key)
        if made is None:
            continue
        attack = result.identity["attack"]
        seen = [] if attack["estimator"] in ("bare", "transfer") else [result.defense]
        what = [*result.place, attack["label"], f"{result.eps:g}", attack["estimator"], *seen]
        name = f"{file_stem(what)}-{key[:8]}"
        Submission(name, result.dataset, "linf", result.eps, made.x_adv).write(args.folder / f"{name}.npz")
        written.add(key)
    if not written:
        raise UserError(f"{str(args.store)!r} holds no adversarial images: a run keeps them in its folder adversarial/")
    print(f"{args.folder}: {len(written)} files")
    return 0
