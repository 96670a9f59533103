"""Serve the recognizer: a page to drop recordings on, and an HTTP API.

Serves the packaged Bento if there is one, otherwise the current ensemble; with -c, the current ensemble with
those settings. Stop with ctrl-C. On an address that other machines reach, it needs a token: BRITEKIT_TOKENS or
BRITEKIT_TOKENS_FILE. With --jobs it takes recordings of any length at /jobs and keeps their results for a week.

    britekit serve --port 3000
    BRITEKIT_TOKENS=lab:Zk3v9T0wqXr5LbNc britekit serve --host 0.0.0.0 --jobs jobs
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
    stage: Annotated[
        Optional[str], opt("--stage", help="serve the Bento that `promote` gave this stage, such as production")
    ] = None,
    jobs_path: Annotated[
        Optional[str], opt("--jobs", metavar="DIR", help="folder for jobs; without it, /jobs is off (or BRITEKIT_JOBS)")
    ] = None,
    no_token: Annotated[bool, opt("--no-token", help="let everybody in, also from other machines")] = False,
) -> int:
    """Serve until ctrl-C or SIGTERM."""
    import os
    from pathlib import Path

    from britekit.errors import InputError
    from britekit.inference.model_files import resolve_for_models
    from britekit.service.access import NO_TOKEN_VARIABLE
    from britekit.service.jobs.settings import FOLDER_VARIABLE
    from britekit.service.server import DEFAULT_BENTO, serve_bento, serve_ensemble

    def announce(url: str) -> None:
        print(f"url = {url}", flush=True)

    if jobs_path is not None:
        os.environ[FOLDER_VARIABLE] = jobs_path
    if no_token:
        os.environ[NO_TOKEN_VARIABLE] = "1"
    if bento_path is not None and cfg_path is not None:
        raise InputError("--bento carries its own settings; give either --bento or -c")
    if stage is not None:
        from britekit.project.promotion import promoted_bento
        from britekit.tracking.facts import project_root

        if bento_path is not None or cfg_path is not None:
            raise InputError("--stage names a Bento; give neither --bento nor -c with it")
        with promoted_bento(project_root(), stage) as path:
            return serve_bento(path, host, port, announce)
    if bento_path is None and cfg_path is None and Path(DEFAULT_BENTO).is_file():
        bento_path = DEFAULT_BENTO
    if bento_path is not None:
        return serve_bento(Path(bento_path), host, port, announce)
    cfg, members = resolve_for_models(cfg_path, None)
    return serve_ensemble(cfg, members, host, port, announce)
