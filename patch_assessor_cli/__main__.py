"""`python -m patch_assessor_cli`: what `patch-assessor` is where it is installed."""

from patch_assessor_cli.clients import main

if __name__ == "__main__":
    main()
