"""The published vectors of linked runs, made by the oracle alone.

`PYTHONPATH=tests/support python -m linked_vectors` writes them to `tests/vectors/linked`.
"""

import json
from pathlib import Path

import linked_shares_oracle as oracle
from secure_sum_oracle import Document, write
from secure_sum_vectors import RUN, STUDY, scripted

FOLDER = Path(__file__).resolve().parents[1] / "vectors" / "linked"
PLAN = "91" * 32
SEEDS = (scripted("seed 0"), scripted("seed 1"))
CONTENT, SECRET = scripted("content key"), scripted("secret of two")
PARTS = {name: scripted(f"part {name}") for name in ("amf", "skola", "sof")}
IDS = [f"19{year}8{month}01{year}{month}" for year in (51, 67, 84) for month in (1, 2, 3)]


def streams() -> Document:
    cases = []
    for label, chunk, bits in (("share/sof", 1, 32), ("share/sof", 2, 64), ("zero", 3, 32)):
        elements = oracle.stream(SEEDS[0], label, chunk, bits, length=9)
        cases.append(
            {"label": label, "chunk": chunk, "bits": bits, "octets": write(elements, bits).hex()}
        )
    return {"seed": SEEDS[0].hex(), "cases": cases}


def bodies() -> Document:
    cases = []
    for kind, values, chunk, bits in (
        ("share", [0, 1, 0, 0, 1, 1, 0, 0, 0], 1, 32),
        ("share", [1, 0, 0, 1], 2**32, 64),
        ("totals", [17, 3], 4, 32),
    ):
        label = f"{kind}/sof"
        found = oracle.shares(values, SEEDS, label, chunk, bits)
        aad = oracle.associated(STUDY, PLAN, int(RUN), chunk, label)
        cases.append(
            {
                "kind": kind,
                "values": values,
                "chunk": chunk,
                "bits": bits,
                "shares": [write(share, bits).hex() for share in found],
                "associated": aad.hex(),
                "body": oracle.body(found[2], key=CONTENT, chunk=chunk, bits=bits, aad=aad).hex(),
            }
        )
    return {
        "study": STUDY,
        "plan": PLAN,
        "run": RUN,
        "department": "sof",
        "seeds": [seed.hex() for seed in SEEDS],
        "content": CONTENT.hex(),
        "cases": cases,
    }


def boxes() -> Document:
    cases = []
    for sender, to, purpose, data in (
        ("sof", "revision", "seeds", SEEDS[1] + CONTENT),
        ("revision", "sof", "seeds", SEEDS[1] + CONTENT),
        ("sof", "amf", "mix", PARTS["sof"]),
    ):
        key = oracle.box_key(SECRET, sender, to, STUDY, int(RUN), purpose)
        cases.append(
            {
                "sender": sender,
                "to": to,
                "purpose": purpose,
                "key": key.hex(),
                "data": data.hex(),
                "sealed": oracle.seal(key, 0, b"", data).hex(),
            }
        )
    return {"study": STUDY, "run": RUN, "secret": SECRET.hex(), "cases": cases}


def spine() -> Document:
    key = oracle.spine_key(PARTS, STUDY, int(RUN))
    return {
        "study": STUDY,
        "run": RUN,
        "parts": {name: part.hex() for name, part in PARTS.items()},
        "key": key.hex(),
        "ids": IDS,
        "order": oracle.order(IDS, key),
        "register": "a register",
        "digest": oracle.register_digest(b"a register", key),
    }


def every() -> dict[str, Document]:
    return {"streams": streams(), "bodies": bodies(), "boxes": boxes(), "spine": spine()}


def render(document: Document) -> str:
    return json.dumps(document, indent=2, ensure_ascii=True) + "\n"


def main() -> None:
    for name, document in every().items():
        (FOLDER / f"{name}.json").write_text(render(document), encoding="ascii")


if __name__ == "__main__":
    main()
