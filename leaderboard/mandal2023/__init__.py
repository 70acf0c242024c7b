"""The seed paper (Mandal 2023): its numbers, and what was measured beside them."""
