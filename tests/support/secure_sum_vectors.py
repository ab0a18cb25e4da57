"""The published vectors of the secure sum, made by the oracle alone.

`PYTHONPATH=tests/support python -m secure_sum_vectors` writes them to `tests/vectors/secure-sum`.
"""

import hashlib
import json
from pathlib import Path

import secure_sum_oracle as oracle
from secure_sum_oracle import Document

FOLDER = Path(__file__).resolve().parents[1] / "vectors" / "secure-sum"
STUDY, RUN, WITNESS = "5e" * 32, str(2**62 + 1), "revision"
NAMES = ("amf", "skola-fritid", "sof")


def scripted(text: str) -> bytes:
    return hashlib.sha256(b"datalabbet/vector/" + text.encode()).digest()


# The first two ephemeral keys are those of RFC 7748, section 6.1.
EPHEMERAL = {
    "amf": bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"),
    "skola-fritid": bytes.fromhex(
        "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"
    ),
    "sof": scripted("ephemeral sof"),
    WITNESS: scripted("ephemeral revision"),
}
IDENTITY = {name: scripted(f"identity {name}") for name in EPHEMERAL}

LOW_ORDER = [
    "00" * 32,
    "01" + "00" * 31,
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ec" + "ff" * 30 + "7f",
]
SECOND_SPELLING = ["ed" + "ff" * 30 + "7f", "ee" + "ff" * 30 + "7f", "09" + "00" * 30 + "80"]


def encoding() -> Document:
    cases = []
    for bits in (32, 64):
        half = 2 ** (bits - 1)
        for value in (0, 1, -1, 258, -258, half - 1, -half):
            element = oracle.encode(value, bits)
            octets = oracle.write([element], bits).hex()
            cases.append({"bits": bits, "value": str(value), "octets": octets})
    return {"cases": cases, "bounds": [bound(*each) for each in BOUNDS]}


# ring, length, largest, scale, nodes: the last that fits, and the first that does not.
BOUNDS = [
    (32, 1, 10**8, 2**20, 21),
    (32, 1, 10**8, 2**20, 22),
    (32, 10**6, 10**7, 2**24, 68),
    (32, 10**6, 10**7, 2**24, 69),
    (64, 10**6, 2**53 - 1, 2**25, 1023),
    (64, 10**6, 2**53 - 1, 2**25, 1024),
]


def bound(bits: int, length: int, largest: int, scale: int, nodes: int) -> Document:
    doublings = 0
    while 2**doublings < length:
        doublings += 1
    squared = nodes * scale**2 * (61 + doublings) * 13863 // 10000
    low, high = 0, 2**80
    while high - low > 1:  # the integer square root, by halving
        middle = (low + high) // 2
        low, high = (middle, high) if middle**2 <= squared else (low, middle)
    spread = low + 1
    return {
        "ring": bits,
        "length": length,
        "largest": largest,
        "scale": scale,
        "nodes": nodes,
        "spread": str(spread),
        "fits": nodes * largest + spread <= 2 ** (bits - 1) - 1,
    }


def roster(mode: str, minimum: int) -> Document:
    pinned = {name: oracle.identity_public(secret) for name, secret in IDENTITY.items()}
    witness = None
    if mode != "pairwise":
        witness = {"name": WITNESS, "identity": pinned[WITNESS]}
    return {
        "members": [{"name": name, "identity": pinned[name]} for name in NAMES],
        "mode": mode,
        "witness": witness,
        "minimum": minimum,
        "attempts": 3,
        "colluders": 1,
    }


def offers(rules: Document, names: tuple[str, ...]) -> list[Document]:
    found: list[Document] = []
    for name in names:
        statement: Document = {
            "roster": oracle.digest(rules, "secure-sum-roster"),
            "study": STUDY,
            "run": RUN,
            "member": name,
            "key": oracle.x25519_public(EPHEMERAL[name]),
        }
        signed = oracle.signature(IDENTITY[name], statement, "secure-sum-offer")
        found.append({"statement": statement, "signature": signed})
    return found


def cohort(rules: Document) -> Document:
    keyed = {n: {"name": n, "key": oracle.x25519_public(s)} for n, s in EPHEMERAL.items()}
    return {
        "roster": oracle.digest(rules, "secure-sum-roster"),
        "study": STUDY,
        "run": RUN,
        "members": [keyed[name] for name in NAMES],
        "witness": keyed[WITNESS] if rules["witness"] else None,
    }


def context(agreed: Document, bits: int, length: int) -> Document:
    return {
        "study": STUDY,
        "run": RUN,
        "step": "train/3/17",
        "attempt": 2,
        "cohort": oracle.digest(agreed, "secure-sum-cohort"),
        "model": "0d" * 32,
        "privacy": "9a" * 32,
        "code": "c0" * 32,
        "plan": {"ring": bits, "length": length, "largest": 2**20, "scale": 4096},
    }


def shared(one: str, other: str) -> bytes:
    return oracle.x25519(EPHEMERAL[one], oracle.x25519_public(EPHEMERAL[other]))


def masks() -> Document:
    cases = []
    for bits, length, one, other in (
        (32, 5, "amf", "skola-fritid"),
        (64, 3, "amf", "skola-fritid"),
        (64, 4, "sof", "amf"),
        (32, 9, "sof", WITNESS),
    ):
        low, high = sorted((one, other))
        bound_to = scripted(f"context {bits} {length}").hex()
        secret = shared(one, other)
        info = oracle.info(low, high, bound_to)
        mask = oracle.mask(secret, one, other, bound_to, bits=bits, length=length)
        cases.append(
            {
                "secret": secret.hex(),
                "low": low,
                "high": high,
                "context": bound_to,
                "info": info.hex(),
                "key": oracle.hkdf(secret, info).hex(),
                "bits": bits,
                "mask": oracle.write(mask, bits).hex(),
                "elements": [str(element) for element in mask],
            }
        )
    return {"cases": cases}


def step(mode: str, bits: int, answered: tuple[str, ...]) -> Document:
    """One whole step: keys, offers, context, messages, the witness's answer, the sum."""
    rules = roster(mode, minimum=2 if mode == "witness" else 3)
    witness = WITNESS if mode != "pairwise" else None
    everyone = (*NAMES, witness) if witness else NAMES
    agreed = cohort(rules)
    length = 4
    asked = context(agreed, bits, length)
    bound_to = oracle.digest(asked, "secure-sum-context")
    nodes, messages, units = [], [], []
    for place, name in enumerate(answered):
        values = [(place + 1) * each for each in (1, -1, 1000, -(2**18))]
        noise = [int.from_bytes(scripted(f"{name}{i}")[:2], "big") - 2**15 for i in range(length)]
        peers = [other for other in NAMES if other != name] if mode != "witness" else []
        secrets = {
            other: shared(name, other) for other in (*peers, *([witness] if witness else []))
        }
        noisy = [value + share for value, share in zip(values, noise, strict=True)]
        sent = oracle.message(name, noisy, secrets, witness=witness, context=bound_to, bits=bits)
        messages.append(sent)
        units.append(noisy)
        payload = oracle.write(sent, bits).hex()
        nodes.append({"member": name, "units": values, "noise": noise, "payload": payload})
    total = oracle.add(messages, bits)
    found: Document = {
        "identity_secrets": {name: IDENTITY[name].hex() for name in everyone},
        "ephemeral_secrets": {name: EPHEMERAL[name].hex() for name in everyone},
        "roster": rules,
        "roster_digest": oracle.digest(rules, "secure-sum-roster"),
        "offers": offers(rules, everyone),
        "cohort": agreed,
        "cohort_digest": oracle.digest(agreed, "secure-sum-cohort"),
        "context": asked,
        "context_digest": bound_to,
        "nodes": nodes,
    }
    if witness:
        pads = [
            oracle.mask(shared(witness, n), witness, n, bound_to, bits=bits, length=length)
            for n in answered
        ]
        summed = oracle.add(pads, bits)
        total = [(a - b) % 2**bits for a, b in zip(total, summed, strict=True)]
        found["witness"] = answer(rules, asked, list(answered), oracle.write(summed, bits))
    found["sum"] = [oracle.decode(element, bits) for element in total]
    assert found["sum"] == [sum(column) for column in zip(*units, strict=True)]
    return found


def answer(rules: Document, asked: Document, members: list[str], payload: bytes) -> Document:
    statement: Document = {
        "roster": oracle.digest(rules, "secure-sum-roster"),
        **{name: asked[name] for name in ("study", "run", "step", "attempt")},
        "context": oracle.digest(asked, "secure-sum-context"),
        "members": members,
    }
    signed = oracle.signature(IDENTITY[WITNESS], statement, "secure-sum-set")
    return {"statement": statement, "signature": signed, "payload": payload.hex()}


def agreement() -> Document:
    pairs = [
        {"one": one, "other": other, "secret": shared(one, other).hex()}
        for place, one in enumerate(EPHEMERAL)
        for other in list(EPHEMERAL)[place + 1 :]
    ]
    return {
        "ephemeral": {
            name: {"secret": secret.hex(), "public": oracle.x25519_public(secret)}
            for name, secret in EPHEMERAL.items()
        },
        "pairs": pairs,
        "refused_low_order": LOW_ORDER,
        "refused_second_spelling": SECOND_SPELLING,
    }


def every() -> dict[str, Document]:
    return {
        "encoding": encoding(),
        "agreement": agreement(),
        "masks": masks(),
        "step-pairwise": step("pairwise", 64, NAMES),
        "step-witness": step("witness", 32, ("amf", "sof")),
        "step-both": step("both", 64, NAMES),
    }


def render(document: Document) -> str:
    return json.dumps(document, indent=2, ensure_ascii=True) + "\n"


def main() -> None:
    for name, document in every().items():
        (FOLDER / f"{name}.json").write_text(render(document), encoding="ascii")


if __name__ == "__main__":
    main()
