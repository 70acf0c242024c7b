"""How far the vote of a smoothed defense is certified."""

from __future__ import annotations

from collections.abc import Sequence

from purification_bench.leaderboard.judging.certified import ALPHA, certified_accuracy, largest_radius
from purification_bench.leaderboard.results.certificate import Certificate
from purification_bench.leaderboard.showing.names import shortened
from purification_bench.leaderboard.showing.table import Table, figures, words
from purification_bench.leaderboard.showing.values import Count, Name, Number, Size, Term, Value, known, text

RADII = (0.25, 0.5, 1.0, 1.5, 2.0)
NOTE = text(
    "Of a defense that begins with Gaussian noise, the ",
    Term("vote"),
    " is the class that the classifier would see most often, were there no end of draws. Within the ",
    Term("certified"),
    " L2 radius no attack whatever moves it (randomised smoothing: Cohen et al. 2019). Figures are the share of clean "
    "images whose vote is right and certified at the radius; at 0, whose vote is right and shown to be a majority. "
    f"Each holds with a chance of {100 * (1 - ALPHA):g} % an image (Clopper-Pearson). —: so many draws cannot certify "
    "this radius, even if all agree. ",
    Term("Sigma"),
    " is the noise as the defense declares it; a certificate is worth no more than that. All other tables judge single "
    "draws, most of them in Linf: the two are not to be compared.",
)


def certified(where: str, certificates: Sequence[Certificate]) -> Table:
    """Return certified accuracy against radius, one row a certificate of one data set and classifier."""
    short = shortened([each.defense for each in certificates])
    rows = [_row(each, short[each.defense]) for each in certificates]
    radii = [f"L2 {radius:g}" for radius in RADII]
    headings = [*words("defense"), *figures("sigma", "L2 0", *radii, "n", "draws", "seed", "s an image")]
    return Table(f"{where}: certified", headings, rows, NOTE)


def _row(certificate: Certificate, name: str) -> list[Value]:
    n, largest = len(certificate.counts), largest_radius(certificate)
    return [
        Name(name),
        Size(round(certificate.sigma, 3)),
        *(known(certified_accuracy(certificate, each) if each <= largest else None) for each in (0.0, *RADII)),
        Count(n),
        Count(certificate.samples),
        Count(certificate.seed),
        Number(certificate.seconds / n, "s"),
    ]
