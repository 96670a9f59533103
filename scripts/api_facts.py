"""Print the public names of an installed britekit with their signatures, as JSON.

    python scripts/api_facts.py > facts.json

Run by the interpreter of the package in question: what `import britekit` offers, the public methods of its classes, and
the functions of `britekit.commands`. `tests/api` compares the facts of the public package 1.8.4 with ours.
"""

import inspect
import json
import sys
import warnings


def signature_of(value: object) -> list[list[str]] | None:
    """Return each parameter's name, kind and default as text; None if there is no signature."""
    try:
        parameters = inspect.signature(value).parameters.values()  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    found = []
    for each in parameters:
        if each.name in ("self", "cls"):
            continue
        default = "" if each.default is each.empty else repr(each.default)
        found.append([each.name, each.kind.name, default])
    return found


def facts() -> dict[str, object]:
    """Return name to signature, for names, methods and commands."""
    import britekit
    from britekit import commands

    found: dict[str, object] = {}
    names = getattr(britekit, "__all__", None) or [name for name in dir(britekit) if name[0] != "_"]
    for name in sorted(names):
        value = getattr(britekit, name)
        if inspect.ismodule(value):
            if name == "util":
                for inner, function in inspect.getmembers(value, inspect.isfunction):
                    if inner[0] != "_" and function.__module__ == value.__name__:
                        found[f"util.{inner}"] = signature_of(function)
            continue
        found[name] = signature_of(value)
        if inspect.isclass(value):
            for inner, method in inspect.getmembers(value, callable):
                own = str(getattr(method, "__module__", "")).startswith("britekit")
                if inner[0] != "_" and inner not in dir(object) and not inspect.isclass(method) and own:
                    found[f"{name}.{inner}"] = signature_of(method)
    listed = getattr(commands, "__all__", None) or dir(commands)
    for name in sorted(listed):
        value = getattr(commands, name, None)  # 1.8.4 lists one name that it does not have
        if name[0] != "_" and inspect.isfunction(value):
            found[f"commands.{name}"] = signature_of(value)
    return found


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    json.dump(facts(), sys.stdout, indent=1)
