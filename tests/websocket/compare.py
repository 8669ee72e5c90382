"""Compares the suite's reports of the same server without and with the balancer before it: REPORT/index.json."""

import json
import sys

PASSED = ("OK", "NON-STRICT", "INFORMATIONAL")


def outcome(case):
    return case["behavior"], case["behaviorClose"], case["remoteCloseCode"]


def key(name):
    return [int(part) for part in name.split(".")]


def main(path):
    with open(path) as report:
        index = json.load(report)
    direct, through = index["direct"], index["balancer"]
    names = sorted(set(direct) | set(through), key=key)
    families = {}
    different = []
    for name in names:
        family = families.setdefault(name.split(".")[0], [0, 0, 0])
        family[0] += 1
        if name not in direct or name not in through:
            different.append((name, direct.get(name), through.get(name)))
            continue
        family[1] += through[name]["behavior"] in PASSED and through[name]["behaviorClose"] in PASSED
        if outcome(direct[name]) == outcome(through[name]):
            family[2] += 1
        else:
            different.append((name, outcome(direct[name]), outcome(through[name])))
    print("family  cases  passed  same as without the balancer")
    for family, (cases, passed, same) in families.items():
        print(f"{family:>6}  {cases:>5}  {passed:>6}  {same:>4}")
    cases, passed, same = (sum(column) for column in zip(*families.values()))
    took = [sum(case["duration"] for case in side.values()) / 1000 for side in (direct, through)]
    print(f"   all  {cases:>5}  {passed:>6}  {same:>4}   ({took[0]:.0f} s without, {took[1]:.0f} s with the balancer)")
    for name in names:
        if name in through and through[name]["behavior"] not in PASSED and name in direct and outcome(direct[name]) == outcome(through[name]):
            print(f"case {name}: {outcome(direct[name])} on both ways: the server's own")
    for name, before, behind in different:
        print(f"case {name}: {before} without the balancer, {behind} with it", file=sys.stderr)
    print(f"{same} passed, {len(different)} failed")
    return 1 if different or not cases else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
