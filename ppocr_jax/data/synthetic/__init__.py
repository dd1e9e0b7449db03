"""Pictures of text that never was: lines for recognisers, pages for detectors, drawn on demand from a seed."""
