#!/usr/bin/env python3
"""Computes the tables of the test vectors a second time, from docs/reference/placement.md alone (pip install xxhash)."""
import json, pathlib, struct, sys
from decimal import Decimal, getcontext
from xxhash import xxh3_64_intdigest as xxh3

getcontext().prec = 50
SLOTS, LOW, M64 = 1 << 18, (1 << 18) - 1, (1 << 64) - 1
LOG2 = [int((1 + Decimal(i) / 2048).ln() / Decimal(2).ln() * 2**32 + Decimal("1e-30")) for i in range(2049)]


def minus_log2(draw):
    draw |= 1
    zeros = 64 - draw.bit_length()
    mantissa = draw << (zeros + 1) & M64
    i, rest = mantissa >> 53, mantissa >> 21 & 0xFFFFFFFF
    return (zeros + 1 << 32) - LOG2[i] - ((LOG2[i + 1] - LOG2[i]) * rest >> 32)


def spread(slot):
    x = (slot + 1) * 0x9E3779B97F4A7C15 & M64
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & M64
    x = (x ^ x >> 27) * 0x94D049BB133111EB & M64
    return x ^ x >> 31


def cost(seed, weight, slot, key):
    x = (slot ^ seed >> 46) * (seed & LOW | 1) & LOW
    x = (x ^ x >> 9) * (seed >> 17 & LOW | 1) & LOW
    x = (x ^ x >> 9) * (seed >> 34 & LOW | 1) & LOW
    return minus_log2((x ^ x >> 9) << 46 | (key ^ seed) >> 18) * ((1 << 25) // weight)


def rendezvous(seats):
    total, seeds = sum(w for _, w in seats), [(xxh3(n), w) for n, w in seats]
    pairs = [(cost(*s, slot, key), slot, m) for slot, key in enumerate(map(spread, range(SLOTS))) for m, s in enumerate(seeds)]
    pairs.sort()
    room, owners, score = [-(-SLOTS * w * 101 // (total * 100)) for _, w in seats], [None] * SLOTS, [[] for _ in range(SLOTS)]
    for _, slot, m in pairs:
        score[slot].append(m)
        if owners[slot] is None and room[m] > 0:
            owners[slot], room[m] = m, room[m] - 1
    return owners, lambda key: [owners[xxh3(key) >> 46]] + score[xxh3(key) >> 46]


def circle(owners, start):
    return [owners[(start + i) % len(owners)] for i in range(len(owners))]


def ring(seats):
    points = sorted((xxh3(n, seed=j), m) for m, (n, w) in enumerate(seats) for j in range(160 * w))
    owners = [m for _, m in points]
    return owners, lambda key: circle(owners, next((i for i, p in enumerate(points) if p[0] >= xxh3(key)), 0))


def maglev(seats):
    size, price = 65537, max(w for _, w in seats)
    turns, owners, free = [[xxh3(n, seed=0) % size, xxh3(n, seed=1) % (size - 1) + 1, w, 0] for n, w in seats], [None] * size, size
    while free:
        for m, t in enumerate(turns):
            t[3] += t[2]
            if t[3] >= price and free:
                t[3] -= price
                while owners[t[0]] is not None:
                    t[0] = (t[0] + t[1]) % size
                owners[t[0]], free = m, free - 1
    return owners, lambda key: circle(owners, xxh3(key) % size)


def classroom(seats, ids):
    slots = [None] * 512
    for number, m in sorted(zip(ids, range(len(seats)))):
        for j in range(9):
            at = (number**2 + j**2 + 2 * j + 25) % 512
            while slots[at] is not None:
                at = (at + 1) % 512
            slots[at] = m
    owners = [next(m for m in slots[at:] + slots[:at] if m is not None) for at in range(512)]
    number = lambda key: int(key) if key.isdigit() else 100000 + xxh3(key) % 900000
    return owners, lambda key: circle(owners, (number(key) ** 2 + 2 * number(key) + 17) % 512)


def check(path):
    vector = json.loads(path.read_text("utf-8"))
    given = [m["name"] for m in vector["members"]]
    order = sorted(range(len(given)), key=lambda i: given[i].lower())
    seats = [(given[i].lower().encode(), vector["members"][i]["weight"]) for i in order]
    build = {"Rendezvous": rendezvous, "Ring": ring, "Maglev": maglev, "Classroom": lambda s: classroom(s, [i + 1 for i in order])}
    owners, rank = build[vector["algorithm"]](seats)
    text = f"lbpool table 1 {vector['algorithm']}\n" + "".join(f"{n.decode()} {w}\n" for n, w in seats)
    digest = f"{xxh3(text.encode() + struct.pack(f'<{len(owners)}H', *owners)):016x}"
    assert digest == vector["digest"], f"{path.name}: digest {digest}, published {vector['digest']}"
    for entry in vector["keys"]:
        names = [given[order[m]] for m in dict.fromkeys(rank(entry["key"].encode()))][: len(entry["rank"])]
        assert names == entry["rank"], f"{path.name}: {entry['key']!r} is {names}, published {entry['rank']}"
    print(f"{path.name}: {len(seats)} members, {len(vector['keys'])} keys, digest {digest}")


for file in sorted(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent).glob("*.json")):
    check(file)
