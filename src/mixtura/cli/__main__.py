"""``python -m mixtura.cli``."""

from mixtura.cli.program import main

if __name__ == "__main__":
    main()
