"""`python -m seamline`: the command `seamline`, or `seamline-serve` where serving alone is installed."""

from importlib.util import find_spec

if find_spec("seamline.cli") is not None:
    from seamline.cli.main import main
else:
    from seamline.serve_cli.main import main

if __name__ == "__main__":
    main()
