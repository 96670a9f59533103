"""Serve the recognizer: a page to drop recordings on, and an HTTP API.

Serves the packaged Bento if there is one, otherwise the current ensemble; with -c, the current ensemble with
those settings. Stop with ctrl-C.

    britekit serve --port 3000
"""

from typing import Annotated, Optional

from britekit.options import ConfigPath, opt


def serve(
    cfg_path: ConfigPath = None,
    bento_path: Annotated[
        Optional[str],
        opt(
            "--bento",
            metavar="FILE",
            help="packaged Bento (default: models/britekit-ensemble.bento if it exists and no -c)",
        ),
    ] = None,
    port: Annotated[int, opt("--port", help="port to listen on (default: 3000)")] = 3000,
    host: Annotated[str, opt("--host", help="address to listen on (default: 127.0.0.1)")] = "127.0.0.1",
) -> int:
    """Serve until ctrl-C or SIGTERM."""
    from pathlib import Path

    from britekit.errors import InputError
    from britekit.inference.model_files import resolve_for_models
    from britekit.service.server import DEFAULT_BENTO, serve_bento, serve_ensemble

    def announce(url: str) -> None:
        print(f"url = {url}", flush=True)

    if bento_path is not None and cfg_path is not None:
        raise InputError("--bento carries its own settings; give either --bento or -c")
    if bento_path is None and cfg_path is None and Path(DEFAULT_BENTO).is_file():
        bento_path = DEFAULT_BENTO
    if bento_path is not None:
        return serve_bento(Path(bento_path), host, port, announce)
    cfg, members = resolve_for_models(cfg_path, None)
    return serve_ensemble(cfg, members, host, port, announce)
