"""A text classifier as a SavedModel: Keras graphs that cut texts into pieces themselves."""
