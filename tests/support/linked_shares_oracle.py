"""Streams, sealed shares, boxes and the order of a linked run a second time: slow, from their docs.

Uses nothing of ours but the other slow oracle: HKDF, and AES blocks in counter mode. AES-GCM is
built here from single blocks and long division.
"""

import hashlib
import hmac

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from secure_sum_oracle import hkdf, keystream, read, write

DOMAIN = b"datalabbet/linked/v1"
TAG = 16


def derive(secret: bytes, *parts: bytes) -> bytes:
    return hkdf(secret, b"".join(len(part).to_bytes(2, "big") + part for part in (DOMAIN, *parts)))


def stream(seed: bytes, label: str, chunk: int, bits: int, *, length: int) -> list[int]:
    key = derive(seed, b"stream", label.encode(), chunk.to_bytes(8, "big"), bytes([bits]))
    return read(keystream(key, length * bits // 8), bits)


def shares(
    values: list[int], seeds: tuple[bytes, bytes], label: str, chunk: int, bits: int
) -> list[list[int]]:
    first, second = (stream(seed, label, chunk, bits, length=len(values)) for seed in seeds)
    third = [
        (value - one - two) % 2**bits for value, one, two in zip(values, first, second, strict=True)
    ]
    return [first, second, third]


def associated(study: str, plan: str, run: int, chunk: int, label: str) -> bytes:
    fixed = b"datalabbet/linked-body/v1" + bytes.fromhex(study) + bytes.fromhex(plan)
    return fixed + run.to_bytes(8, "big") + chunk.to_bytes(8, "big") + label.encode()


def body(third: list[int], *, key: bytes, chunk: int, bits: int, aad: bytes) -> bytes:
    return seal(key, chunk, aad, write(third, bits))


def box_key(secret: bytes, sender: str, to: str, study: str, run: int, purpose: str) -> bytes:
    names = (sender.encode(), to.encode())
    return derive(
        secret, b"box", *names, bytes.fromhex(study), run.to_bytes(8, "big"), purpose.encode()
    )


def spine_key(parts: dict[str, bytes], study: str, run: int) -> bytes:
    names = sorted(parts)
    bound = (bytes.fromhex(study), run.to_bytes(8, "big"), *(name.encode() for name in names))
    return derive(b"".join(parts[name] for name in names), b"spine", *bound)


def order(ids: list[str], key: bytes) -> list[int]:
    secret = derive(key, b"order")
    tags = [hmac.new(secret, each.encode(), hashlib.sha256).digest() for each in ids]
    return sorted(range(len(ids)), key=lambda place: tags[place])


def register_digest(octets: bytes, key: bytes) -> str:
    return hmac.new(derive(key, b"register"), octets, hashlib.sha256).hexdigest()


def seal(key: bytes, nonce: int, aad: bytes, data: bytes) -> bytes:
    """NIST SP 800-38D: AES-256-GCM with a nonce of 12 bytes and a tag of 16."""
    first = nonce.to_bytes(12, "big") + (1).to_bytes(4, "big")
    pad = b"".join(_block(key, _raised(first, i + 1)) for i in range(-(-len(data) // 16)))
    sealed = bytes(a ^ b for a, b in zip(data, pad, strict=False))
    sizes = (8 * len(aad)).to_bytes(8, "big") + (8 * len(sealed)).to_bytes(8, "big")
    hashed = _ghash(_block(key, bytes(16)), _padded(aad) + _padded(sealed) + sizes)
    return sealed + bytes(a ^ b for a, b in zip(hashed, _block(key, first), strict=True))


def _block(key: bytes, counter: bytes) -> bytes:
    return Cipher(algorithms.AES256(key), modes.ECB()).encryptor().update(counter)  # noqa: S305


def _raised(counter: bytes, by: int) -> bytes:
    return counter[:12] + (int.from_bytes(counter[12:], "big") + by).to_bytes(4, "big")


def _padded(octets: bytes) -> bytes:
    return octets + bytes(-len(octets) % 16)


def _ghash(subkey: bytes, octets: bytes) -> bytes:
    h, found = int.from_bytes(subkey, "big"), 0
    for start in range(0, len(octets), 16):
        found = _times(found ^ int.from_bytes(octets[start : start + 16], "big"), h)
    return found.to_bytes(16, "big")


def _times(one: int, other: int) -> int:
    product = 0
    for bit in range(127, -1, -1):
        if one >> bit & 1:
            product ^= other
        other = (other >> 1) ^ (0xE1 << 120 if other & 1 else 0)
    return product
