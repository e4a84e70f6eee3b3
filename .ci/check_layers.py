#!/usr/bin/env python3
"""Checks the layers of include/sinq from its #include lines: L0 <- L1 <- L2 <- L3 <- L4 <- umbrellas.

- A header includes lower layers, and its own folder. The folders of one layer do not include each other.
- kernels/ and io/ need only L2: not each other, nor quantize.hpp, nor anything else of L3.
- detail/ has no layer: what a detail header includes counts as included by whoever includes it.
- Eigen stands in eigen.hpp alone, and run.hpp and io.hpp do not reach it; nlohmann-json stands in io/ alone.
- parallel/ is optional: nothing includes it, and it includes L0.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent / "include" / "sinq"
FOLDERS = {
    "normalize": 1, "quantizers": 1, "packing": 1, "block_formats": 1, "kernels": 3, "io": 3, "calibration": 4, "fold": 4, "parallel": 4,
}
FILES = {
    "abi.hpp": 0, "compiled.hpp": 0, "progress.hpp": 0, "quantize_report.hpp": 0, "version.hpp": 0, "error.hpp": 0, "types.hpp": 0, "half.hpp": 0, "finite.hpp": 0, "isa.hpp": 0, "matrix_view.hpp": 0,
    "tile.hpp": 0, "layout.hpp": 0, "executor.hpp": 0,
    "packing/lane_trellis.hpp": 0,  # what its bits mean: the encoder under quantizers/ needs that, too
    "quantized_matrix.hpp": 2,
    "allocation.hpp": 1, "config.hpp": 3, "quantize.hpp": 3, "dequantize.hpp": 3, "any_config.hpp": 3, "presets.hpp": 3, "measure_error.hpp": 3, "eigen.hpp": 3,
    "sinq.hpp": 5, "run.hpp": 5, "io.hpp": 5, "calibration.hpp": 5, "fold.hpp": 5,
}
NEEDS_ONLY = {"kernels": 2, "io": 2, "parallel": 0}
INCLUDE = re.compile(r'^\s*#\s*(?:include|define\s+SINQ_KERNEL)\s*[<"]([^>"]+)[>"]', re.MULTILINE)


def folder(header):
    return header.split("/")[0] if "/" in header else ""


def layer(header):
    return FILES.get(header, FOLDERS.get(folder(header)))


def read_includes():
    """Header -> (headers of sinq, other headers) that its text names."""
    out = {}
    for path in sorted(ROOT.rglob("*.hpp")):
        names = INCLUDE.findall(path.read_text(encoding="utf-8"))
        own = [name.removeprefix("sinq/") for name in names if name.startswith("sinq/")]
        out[path.relative_to(ROOT).as_posix()] = (own, [name for name in names if not name.startswith("sinq/")])
    return out


def reach(header, includes, through):
    """What `header` includes, followed through the headers that `through` accepts."""
    seen, todo = set(), list(includes[header][0])
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            if name in includes and through(name):
                todo += includes[name][0]
    return seen


def problem_of(a, b):
    """Why `a` may not include `b`, or None."""
    if layer(b) is None:
        return "has no layer: add it to .ci/check_layers.py"
    if folder(b) == "parallel" and folder(a) != "parallel":
        return "parallel/ is optional"
    if folder(a) and folder(a) == folder(b):
        return None
    limit = NEEDS_ONLY.get(folder(a))
    if limit is not None and layer(b) > limit:
        return f"{folder(a)}/ needs only L{limit}, this is L{layer(b)}"
    if layer(b) > layer(a):
        return f"L{layer(a)} includes L{layer(b)}"
    if layer(b) == layer(a) and (folder(a) or folder(b)) and layer(a) not in (0, 5):
        return f"folders of L{layer(a)} do not include each other"
    return None


def main():
    includes = read_includes()
    problems = []
    for header, (own, other) in includes.items():
        for name in own:
            if name not in includes:
                problems.append(f"{header}: includes sinq/{name}, which does not exist")
        for name in other:
            if name.startswith("Eigen/") and header != "eigen.hpp":
                problems.append(f"{header}: includes <{name}>; Eigen stands in eigen.hpp alone")
            if name.startswith("nlohmann/") and folder(header) != "io":
                problems.append(f"{header}: includes <{name}>; JSON stands in io/ alone")
        if folder(header) == "detail":
            continue
        if layer(header) is None:
            problems.append(f"{header}: has no layer: add it to .ci/check_layers.py")
            continue
        for name in sorted(reach(header, includes, lambda name: folder(name) == "detail")):
            if folder(name) == "detail" or name not in includes:
                continue
            why = problem_of(header, name)
            if why:
                problems.append(f"{header}: includes {name}: {why}")
    for umbrella in ("run.hpp", "io.hpp"):
        if umbrella in includes and "eigen.hpp" in reach(umbrella, includes, lambda name: True):
            problems.append(f"{umbrella}: reaches eigen.hpp")
    for problem in problems:
        print(problem)
    print(f"{len(includes)} headers, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
