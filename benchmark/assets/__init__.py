"""What is attacked: data sets, classifiers, trained weights, and how they are loaded."""
