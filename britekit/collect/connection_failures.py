"""Describe connection errors in a few words."""

import requests
import urllib3


def reason_of(error: BaseException, connect_s: float, read_s: float) -> str:
    """Return a short reason; the libraries' own messages contain the whole address."""
    chain: list[BaseException] = []
    seen: BaseException | None = error
    while seen is not None and len(chain) < 10:
        chain.append(seen)
        inner = [item for item in (*seen.args, getattr(seen, "reason", None)) if isinstance(item, BaseException)]
        seen = inner[0] if inner else seen.__cause__ or seen.__context__
    kinds = (urllib3.exceptions.NameResolutionError,)
    if any(isinstance(item, kinds) for item in chain):
        return "the host name is unknown"
    # urllib3 derives refused connections from timeouts, so check for them first
    late = (requests.ConnectTimeout, urllib3.exceptions.ConnectTimeoutError)
    refused = urllib3.exceptions.NewConnectionError
    if any(isinstance(item, late) and not isinstance(item, refused) for item in chain):
        return f"no connection within {connect_s:.0f} s"
    timeouts = (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError)
    if any(isinstance(item, timeouts) and not isinstance(item, refused) for item in chain):
        return f"no data for {read_s:.0f} s"
    if any(isinstance(item, (requests.exceptions.SSLError, urllib3.exceptions.SSLError)) for item in chain):
        return "the host's certificate is not valid"
    words = [item.strerror for item in chain if isinstance(item, OSError) and item.strerror]
    return f"the connection failed ({words[-1].lower()})" if words else "the connection was cut"
