"""What the audit asks of a row's results, check by check, each with its evidence; pure functions.

After the checks that Carlini et al. (2019) and Athalye et al. (2018) ask of every claim of robustness. A check asks for
attacks and threats by what they declare.
"""
