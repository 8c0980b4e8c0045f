"""`python -m lesionbench`."""

from lesionbench.cli.main import main

if __name__ == "__main__":
    main()
