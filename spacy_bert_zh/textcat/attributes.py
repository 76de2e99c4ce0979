"""Numbers in thinc models that the config decides on.

thinc saves a layer's attributes and reads them back over those that the config gave, so that a
setting changed or overridden later would be ignored without a word. These stay as the config says.
"""

from typing import Any, TypeVar

import numpy as np
from thinc.api import Model, deserialize_attr

Setting = TypeVar("Setting")


class Factor(np.float32):
    """Of arrays of float32, which remain that; CuPy takes it as a plain float alone."""


class Size(int):
    """A whole number."""


@deserialize_attr.register(Factor)
@deserialize_attr.register(Size)
def _keep(configured: Setting, saved: bytes, name: str, model: Model[Any, Any]) -> Setting:
    return configured
