"""Release images of the agents: pulled by digest, or built here from package registries alone."""

from innkeeper.images.build import ImageBuilder
from innkeeper.images.catalogue import Built, Source

__all__ = ["Built", "ImageBuilder", "Source"]
