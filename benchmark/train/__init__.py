"""How classifiers and defenses are trained."""
