"""From stored results to a published table: no torch, no models, results alone."""
