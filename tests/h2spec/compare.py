"""Compares what h2spec said with what is expected: EXPECTED OUTPUT... An expected failure is a line `RUN CASE REASON`; OUTPUT is RUN.txt."""

import pathlib
import re
import sys

PARTS = {
    "Generic tests": "generic",
    "Hypertext Transfer Protocol": "http2",
    "HPACK": "hpack",
}
ESCAPE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
SECTION = re.compile(r"^\s+(\d+(?:\.\d+)*)\. ")


def outcomes(text):
    """What came of each case, by its name: None where it passed, else what h2spec says."""
    part, section, found, failed = None, None, {}, None
    # Behind this all failures are told once more.
    text = ESCAPE.sub("", text).split("\nFailures:")[0]
    for line in re.split(r"[\r\n]", text):
        for title, name in PARTS.items():
            if line.startswith(title):
                part, section, failed = name, None, None
        if match := SECTION.match(line):
            section, failed = match[1], None
        elif match := re.search(r"([\u2714\u00d7]) (\d+): (.*)", line):
            name = f"{part}/{section}/{match[2]}"
            failed = name if match[1] == "\u00d7" else None
            found[name] = [match[3]] if failed else None
        elif failed and line.strip():
            if re.match(r"\s+\d+: ", line):
                failed = None
            else:
                found[failed].append(line.strip())
    return found


def expected(path):
    """The cases that shall fail in each run."""
    lines = pathlib.Path(path).read_text().splitlines()
    words = [line.split(None, 2) for line in lines if line.strip() and not line.startswith("#")]
    assert all(len(line) == 3 for line in words), f"{path}: a line is `RUN CASE REASON`"
    return lambda run: {case for of, case, _ in words if of == run}


def main(path, outputs):
    wrong = 0
    for output in outputs:
        name = pathlib.Path(output).stem
        known = expected(path)(name)
        found = outcomes(pathlib.Path(output).read_text())
        failed = {case for case, said in found.items() if said}
        print(f"{name:>6}: {len(found)} cases, {len(found) - len(failed)} passed, {len(failed & known)} failed as expected")
        for case in sorted(failed - known):
            print(f"{name}: {case} failed: " + " | ".join(found[case]), file=sys.stderr)
        passed = sorted(case for case in known if case in found and not found[case])
        for case in passed:
            print(f"{name}: {case} passed, and {path} says that it fails", file=sys.stderr)
        wrong += len(failed - known) + len(passed) + (not found)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
