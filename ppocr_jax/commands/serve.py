"""`ppocr-jax serve`: run the HTTP server with its web page."""

from __future__ import annotations

import argparse
import ipaddress
import logging
import os
import signal
import socket
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ppocr_jax.commands.common import add_networks, network_options, positive
from ppocr_jax.errors import UserError
from ppocr_jax.serve.settings import ServerSettings
from ppocr_jax.signals import ending_signals

if TYPE_CHECKING:
    from fastapi import FastAPI

_SETTINGS, _TOKEN = "PPOCR_JAX_SERVER", "PPOCR_JAX_TOKEN"  # environment variables
_MOST_CONNECTIONS = 1000  # per process; further connections get 503 at once
_IDLE_SECONDS = 15  # a connection without a request is closed after this time
_DEFAULTS = ServerSettings()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `serve`."""
    group = parser.add_argument_group("address options")
    group.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1, this machine only)"
    )
    group.add_argument(
        "--port", type=int, default=8000, help="port to listen on; 0 takes any free port (default: 8000)"
    )
    group.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help=f"file with the access token, instead of the environment variable {_TOKEN}",
    )
    group = parser.add_argument_group("OCR options")
    add_networks(group, models=_DEFAULTS.models)
    group.add_argument(
        "--workers",
        type=positive,
        default=1,
        metavar="N",
        help="number of processes; one that dies is replaced (default: 1)",
    )
    group.add_argument(
        "--threads", type=positive, metavar="N", help="pages that a process reads at a time (default: one per core)"
    )
    group.add_argument(
        "--combine", action=argparse.BooleanOptionalAction, help="let pages share network calls (default: on a GPU)"
    )
    group = parser.add_argument_group("limits")
    for field, metavar, text in (
        ("max_upload_mib", "N", "maximum size of a request body in MiB"),
        ("max_held_mib", "N", "maximum size of all request bodies together in MiB"),
        ("max_pixels", "N", "maximum pixels per page, width x height"),
        ("max_pages", "N", "maximum pages per document"),
        ("queue", "N", "maximum requests that wait or are being read"),
        ("upload_seconds", "S", "seconds for a request body to arrive"),
        ("read_seconds", "S", "seconds to answer a request after that"),
        ("grace_seconds", "S", "seconds for running requests to finish when the server stops"),
    ):
        default = getattr(_DEFAULTS, field)
        kind, flag = positive if metavar == "N" else float, f"--{field.replace('_', '-')}"
        group.add_argument(flag, type=kind, default=default, metavar=metavar, help=f"{text} (default: {default:,})")


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM, SIGINT or SIGHUP; running requests are answered first.

    Raises:
        UserError: An option is invalid, a model or package is missing, or the address is not available.
    """
    try:
        import uvicorn

        import ppocr_jax.serve.app  # noqa: F401
    except ImportError as error:
        raise UserError(f'the server needs {error.name}: pip install "ppocr-jax[serve]"') from error
    settings = settings_of(args)
    _check(settings)
    if not settings.token and not _is_loopback(args.host):
        logging.getLogger("ppocr_jax").warning(
            "anyone who can reach %s can use this server: no token is set (--token-file)", args.host
        )
    os.environ[_SETTINGS] = settings.to_json()
    with tempfile.TemporaryDirectory(prefix="ppocr_jax-metrics-") as folder:
        if args.workers > 1:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder  # shared by the worker processes for their metrics
        port = args.port or _free_port(args.host)
        for number in ending_signals():
            signal.signal(number, lambda *_: signal.raise_signal(signal.SIGTERM))
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn raises the signal again after its shutdown
        host = f"[{args.host}]" if ":" in args.host else args.host
        print(f"http://{host}:{port} reads with {', '.join(settings.models)}", flush=True)
        uvicorn.run(
            f"{__name__}:app_of_environment",
            factory=True,
            host=args.host,
            port=port,
            workers=args.workers,
            access_log=False,  # `serve.observe` logs requests
            log_level="warning",
            server_header=False,
            limit_concurrency=_MOST_CONNECTIONS,
            timeout_keep_alive=_IDLE_SECONDS,
            timeout_graceful_shutdown=max(1, round(settings.grace_seconds)),
        )
    return 0


def settings_of(args: argparse.Namespace) -> ServerSettings:
    """Return the settings from options, the token file and the environment.

    Raises:
        UserError: A value is invalid, or the token file cannot be read.
    """
    token = os.environ.pop(_TOKEN, "")
    if args.token_file is not None:
        try:
            token = args.token_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"cannot read {args.token_file}: {getattr(error, 'strerror', None) or error}") from error
        if not token:
            raise UserError(f"{args.token_file} contains no token")
    names = [name for name in vars(_DEFAULTS) if name not in ("models", "networks", "token")]
    values = {name: getattr(args, name) for name in names}
    return ServerSettings(models=tuple(args.model), networks=network_options(args), token=token, **values)


def app_of_environment() -> FastAPI:
    """Return the application in a worker process; `run` passes the settings in an environment variable."""
    from ppocr_jax.serve.app import create_app

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", stream=sys.stderr)
    logging.getLogger("ppocr_jax").setLevel(logging.INFO)
    return create_app(ServerSettings.from_json(os.environ[_SETTINGS]))


def _check(settings: ServerSettings) -> None:
    """Check that letters and models can be loaded, so that an error is reported once and not by each worker."""
    from ppocr_jax.charset import load_letters
    from ppocr_jax.inference.model_folder import load_model_folder
    from ppocr_jax.inference.onnx_files import with_onnx_files

    if "letters" in settings.networks:
        load_letters(settings.networks["letters"])
    for name in settings.models:
        with_onnx_files(load_model_folder(name), device="cpu", **settings.files)


def _free_port(host: str) -> int:
    """Return a port that is free now.

    Raises:
        UserError: This machine has no such address.
    """
    try:
        with socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as listener:
            return listener.getsockname()[1]
    except OSError as error:
        raise UserError(f"cannot listen on {host}: {error.strerror or error}") from error


def _is_loopback(host: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"
