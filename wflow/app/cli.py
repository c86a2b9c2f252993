"""This file owns the entry point `wflow`: it says what is missing where the extra `app` is not installed."""

import sys

_missing = ""
try:
    from wflow.app.commands import app
    from wflow.app.exits import at_once
    from wflow.app.hypotheses import hypotheses

    app.command()(hypotheses)
except ModuleNotFoundError as error:
    missing = (error.name or "").split(".")[0]
    if missing not in ("typer", "rich"):
        raise
    _missing = missing

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line."""
    if _missing:
        sys.stderr.write(f"wflow: the command line needs {_missing}; install it with: pip install 'wflow[app]'\n")
        raise SystemExit(2)
    at_once()
    app()


if __name__ == "__main__":
    main()
