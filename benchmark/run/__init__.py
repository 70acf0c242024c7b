"""A run: what is asked for, laid out as cells, attacked, judged, stored."""
