#!/usr/bin/env python3
"""shared_symbols.py PLAIN.o NEWER.o: weak symbols that both define and that the newer file compiled to instructions which
an older machine lacks. The linker keeps one of each; if it is the newer one, the plain file's code stops with SIGILL."""
import re
import subprocess
import sys

# What nlohmann-json uses that depends on no type of ours: the texts of its errors, printing of doubles, its parser's
# stack. See include/sinq/README.md.
KNOWN = re.compile(r"nlohmann::|std::operator\+<char,|^std::vector<bool, std::allocator<bool> >::push_back")
NEWER = re.compile(r"v(?!er[rw]\b)\w+|shlx|sarx|shrx|andn|mulx|rorx|bextr|bls\w+|pdep|pext|bzhi|movbe|[lt]zcnt")


def output(*command, text=None):
    return subprocess.run(command, capture_output=True, text=True, check=True, input=text).stdout.splitlines()


def weak_symbols(path):
    fields = [line.split() for line in output("nm", "--defined-only", path)]
    return {field[2] for field in fields if len(field) == 3 and field[1] in "WVu"}


def newer_functions(path):
    """Function -> its instructions that need a newer machine."""
    found, function = {}, ""
    for line in output("objdump", "-d", "--no-show-raw-insn", path):
        if match := re.match(r"[0-9a-f]+ <(.*)>:", line):
            function = match[1]
        elif (match := re.match(r"\s+[0-9a-f]+:\s+(\S+)", line)) and NEWER.fullmatch(match[1]):
            found.setdefault(function, set()).add(match[1])
    return found


def main():
    plain, newer = sys.argv[1:3]
    shared = weak_symbols(plain) & weak_symbols(newer)
    newer = {name: found for name, found in newer_functions(newer).items() if name in shared}
    names = output("c++filt", text="\n".join(newer))
    problems = [(name, found) for name, found in zip(names, newer.values()) if not KNOWN.search(name)]
    for name, found in problems:
        print(f"{name}: {' '.join(sorted(found))}")
    print(f"{len(shared)} shared symbols, {len(newer)} with newer instructions, {len(problems)} of them not known")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
