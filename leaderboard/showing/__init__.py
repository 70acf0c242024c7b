"""How it is shown: tables, pages, pictures."""
