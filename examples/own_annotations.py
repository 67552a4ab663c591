"""From a table of labels to a benchmark, its audit, and what a baseline gets on it.

python examples/own_annotations.py ANNOTATIONS OUTPUT
"""

import sys
from pathlib import Path

from llavaction import audit, build_benchmark, evaluate


def main(annotations: str, output: str) -> None:
    """Build, audit, evaluate."""
    folder = Path(output)
    benchmark = build_benchmark(annotations, split="all", options=3, miner="random", output=folder / "benchmark")
    print(f"{len(benchmark.questions)} questions")
    print(audit(benchmark)["verdict"])
    run = evaluate(folder / "benchmark", "prior", folder / "prior")
    print(f"class frequencies alone: {run.metrics['accuracy']['value']:.1%} right")


if __name__ == "__main__":
    main(*sys.argv[1:])
