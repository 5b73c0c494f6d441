"""Music into dance: *Dancing to Music* (Lee et al., NeurIPS 2019), whole. README.md maps the modules."""

__version__ = "0.1.0"
