# The HTTP server, for CPUs: docker build -t ppocr_jax . && docker run --rm -p 127.0.0.1:8000:8000 ppocr_jax
# For others than this machine give it a token: -e PPOCR_JAX_TOKEN=... (docs/server.md).
FROM python:3.12-slim AS build
WORKDIR /src
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.12-slim
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir "$(echo /wheels/*.whl)[serve,heif]" && rm -r /wheels
RUN useradd --system --uid 10001 --no-create-home reader
# ONNX Runtime would look up a host by itself.
ENV ORT_DISABLE_TELEMETRY=1 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/ready', timeout=4)"]
ENTRYPOINT ["ppocr-jax"]
CMD ["serve", "--host", "0.0.0.0"]
