"""Pictures of text that never was: lines for recognizers, pages for detectors, drawn on demand from a seed."""
