"""Bulk reading from and to S3, as moto's server on this machine speaks it."""

import pytest

pytest.importorskip("fsspec", reason="needs the extra bulk")
pytest.importorskip("pyarrow", reason="needs the extra bulk")

from ppocr_jax.bulk.parts import BulkOutput
from ppocr_jax.bulk.run import BulkSettings, run_bulk
from tests.bulk.test_bulk import image


@pytest.fixture
def store(monkeypatch):
    s3fs = pytest.importorskip("s3fs", reason="needs s3fs")
    pytest.importorskip("moto.server", reason="needs moto[server]")
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    yield s3fs.S3FileSystem()
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


def test_a_bucket_is_read_into_another(store, stripes_model):
    store.mkdir("scans")
    store.mkdir("results")
    written = {f"scans/{name}.png": image(text) for name, text in {"a": "abc", "deep/b": "cba", "c": "b"}.items()}
    for path, data in written.items():
        store.pipe_file(path, data)
    settings = BulkSettings(model=str(stripes_model))
    tally = run_bulk(["s3://scans"], "s3://results/first", settings=settings)
    assert (tally.documents, tally.errors) == (3, 0)
    rows = list(BulkOutput("s3://results/first", "parquet", words=False).rows())
    found = {row["image"]: row["text"] for row in rows}
    assert found == {"s3://scans/a.png": "abc", "s3://scans/deep/b.png": "cba", "s3://scans/c.png": "b"}
    store.pipe_file("scans/d.png", image("aa"))
    tally = run_bulk(["s3://scans/*.png"], "s3://results/first", settings=settings)
    assert (tally.documents, tally.skipped) == (1, 2)
