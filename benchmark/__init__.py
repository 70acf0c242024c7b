"""The harness: data, classifiers, training, the grid, and the command line ``bench``."""
