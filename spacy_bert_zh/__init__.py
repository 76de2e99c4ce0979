"""Chinese BERT text classification inside spaCy pipelines.

Importing this package is cheap: spaCy finds the components and architectures
through entry points, and torch is imported only when a torch backbone is built.
"""

__version__ = "0.1.0"
