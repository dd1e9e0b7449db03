"""Tracing a network takes longer than what is told by its shapes, and every test asks for those of several."""

import jax
import pytest


@pytest.fixture(autouse=True, scope="module")
def _networks_are_traced_once():
    pytest.importorskip("flax", reason="needs ppocr-jax[train]")
    from ppocr_jax.convert import identify, inference_file

    with pytest.MonkeyPatch.context() as patch:
        for module, name in ((identify, "variable_shapes"), (inference_file, "layers_of_network")):
            patch.setattr(module, name, _once_each(getattr(module, name)))
        yield


def _once_each(of_network):
    """`of_network` of a specification, which cannot be a key itself."""
    results = {}

    def remembered(spec):
        if repr(spec) not in results:
            results[repr(spec)] = of_network(spec)
        return jax.tree.map(lambda leaf: leaf, results[repr(spec)])  # containers of one's own

    return remembered
