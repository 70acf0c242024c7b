"""What is kept: one result a cell, and the store that holds them."""
