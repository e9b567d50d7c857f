"""Print the numbers of docs/architecture.md: files, lines, longest import chain, cycles, uses of Any.

Run `python docs/architecture_numbers.py` (grimp comes with import-linter). Imports inside functions count, imports for
type checkers only do not; the modules of a cycle count as one in a chain. The second chain counts besides that Python
runs the `__init__` of a package before any of its files: who asks a registry for a name loads all that it registers.
"""

import re
from pathlib import Path

import grimp

SOURCE = Path(__file__).parents[1] / "src" / "tracetune"


def main() -> None:
    """Print them."""
    graph = grimp.build_graph("tracetune", exclude_type_checking_imports=True, cache_dir=None)
    imports = {module: sorted(graph.find_modules_directly_imported_by(module)) for module in graph.modules}
    cycles = [cycle for cycle in components(imports) if len(cycle) > 1]
    chain = longest_chain(imports)
    texts = [path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py")]
    lines = sum(text.count("\n") for text in texts)
    uses = sum(len(re.findall(r"\bAny\b", re.sub(r"^from typing import.*$", "", text, flags=re.M))) for text in texts)
    print(f"{len(texts)} files, {lines:,} lines, {1000 * uses / lines:.1f} uses of Any per 1,000 lines")
    print(f"longest import chain: {len(chain)}: {' > '.join(chain)}")
    print(f"with packages run before their files: {len(longest_chain(with_packages(imports)))}")
    print(f"cycles: {cycles or 'none'}")


def with_packages(imports: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return the imports, and for each one from outside of a package that of the package itself."""
    found: dict[str, list[str]] = {}
    for module, others in imports.items():
        parts = [other.split(".") for other in others]
        packages = {".".join(names[:count]) for names in parts for count in range(2, len(names))}
        inside = {package for package in packages if module == package or module.startswith(f"{package}.")}
        found[module] = sorted({*others, *(packages & imports.keys()) - inside})
    return found


def components(imports: dict[str, list[str]]) -> list[list[str]]:
    """Return the strongly connected components, whatever others import before what imports them (Tarjan 1972)."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    path: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> None:
        number[module] = lowest[module] = len(number)
        path.append(module)
        for other in imports[module]:
            if other not in number:
                visit(other)
            if other in path:
                lowest[module] = min(lowest[module], lowest[other])
        if lowest[module] == number[module]:
            start = path.index(module)
            found.append(path[start:])
            del path[start:]

    for module in imports:
        if module not in number:
            visit(module)
    return found


def longest_chain(imports: dict[str, list[str]]) -> list[str]:
    """Return the longest chain of modules of which each imports the next; one module stands for its cycle."""
    parts = components(imports)
    part_of = {module: index for index, part in enumerate(parts) for module in part}
    chains: list[list[str]] = []
    for index, part in enumerate(parts):
        below = {part_of[other] for module in part for other in imports[module]} - {index}
        chains.append([part[0], *max((chains[other] for other in below), key=len, default=[])])
    return max(chains, key=len)


if __name__ == "__main__":
    main()
